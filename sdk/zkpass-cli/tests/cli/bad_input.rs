//! Bad input: each gets its own code, exit status 1, and leaves no output file behind.

use serde_json::json;
use zkpass_core::date::Date;
use zkpass_core::dvr::DvrToken;
use zkpass_core::jws::{Header, sign};
use zkpass_core::keys::SigningKey;
use zkpass_core::proof::{ProofClaims, ProofToken};
use zkpass_core::statement::OutputValue;

use crate::sandbox::Sandbox;

const DATA: &str = r#"{
  "name": "Ada", "_name_zkpass_public_": true, "town": "Canary-Wharf",
  "born": "1990-05-17", "score": 700
}"#;
const QUERY: &str = r#"[
  {"output": {"adult": {">=": [{"get_age": [{"dvar": "born"}, "YYYY-MM-DD"]}, 18]}}},
  {"output": {"good": {">=": [{"dvar": "score"}, 650]}}},
  {"output": {"name": {"dvar": "name"}}}
]"#;
const VERIFY: &str = "verify --proof p.jws --dvr r.jws --verifier-key v.pub.pem \
                      --issuer-key i.pub.pem --json";

/// Keys of issuer, verifier and a stranger; a signed document and a signed request.
fn ready(data: &str, query: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    for key in ["i", "v", "x"] {
        sandbox.ok(&format!("keygen --out {key}.pem"));
    }
    sandbox.write("d.json", data);
    sandbox.write("q.json", query);
    sandbox.ok("token sign --key i.pem --data d.json --out t.jws");
    sandbox.ok(
        "dvr sign --key v.pem --query q.json --issuer-key i.pub.pem --nonce n1 --audience a1 \
         --out r.jws",
    );
    sandbox
}

/// Asserts that the data is refused alike on plain data and as a signed document.
#[track_caller]
fn data_refused(data: &str, query: &str, code: &str, pointer: &str) {
    let sandbox = ready(data, query);
    let eval = sandbox
        .run("dvr eval --query q.json --data d.json --as-of 2026-06-01 --json")
        .refused(code)
        .hides("Canary");
    assert_eq!(eval.json()["error"]["pointer"], pointer);
    let prove = sandbox
        .run("prove --dvr r.jws --token t.jws --local --as-of 2026-06-01 --out p.jws --json")
        .refused(code)
        .hides("Canary");
    assert_eq!(prove.json()["error"]["pointer"], pointer);
    assert!(!sandbox.files().contains(&"p.jws".to_owned()));
}

#[test]
fn a_missing_field_counts_only_in_the_branch_taken() {
    let query = r#"[{"if": {"condition": {">=": [{"dvar": "score"}, LIMIT]},
        "then": [{"output": {"ok": {"==": [{"dvar": "absent"}, 1]}}}],
        "else": [{"output": {"ok": false}}]}}]"#;
    data_refused(
        DATA,
        &query.replace("LIMIT", "650"),
        "MissingField",
        "/0/if/then/0/output/ok/==/0",
    );
    let sandbox = ready(DATA, &query.replace("LIMIT", "800"));
    let answer = sandbox
        .ok("dvr eval --query q.json --data d.json --json")
        .json();
    assert_eq!(answer, json!({"output": {"ok": false}}));
}

#[test]
fn an_output_needs_the_issuers_flag() {
    let query = r#"[{"output": {"town": {"dvar": "town"}}}]"#;
    data_refused(DATA, query, "NotPublic", "/0/output/town");
    let refused = DATA.replace("true", "false");
    let query = r#"[{"output": {"name": {"dvar": "name"}}}]"#;
    data_refused(&refused, query, "NotPublic", "/0/output/name");
}

