//! `zkpass prove`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use zkpass_circuit::KeyCache;
use zkpass_circuit::answer::Phase;
use zkpass_client::holder::{Holder, Progress, Proof, Request, prove_locally};
use zkpass_core::dvr::DvrToken;
use zkpass_core::encoding::hex;

use crate::args::Prove;
use crate::commands::attest::{keep, read_policy};
use crate::documents::{adopt_only_tag, by_tag};
use crate::failure::Failure;
use crate::files::Output;
use crate::keys;
use crate::local_service::block_on;
use crate::query::output_text;
use crate::screen::{Answer, Screen};

/// Answers a request with a proof.
pub fn run(args: &Prove, screen: Screen) -> Result<Answer, Failure> {
    let request = request(args)?;
    let progress = screen.progress("checking the request");
    let proof = match &args.place.url {
        Some(url) => {
            let policy = args.policy.as_ref();
            let policy = policy.ok_or_else(|| Failure::usage("--url needs --policy"))?;
            if args.danger_development_root.is_some() {
                screen.note(
                    "warning: a development TEE is accepted; whoever runs it can read the data",
                );
            }
            let policy = read_policy(policy, args.danger_development_root)?;
            let holder = Holder::builder(url, policy).build()?;
            block_on(async {
                let steps = |step| progress.step(name(step));
                Ok(holder.prove_with_progress(&request, steps).await?)
            })?
        }
        None => {
            let cache = Arc::new(KeyCache::new(1));
            let steps = progress.clone();
            let steps = move |step| steps.step(name(step));
            block_on(async { Ok(prove_locally(&request, args.as_of, cache, steps).await?) })?
        }
    };
    drop(progress);
    args.out.write_line(proof.token())?;
    let kept = keep_evidence(args, &proof)?;
    Ok(answer(&args.out.to_string(), &proof, kept.as_deref()))
}

/// Keeps the evidence beside the proof, or where it is wanted.
fn keep_evidence(args: &Prove, proof: &Proof) -> Result<Option<PathBuf>, Failure> {
    let path = match (&args.evidence_out, &args.out) {
        (Some(path), _) => Some(path.clone()),
        (None, Output::Path(path)) => {
            let mut name = path.clone().into_os_string();
            name.push(".evidence.json");
            Some(name.into())
        }
        (None, Output::Stdout) => None,
    };
    match (proof.attestation(), path) {
        (Some(record), Some(path)) => keep(record, &path).map(|()| Some(path)),
        _ => Ok(None),
    }
}

fn request(args: &Prove) -> Result<Request, Failure> {
    let dvr_token = args.dvr.read_word()?;
    let dvr = DvrToken::parse(&dvr_token)?.into_dvr();
    let files = args.token.iter();
    let mut files = by_tag(
        "the token",
        files.map(|token| (token.tag.clone(), &token.file)),
    )?;
    adopt_only_tag(&mut files, dvr.user_data_requests.keys());
    let tokens: BTreeMap<String, String> = files
        .into_iter()
        .map(|(tag, file)| Ok((tag, file.read_word()?)))
        .collect::<Result<_, Failure>>()?;
    let request = Request::new(dvr_token, tokens);
    Ok(match &args.verifier_key {
        Some(file) => request.from_verifier(keys::read_public(file)?),
        None => request,
    })
}

/// What people read while they wait.
fn name(step: Progress) -> &'static str {
    match step {
        Progress::FindingEnclave => "asking for enclaves and their evidence",
        Progress::Attested { .. } => "sealing the request",
        Progress::Sending { .. } => "sending the sealed request",
        Progress::Queued => "waiting for the enclave",
        Progress::Running => "proving in the enclave",
        Progress::Retrying { .. } => "trying again",
        Progress::CheckingAnswer => "checking the answer",
        Progress::Local(Phase::Checking) => "checking the request",
        Progress::Local(Phase::Evaluating) => "evaluating the query",
        Progress::Local(Phase::DerivingKeys) => "deriving the circuit",
        Progress::Local(Phase::Preparing) => "preparing the proof",
        Progress::Local(Phase::Proving) => "proving",
        _ => "working",
    }
}

fn answer(file: &str, proof: &Proof, kept: Option<&Path>) -> Answer {
    let statement = proof.statement();
    let output = statement.output_json();
    let mut text = format!(
        "{}\n{file}: proof of {} bytes, as of {}",
        output_text(&output),
        proof.claims().zkproof.len(),
        statement.as_of
    );
    if let (Some(record), Some(kept)) = (proof.attestation(), kept) {
        text.push_str(&format!(
            "\n{}: evidence of the enclave, {}",
            kept.display(),
            record.enclave.measurement_id
        ));
    }
    let enclave = proof.attestation().map(|record| &record.enclave);
    Answer {
        text,
        json: json!({
            "proved": true,
            "proof": file,
            "output": output,
            "as_of": statement.as_of,
            "dvr_digest": hex(&statement.dvr_digest),
            "proof_bytes": proof.claims().zkproof.len(),
            "token_bytes": proof.token().len(),
            "evidence": kept,
            "enclave": enclave.map(|info| json!({
                "enclave_id": info.enclave_id,
                "measurement_id": info.measurement_id,
            })),
        }),
    }
}
