//! `zkpass verify`

use std::path::Path;

use serde_json::{Map, Value, json};
use zkpass_circuit::{KeyCache, Shape};
use zkpass_core::code::Code;
use zkpass_core::dvr::DvrToken;
use zkpass_core::encoding::hex;
use zkpass_core::proof::ProofToken;
use zkpass_core::statement::output_json;
use zkpass_query::ast::Program;
use zkpass_verify::{Claims, Policy};

use crate::args::Verify;
use crate::clock;
use crate::documents::{adopt_only_tag, by_tag};
use crate::enclave_key;
use crate::failure::Failure;
use crate::files::{Access, make_folder, write_file};
use crate::keys;
use crate::query::{compile, output_text};
use crate::screen::{Answer, Screen};

/// Checks a proof.
pub fn run(args: &Verify, screen: Screen) -> Result<Answer, Failure> {
    let verifier = keys::read_public(&args.verifier_key)?;
    let files = args.issuer_key.iter();
    let mut files = by_tag(
        "the issuer key",
        files.map(|key| (key.tag.clone(), &key.file)),
    )?;
    let token =
        DvrToken::parse(&args.dvr.read_word()?).map_err(|error| of_request(error.code(), error))?;
    token
        .verify(&verifier)
        .map_err(|error| of_request(error.code(), error))?;
    let dvr = token.into_dvr();
    adopt_only_tag(&mut files, dvr.user_data_requests.keys());
    let issuers = files
        .into_iter()
        .map(|(tag, file)| Ok((tag, keys::read_public(file)?)))
        .collect::<Result<_, Failure>>()?;
    let proof = args.proof.read_word()?;

    let accepted = match args.enclave_key.is_empty() {
        true => enclave_key::named_by(&proof),
        false => {
            let files = args.enclave_key.iter();
            files.map(keys::read_public).collect::<Result<_, _>>()?
        }
    };
    let mut policy = Policy::new(dvr.clone(), issuers).expect_enclave_keys(accepted);
    if let Some(nonce) = &args.nonce {
        policy = policy.nonce(nonce);
    }
    if let Some(audience) = &args.audience {
        policy = policy.audience(audience);
    }
    if let Some(date) = args.as_of_min {
        policy = policy.as_of_not_before(date);
    }
    if let Some(date) = args.as_of_max {
        policy = policy.as_of_not_after(date);
    }

    let progress = screen.progress("verifying the proof");
    let cache = KeyCache::new(1);
    let claims = policy.verify(&proof, clock::now()?, &cache)?;
    drop(progress);

    let mut answer = answer(&claims, !args.enclave_key.is_empty());
    if let Some(folder) = &args.export {
        let program = compile(&dvr.query, dvr.user_data_requests.keys())?;
        export(folder, &proof, &claims, &program, &cache)?;
        answer.json["exported"] = json!({
            "proof": folder.join("proof.bin"),
            "verifier_key": folder.join("vk.bin"),
        });
    }
    Ok(answer)
}

/// Says that the request, not the proof, is what is wrong.
fn of_request(code: Code, error: impl std::fmt::Display) -> Failure {
    Failure::refused(code, format!("the request is refused: {error}"))
}

fn answer(claims: &Claims, enclave_is_trusted: bool) -> Answer {
    let statement = claims.statement();
    let output = output_json(claims.output());
    let issuers: Map<String, Value> = claims
        .issuers()
        .map(|(tag, key)| (tag.to_owned(), json!(key.thumbprint())))
        .collect();
    let enclave = claims.enclave().map(|key| key.thumbprint());
    let mut text = format!(
        "verified\n{}\nas of {}, request {}",
        output_text(&output),
        claims.as_of(),
        claims.dvr_id()
    );
    for (tag, thumbprint) in &issuers {
        let space = if tag.is_empty() { "" } else { " " };
        let thumbprint = thumbprint.as_str().unwrap_or_default();
        text.push_str(&format!("\nissuer{space}{tag} {thumbprint}"));
    }
    if let Some(enclave) = &enclave {
        let trust = match enclave_is_trusted {
            true => "as required",
            false => "any key; --enclave-key requires one",
        };
        text.push_str(&format!("\nproven by {enclave} ({trust})"));
    }
    Answer {
        text,
        json: json!({
            "verified": true,
            "output": output,
            "as_of": claims.as_of(),
            "dvr_id": claims.dvr_id(),
            "dvr_title": claims.dvr_title(),
            "dvr_digest": hex(&statement.dvr_digest),
            "nonce": claims.nonce(),
            "audience": claims.audience(),
            "issuers": issuers,
            "time_stamp": claims.time_stamp(),
            "enclave": enclave,
            "enclave_trusted": enclave_is_trusted,
            "proof_system": statement.proof_system,
            "circuit_digest": hex(&statement.circuit_digest),
        }),
    }
}

/// Writes proof and verifier key as other implementations of the proof system read them.
fn export(
    folder: &Path,
    proof: &str,
    claims: &Claims,
    program: &Program,
    cache: &KeyCache,
) -> Result<(), Failure> {
    let token = ProofToken::parse(proof)?;
    let failed = |error| Failure::system(format!("cannot export the proof: {error}"));
    let keys = cache
        .get(program, &Shape::of_statement(claims.statement()))
        .map_err(failed)?;
    let (proof, key) = zkpass_circuit::export(&keys, &token.claims().zkproof).map_err(failed)?;
    make_folder(folder)?;
    write_file(&folder.join("proof.bin"), &proof, Access::Shared)?;
    write_file(&folder.join("vk.bin"), &key, Access::Shared)
}
