//! What each command reads, writes and says when all is well.

use serde_json::json;

use crate::sandbox::Sandbox;

#[test]
fn keygen_writes_three_files_and_never_replaces_them_unasked() {
    let sandbox = Sandbox::new();
    let answer = sandbox.ok("keygen --out k.pem --json").json();
    assert_eq!(sandbox.files(), ["k.jwk.json", "k.pem", "k.pub.pem"]);
    assert_eq!(answer["public_key"], "k.pub.pem");
    assert_eq!(answer["jwk"], "k.jwk.json");
    let secret = sandbox.read("k.pem");
    assert!(secret.starts_with("-----BEGIN PRIVATE KEY-----"));
    assert!(
        sandbox
            .read("k.pub.pem")
            .starts_with("-----BEGIN PUBLIC KEY-----")
    );
    assert!(
        !sandbox.read("k.jwk.json").contains("\"d\""),
        "the JWK is the public key"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(sandbox.path("k.pem"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    let again = sandbox.run("keygen --out k.pem").exits(2);
    assert!(again.stderr.contains("--force"));
    assert_eq!(sandbox.read("k.pem"), secret);
    sandbox.ok("keygen --out k.pem --force");
    assert_ne!(sandbox.read("k.pem"), secret);
}

#[test]
fn inspect_shows_keys_without_their_secret() {
    let sandbox = Sandbox::new();
    let made = sandbox.ok("keygen --out k.pem --json").json();
    for (file, kind) in [
        ("k.pem", "private-key"),
        ("k.pub.pem", "public-key"),
        ("k.jwk.json", "public-key"),
    ] {
        let answer = sandbox.ok(&format!("inspect {file} --json")).json();
        assert_eq!(answer["kind"], kind);
        assert_eq!(answer["thumbprint"], made["thumbprint"]);
    }
    let secret = sandbox.read("k.pem");
    let line = secret.lines().nth(1).unwrap();
    sandbox.ok("inspect k.pem").hides(line);
    sandbox.ok("inspect k.pem --json").hides(line);
}

#[test]
fn inspect_shows_the_form_of_user_data_but_not_the_data() {
    let sandbox = Sandbox::of_example("bank-loan");
    sandbox.ok("keygen --out bank.pem");
    sandbox.ok("token sign --key bank.pem --data data.json --kid key-7 --out t.jws");
    let answer = sandbox
        .ok("inspect t.jws --json")
        .hides("Dewi")
        .hides("1994")
        .json();
    assert_eq!(answer["kind"], "user-data-token");
    assert_eq!(answer["header"]["kid"], "key-7");
    assert_eq!(answer["profile"], "zkpass");
    let members = answer["members"].as_array().unwrap();
    assert!(
        members.contains(&json!({"path": "customer.first_name", "type": "string", "public": true}))
    );
    assert!(
        members
            .contains(&json!({"path": "account.credit_score", "type": "number", "public": false}))
    );
    sandbox.ok("inspect t.jws").hides("Dewi").hides("1994");
}

#[test]
fn inspect_shows_requests_in_both_forms() {
    let sandbox = Sandbox::of_example("bank-loan");
    sandbox.ok("keygen --out k.pem");
    let parts = "--query query.json --dvr dvr.json --issuer-key k.pub.pem --expires 1h";
    let made = sandbox
        .ok(&format!("dvr new {parts} --out r.json --json"))
        .json();
    sandbox.ok("dvr sign --key k.pem --dvr r.json --out r.jws");
    let token = sandbox.ok("inspect r.jws --json").json();
    assert_eq!(token["kind"], "dvr-token");
    assert_eq!(token["dvr"]["nonce"], "loan-application-20260601-0077");
    let plain = sandbox.ok("inspect r.json --json").json();
    assert_eq!(plain["kind"], "dvr");
    assert_eq!(plain["dvr_digest"], made["dvr_digest"]);
    // The signed request also names the key that signed it.
    assert_ne!(plain["dvr_digest"], token["dvr_digest"]);
}

#[test]
fn a_signed_request_can_be_signed_again_unchanged() {
    let sandbox = Sandbox::of_example("bank-loan");
    sandbox.ok("keygen --out k.pem");
    sandbox.ok(
        "dvr sign --key k.pem --query query.json --dvr dvr.json --issuer-key k.pub.pem --out r.jws",
    );
    sandbox.ok("dvr sign --key k.pem --dvr r.jws --out again.jws");
    let digest = |file: &str| {
        let answer = sandbox.ok(&format!("inspect {file} --json")).json();
        answer["dvr_digest"].clone()
    };
    assert_eq!(digest("r.jws"), digest("again.jws"));
}

#[test]
fn files_can_be_standard_input_and_output() {
    let sandbox = Sandbox::of_example("age-check-jwt");
    sandbox.ok("keygen --out k.pem");
    let claims = sandbox.read("data.json");
    let token = sandbox
        .run_with(
            "token sign --key k.pem --data - --profile jwt --out -",
            &claims,
        )
        .exits(0)
        .stdout;
    assert_eq!(token.trim().split('.').count(), 3);
    assert_eq!(token.lines().count(), 1);
    let shown = sandbox.run_with("inspect - --json", &token).exits(0).json();
    assert_eq!(shown["profile"], "jwt");
    let query = sandbox.read("query.json");
    let line = "dvr eval --query - --data data.json --as-of 2026-06-01 --json";
    let answer = sandbox.run_with(line, &query).exits(0).json();
    assert_eq!(answer["output"]["over_18"], true);
}

#[test]
fn keys_may_be_jwk() {
    let sandbox = Sandbox::of_example("bank-loan");
    sandbox.ok("keygen --out k.pem");
    sandbox.ok("dvr sign --key k.pem --query query.json --issuer-key k.jwk.json --out r.jws");
    sandbox.ok("dvr sign --key k.pem --query query.json --issuer-key k.pub.pem --out s.jws");
    let key = |file: &str| {
        let answer = sandbox.ok(&format!("inspect {file} --json")).json();
        answer["issuer_keys"][""].clone()
    };
    assert!(key("r.jws").is_string());
    assert_eq!(key("r.jws"), key("s.jws"));
}

#[test]
fn check_reports_what_a_query_reveals() {
    let sandbox = Sandbox::of_example("employment-screening");
    let text = sandbox.ok("dvr check --query query.json").stdout;
    assert!(text.contains("tenure_years") && text.contains("position.start_date"));
    let answer = sandbox.ok("dvr check --query query.json --json").json();
    assert!(answer["leakage"].is_object());
    let sandbox = Sandbox::of_example("insurance");
    sandbox.ok("dvr check --query query.json --tag bank --tag hospital --json");
    sandbox
        .run("dvr check --query query.json --tag bank --tag clinic --json")
        .refused("UnknownTag");
}

#[test]
fn the_answer_for_people_has_the_values() {
    let sandbox = Sandbox::of_example("bank-loan");
    let outcome = sandbox.ok("dvr eval --query query.json --data data.json --as-of 2026-06-01");
    assert!(outcome.stdout.contains("first_name") && outcome.stdout.contains("Dewi"));
    assert_eq!(outcome.stderr, "", "no progress where there is no terminal");
}

#[test]
fn a_proof_is_exported_for_independent_verifiers() {
    let sandbox = Sandbox::of_example("age-check-jwt");
    for line in [
        "keygen --out k.pem",
        "token sign --key k.pem --data data.json --profile jwt --out t.jws",
        "dvr sign --key k.pem --query query.json --dvr dvr.json --issuer-key k.pub.pem --out r.jws",
        "prove --dvr r.jws --token t.jws --local --out p.jws",
    ] {
        sandbox.ok(line);
    }
    let line = "verify --proof p.jws --dvr r.jws --verifier-key k.pub.pem --issuer-key k.pub.pem \
                --export out/dir --json";
    let answer = sandbox.ok(line).json();
    assert_eq!(answer["exported"]["proof"], "out/dir/proof.bin");
    let shown = sandbox.ok("inspect p.jws --json").json();
    let size = |file: &str| std::fs::metadata(sandbox.path(file)).unwrap().len();
    assert_eq!(shown["proof_bytes"], size("out/dir/proof.bin"));
    assert!(size("out/dir/vk.bin") > 1_000_000);

    // Nothing is exported of a proof that does not verify.
    sandbox
        .run(&format!(
            "{} --nonce other",
            line.replace("out/dir", "none")
        ))
        .exits(1);
    assert!(!sandbox.files().contains(&"none".to_owned()));
}

#[test]
fn a_tag_may_be_left_out_for_a_single_document_that_has_one() {
    let sandbox = Sandbox::of_example("bank-loan");
    sandbox.ok("keygen --out k.pem");
    sandbox.ok("token sign --key k.pem --data data.json --out t.jws");
    let query = sandbox.read("query.json");
    sandbox.write(
        "query.json",
        &query
            .replace("\"customer.", "\"bank.customer.")
            .replace("\"account.", "\"bank.account."),
    );
    sandbox.ok("dvr sign --key k.pem --query query.json --issuer-key bank=k.pub.pem --out r.jws");
    sandbox.ok("prove --dvr r.jws --token t.jws --local --out p.jws");
    let answer = sandbox
        .ok(
            "verify --proof p.jws --dvr r.jws --verifier-key k.pub.pem --issuer-key k.pub.pem \
             --json",
        )
        .json();
    assert_eq!(answer["output"]["eligible"], true);
    assert!(answer["issuers"]["bank"].is_string());
}