#[test]
fn a_value_must_have_the_type_the_query_needs() {
    let data = DATA.replace("700", r#""Canary""#);
    data_refused(&data, QUERY, "WrongType", "/1/output/good/>=/0");
    let data = DATA.replace("700", r#"{"of": 700}"#);
    data_refused(&data, QUERY, "WrongType", "/1/output/good/>=/0");
}

#[test]
fn a_fraction_is_not_an_integer() {
    for number in ["700.5", "7e2", "99999999999999999999", "-0"] {
        data_refused(
            &DATA.replace("700", number),
            QUERY,
            "NotAnInteger",
            "/1/output/good/>=/0",
        );
    }
}

#[test]
fn a_date_must_exist_and_not_lie_ahead() {
    let pointer = "/0/output/adult/>=/0/get_age/0";
    let data = DATA.replace("1990-05-17", "1990-02-30");
    data_refused(&data, QUERY, "InvalidDate", pointer);
    let data = DATA.replace("1990-05-17", "2035-01-01");
    data_refused(&data, QUERY, "DateInFuture", pointer);
}

#[test]
fn escapes_are_refused_where_the_query_looks() {
    let query = r#"[{"output": {"here": {"==": [{"dvar": "town"}, "x"]}}}]"#;
    let data = DATA.replace("Canary-Wharf", r"Canary\u0020Wharf");
    data_refused(&data, query, "EscapedValue", "/0/output/here/==/0");
    let data = DATA.replace("town", r"t\u006fwn");
    data_refused(&data, query, "EscapedKey", "/0/output/here/==/0");
    // Elsewhere they do no harm.
    let sandbox = ready(&data, QUERY);
    sandbox.ok("dvr eval --query q.json --data d.json --as-of 2026-06-01");
}

#[test]
fn a_string_too_long_to_prove() {
    let query = r#"[{"output": {"here": {"==": [{"dvar": "town"}, "x"]}}}]"#;
    let data = DATA.replace("Wharf", &"x".repeat(118));
    data_refused(&data, query, "ValueTooLong", "/0/output/here/==/0");
}

#[test]
fn a_duplicate_key_is_neither_evaluated_nor_signed() {
    let sandbox = ready(DATA, QUERY);
    sandbox.write(
        "twice.json",
        r#"{"score": 1, "born": "Canary", "sc\u006fre": 2}"#,
    );
    sandbox
        .run("dvr eval --query q.json --data twice.json --json")
        .refused("DuplicateKey")
        .hides("Canary");
    sandbox
        .run("token sign --key i.pem --data twice.json --out twice.jws --json")
        .refused("token-duplicate-key")
        .hides("Canary");
    assert!(!sandbox.files().contains(&"twice.jws".to_owned()));
}

#[test]
fn a_token_too_large() {
    let sandbox = ready(DATA, QUERY);
    sandbox.write(
        "big.json",
        &format!(r#"{{"filler": "{}"}}"#, "x".repeat(4000)),
    );
    sandbox
        .run("token sign --key i.pem --data big.json --out big.jws --json")
        .refused("token-too-large");
    // Also when it was signed elsewhere.
    let big = format!("{}{}", sandbox.read("t.jws").trim(), "A".repeat(4096));
    sandbox.write("big.jws", &big);
    sandbox
        .run("prove --dvr r.jws --token big.jws --local --out p.jws --json")
        .refused("token-too-large");
}

#[test]
fn the_token_must_be_signed_by_the_key_the_request_names() {
    let sandbox = ready(DATA, QUERY);
    sandbox.ok("token sign --key x.pem --data d.json --out x.jws");
    sandbox
        .run("prove --dvr r.jws --token x.jws --local --out p.jws --json")
        .refused("token-bad-signature");
    for (name, token) in altered(&sandbox.read("t.jws")) {
        sandbox.write("altered.jws", &token);
        let outcome = sandbox
            .run("prove --dvr r.jws --token altered.jws --local --out p.jws --json")
            .exits(1);
        let code = outcome.json()["error"]["code"].as_str().unwrap().to_owned();
        assert!(code.starts_with("token-"), "{name}: {code}");
    }
    assert!(!sandbox.files().contains(&"p.jws".to_owned()));
}

#[test]
fn the_request_must_be_signed_by_the_verifier() {
    let sandbox = ready(DATA, QUERY);
    sandbox
        .run("prove --dvr r.jws --token t.jws --verifier-key x.pub.pem --local --out p.jws --json")
        .refused("token-bad-signature");
    for (name, token) in altered(&sandbox.read("r.jws")) {
        sandbox.write("altered.jws", &token);
        let outcome = sandbox
            .run("prove --dvr altered.jws --token t.jws --local --out p.jws --json")
            .exits(1);
        let code = outcome.json()["error"]["code"].as_str().unwrap().to_owned();
        assert!(
            code.starts_with("token-") || code.starts_with("dvr-"),
            "{name}: {code}"
        );
    }
    assert!(!sandbox.files().contains(&"p.jws".to_owned()));
}

#[test]
fn an_expired_request_is_not_answered() {
    let sandbox = ready(DATA, QUERY);
    sandbox.ok(
        "dvr sign --key v.pem --query q.json --issuer-key i.pub.pem --expires 1700000000 \
         --out old.jws",
    );
    sandbox
        .run("prove --dvr old.jws --token t.jws --local --out p.jws --json")
        .refused("dvr-expired");
}

#[test]
fn an_unknown_proof_system_is_named() {
    let sandbox = ready(DATA, QUERY);
    sandbox.ok("dvr new --query q.json --issuer-key i.pub.pem --out r.json");
    let other = sandbox.read("r.json").replace(r#""vega""#, r#""r0""#);
    sandbox.write("r0.json", &other);
    sandbox
        .run("dvr sign --key v.pem --dvr r0.json --out r0.jws --json")
        .refused("unsupported-proof-system");
    // Also when another tool signed it.
    let key = SigningKey::from_pem(&sandbox.read("v.pem")).unwrap();
    let payload = format!(r#"{{"data":{}}}"#, other.trim());
    sandbox.write(
        "r0.jws",
        &sign(&Header::default(), payload.as_bytes(), &key),
    );
    sandbox
        .run("prove --dvr r0.jws --token t.jws --local --out p.jws --json")
        .refused("unsupported-proof-system");
}

#[test]
fn tokens_must_be_those_the_request_asks_for() {
    let sandbox = ready(DATA, QUERY);
    sandbox
        .run("prove --dvr r.jws --token bank=t.jws --local --out p.jws --json")
        .exits(1);
    let twice = sandbox.run("prove --dvr r.jws --token t.jws --token t.jws --local --out p.jws");
    assert!(twice.exits(2).stderr.contains("given twice"));
}

#[test]
fn a_bad_query_is_refused_with_its_place() {
    let sandbox = ready(DATA, QUERY);
    for (query, code, pointer) in [
        ("{", "NotJson", ""),
        ("{}", "NotAnArray", ""),
        (r#"[{"outptu": {}}]"#, "UnknownStatement", "/0"),
        (
            r#"[{"output": {"a": {">=": [{"dvar": "score"}, "x"]}}}]"#,
            "TypeMismatch",
            "/0/output/a",
        ),
        (
            r#"[{"output": {"a": {"dvar": "list[0]"}}}]"#,
            "UnsupportedPath",
            "/0/output/a",
        ),
    ] {
        sandbox.write("bad.json", query);
        for line in [
            "dvr eval --query bad.json --data d.json --json",
            "dvr check --query bad.json --json",
            "dvr sign --key v.pem --query bad.json --issuer-key i.pub.pem --out bad.jws --json",
        ] {
            let refused = sandbox.run(line).refused(code);
            let place = refused.json()["error"]["pointer"]
                .as_str()
                .unwrap()
                .to_owned();
            assert!(place.starts_with(pointer), "{place}");
        }
    }
    assert!(!sandbox.files().contains(&"bad.jws".to_owned()));
}

#[test]
fn a_proof_convinces_only_the_right_verifier() {
    let sandbox = ready(DATA, QUERY);
    sandbox.ok("prove --dvr r.jws --token t.jws --local --as-of 2026-06-01 --out p.jws");
    let good = sandbox.ok(VERIFY).json();
    assert_eq!(good["verified"], true);
    assert_eq!(
        good["output"],
        json!({"adult": true, "good": true, "name": "Ada"})
    );

    let refused = |line: &str, code: &str| {
        let outcome = sandbox.run(line).refused(code);
        assert_eq!(outcome.json()["verified"], false);
    };
    refused(&VERIFY.replace("i.pub", "x.pub"), "issuer-key-mismatch");
    refused(&VERIFY.replace("v.pub", "x.pub"), "token-bad-signature");
    refused(&format!("{VERIFY} --nonce n2"), "nonce-mismatch");
    refused(&format!("{VERIFY} --audience a2"), "audience-mismatch");
    refused(
        &format!("{VERIFY} --as-of-min 2026-06-02"),
        "as-of-out-of-bounds",
    );
    refused(
        &format!("{VERIFY} --as-of-max 2026-05-31"),
        "as-of-out-of-bounds",
    );

    // Another request of the same verifier, with the same query.
    sandbox.ok(
        "dvr sign --key v.pem --query q.json --issuer-key i.pub.pem --nonce n1 --audience a1 \
         --out other.jws",
    );
    refused(&VERIFY.replace("r.jws", "other.jws"), "dvr-digest-mismatch");

    sandbox.write("empty.jws", "");
    refused(&VERIFY.replace("p.jws", "empty.jws"), "token-malformed");
    refused(&VERIFY.replace("p.jws", "t.jws"), "token-wrong-type");

    refused(
        &format!("{VERIFY} --enclave-key x.jwk.json"),
        "enclave-signature-invalid",
    );
    for (name, proof) in altered(&sandbox.read("p.jws")) {
        sandbox.write("altered.jws", &proof);
        let outcome = sandbox
            .run(&VERIFY.replace("p.jws", "altered.jws"))
            .exits(1);
        assert_eq!(outcome.json()["verified"], false, "{name}");
    }
    refuses_what_anyone_can_sign(&sandbox);
    refuses_an_expired_request(&sandbox);
}

/// A proof that came in time does not outlive the request.
fn refuses_an_expired_request(sandbox: &Sandbox) {
    sandbox.ok(
        "dvr sign --key v.pem --query q.json --issuer-key i.pub.pem --nonce n1 --audience a1 \
         --expires 1700000000 --out old.jws",
    );
    let old = DvrToken::parse(sandbox.read("old.jws").trim()).unwrap();
    let token = ProofToken::parse(sandbox.read("p.jws").trim()).unwrap();
    let mut claims = token.into_claims();
    claims.statement.dvr_digest = old.dvr().digest();
    let key = SigningKey::from_pem(&sandbox.read("x.pem")).unwrap();
    sandbox.write("late.jws", &ProofToken::sign(&claims, &key).unwrap());
    sandbox
        .run(
            "verify --proof late.jws --dvr old.jws --verifier-key v.pub.pem \
              --issuer-key i.pub.pem --json",
        )
        .refused("dvr-expired");
}

/// Whoever alters a proof can sign it again with a key of their own; the mathematics refuses it.
fn refuses_what_anyone_can_sign(sandbox: &Sandbox) {
    type Change = fn(&mut ProofClaims);
    let key = SigningKey::from_pem(&sandbox.read("x.pem")).unwrap();
    let signed = |change: Change| {
        let token = ProofToken::parse(sandbox.read("p.jws").trim()).unwrap();
        let mut claims = token.into_claims();
        change(&mut claims);
        sandbox.write("forged.jws", &ProofToken::sign(&claims, &key).unwrap());
        sandbox.run(&VERIFY.replace("p.jws", "forged.jws"))
    };
    signed(|_| {}).exits(0);
    let forgeries: [(Change, &str); 5] = [
        (
            |claims| claims.statement.output[0].value = OutputValue::Boolean(false),
            "public-value-mismatch",
        ),
        (
            |claims| claims.statement.as_of = Date::new(2026, 6, 2).unwrap(),
            "public-value-mismatch",
        ),
        (
            |claims| {
                let middle = claims.zkproof.len() / 2;
                claims.zkproof[middle] ^= 1;
            },
            "proof-invalid",
        ),
        (|claims| claims.zkproof.truncate(1000), "proof-malformed"),
        (|claims| claims.zkproof.clear(), "proof-malformed"),
    ];
    for (change, code) in forgeries {
        let outcome = signed(change).refused(code);
        assert_eq!(outcome.json()["verified"], false);
    }
}

#[test]
fn a_file_that_is_no_key_of_the_kind_wanted() {
    let sandbox = ready(DATA, QUERY);
    sandbox.write("bytes", "not a key");
    for line in [
        "token sign --key bytes --data d.json --out y.jws --json",
        "token sign --key i.pub.pem --data d.json --out y.jws --json",
        "dvr sign --key v.pem --query q.json --issuer-key bytes --out y.jws --json",
        "dvr sign --key v.pem --query q.json --issuer-key i.pem --out y.jws --json",
        "verify --proof none --dvr r.jws --verifier-key i.pem --issuer-key i.pub.pem --json",
    ] {
        sandbox.run(line).refused("bad-key");
    }
    assert!(!sandbox.files().contains(&"y.jws".to_owned()));
}

#[test]
fn files_and_arguments_that_are_wrong_exit_with_2() {
    let sandbox = ready(DATA, QUERY);
    sandbox.ok("attest measure --out p.toml");
    for line in [
        "dvr eval --query none.json --data d.json",
        "dvr eval --query - --data -",
        "dvr eval --query q.json",
        "dvr eval --query q.json --data d.json --as-of 2026-02-30",
        "dvr eval --query q.json --data d.json --data d.json",
        "token sign --key i.pem --data d.json --out none/y.jws",
        "prove --dvr r.jws --token t.jws --out y.jws",
        "prove --dvr r.jws --token t.jws --local --url http://127.0.0.1:1 --out y.jws",
        "prove --dvr r.jws --token t.jws --url http://127.0.0.1:1 --out y.jws",
        "prove --dvr r.jws --token t.jws --url http://127.0.0.1:1 --policy p.toml \
         --as-of 2026-06-01 --out y.jws",
        "prove --dvr r.jws --token t.jws --url nonsense --policy p.toml --out y.jws",
        "prove --dvr r.jws --token t.jws --local --policy p.toml --out y.jws",
        "attest verify --policy p.toml",
        "attest verify --platform nitro --policy p.toml",
        "attest verify --platform sgx --evidence p.toml --policy p.toml",
        "attest verify --platform nitro --evidence none --policy p.toml",
        "attest verify --platform nitro --evidence p.toml --vek p.toml --policy p.toml",
        "attest verify --platform nitro --evidence p.toml --policy p.toml --binding 0x",
        "verify --proof none --dvr r.jws --verifier-key v.pub.pem --issuer-key i.pub.pem",
        "inspect none",
        "no-such-command",
    ] {
        let outcome = sandbox.run(line).exits(2);
        assert!(
            outcome.stderr.starts_with("error: "),
            "{line}: {outcome:#?}"
        );
        assert_eq!(outcome.stdout, "", "{line}");
    }
    assert!(!sandbox.files().contains(&"y.jws".to_owned()));
    for (line, code) in [
        ("dvr eval --query none.json --data d.json --json", "system"),
        (
            "token sign --key i.pem --data d.json --out - --json",
            "usage",
        ),
        (
            "prove --dvr r.jws --token t.jws --url http://127.0.0.1:1 --policy p.toml \
             --out y.jws --json",
            "enclave-unavailable",
        ),
    ] {
        assert_eq!(
            sandbox.run(line).exits(2).json()["error"]["code"],
            code,
            "{line}"
        );
    }
}

/// The token with one character changed in each part, cut short, and with something behind it.
fn altered(token: &str) -> Vec<(&'static str, String)> {
    let token = token.trim();
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!("not a token")
    };
    let flip = |part: &str| {
        let middle = part.len() / 2;
        let other = if part[middle..].starts_with('A') {
            "B"
        } else {
            "A"
        };
        format!("{}{other}{}", &part[..middle], &part[middle + 1..])
    };
    vec![
        ("header", format!("{}.{payload}.{signature}", flip(header))),
        ("payload", format!("{header}.{}.{signature}", flip(payload))),
        (
            "signature",
            format!("{header}.{payload}.{}", flip(signature)),
        ),
        ("cut", token[..token.len() - 1].to_owned()),
        ("no signature", format!("{header}.{payload}.")),
        ("fourth part", format!("{token}.AAAA")),
        ("empty", String::new()),
    ]
}
