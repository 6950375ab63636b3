//! What is accepted, and the claims beside the statement.

use zkpass_core::{
    code::Code,
    keys::IssuerKey,
    proof::{ProofClaims, ProofToken},
    statement::output_json,
};
use zkpass_verify::{Policy, VerifyError};

use crate::fixture::{NOW, date, enclave, fixture, key, policy, refusal, verify, with_claims};

#[test]
fn claims_say_what_was_proven() {
    let claims = verify(&policy(), &fixture().token).unwrap();
    assert_eq!(
        serde_json::to_string(&output_json(claims.output())).unwrap(),
        r#"{"adult":true,"name":"Ana","score":712,"solvent":true}"#
    );
    assert_eq!(claims.statement(), &fixture().claims.statement);
    assert_eq!(claims.as_of(), date("2025-02-13"));
    assert_eq!(
        (claims.dvr_id(), claims.dvr_title()),
        ("dvr-7", "Account opening")
    );
    assert_eq!(
        (claims.nonce(), claims.audience()),
        (Some("nonce-1"), Some("https://bank.example"))
    );
    assert_eq!(claims.time_stamp(), NOW - 5);
    assert_eq!(claims.enclave(), Some(&enclave().public()));
    let issuers: Vec<_> = claims
        .issuers()
        .map(|(tag, key)| (tag.to_owned(), *key))
        .collect();
    assert_eq!(
        issuers,
        fixture()
            .issuer_keys
            .clone()
            .into_iter()
            .collect::<Vec<_>>()
    );
}

#[test]
fn debug_shows_no_output() {
    let shown = format!("{:?}", verify(&policy(), &fixture().token).unwrap());
    assert!(!shown.contains("Ana") && !shown.contains("712"), "{shown}");
}

#[test]
fn claims_that_repeat_others_must_agree() {
    let refused = |change: fn(&mut ProofClaims)| {
        assert_eq!(
            refusal(&policy(), &with_claims(change)),
            VerifyError::ClaimsMismatch
        );
    };
    refused(|claims| claims.dvr_title.push('!'));
    refused(|claims| claims.dvr_id.push('!'));
    refused(|claims| claims.dvr_digest[5] ^= 1);
    refused(|claims| claims.proof_system.push('!'));
    refused(|claims| claims.circuit_digest[5] ^= 1);
    refused(|claims| claims.dvr_verifying_key = None);
    refused(|claims| claims.dvr_verifying_key = Some(IssuerKey::from(key(7).public())));
    refused(|claims| {
        claims
            .user_data_verifying_keys
            .retain(|tag, _| tag == "bank")
    });
    refused(|claims| {
        let bank = claims.user_data_verifying_keys["bank"];
        claims.user_data_verifying_keys.insert("id".into(), bank);
    });
}

#[test]
fn time_stamp_and_evidence_are_under_the_enclave_signature() {
    let changes: [fn(&mut ProofClaims); 2] = [
        |claims| claims.time_stamp -= 1,
        |claims| claims.evidence = Some("00".into()),
    ];
    for change in changes {
        let mut claims = fixture().claims.clone();
        change(&mut claims);
        let forged = ProofToken::sign(&claims, &key(7)).unwrap();
        assert_eq!(
            refusal(&policy(), &forged),
            VerifyError::EnclaveSignatureInvalid
        );
        // The payload of one token with the signature of another.
        let (input, _) = forged.rsplit_once('.').unwrap();
        let (_, signature) = fixture().token.rsplit_once('.').unwrap();
        let spliced = format!("{input}.{signature}");
        assert_eq!(
            refusal(&policy(), &spliced),
            VerifyError::EnclaveSignatureInvalid
        );
        // Whoever ignores the enclave takes these two for what they are.
        let open = Policy::new(fixture().dvr.clone(), fixture().issuer_keys.clone())
            .ignore_enclave_signature();
        assert_eq!(verify(&open, &forged).unwrap().enclave(), None);
    }
}

#[test]
fn zero_knowledge_proof() {
    let malformed = VerifyError::ProofMalformed;
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        refusal(
            &policy(),
            &with_claims(|claims| change(&mut claims.zkproof)),
        )
    };
    assert_eq!(refused(&|proof| proof.clear()), malformed);
    assert_eq!(refused(&|proof| proof.push(0)), malformed);
    assert_eq!(refused(&|proof| proof.truncate(proof.len() - 1)), malformed);
    assert_eq!(refused(&|proof| proof.truncate(100)), malformed);
    let length = fixture().claims.zkproof.len();
    for position in (0..length).step_by(length / 24) {
        let error = refused(&|proof| proof[position] ^= 1);
        assert!(
            matches!(
                error,
                VerifyError::ProofMalformed
                    | VerifyError::ProofInvalid
                    | VerifyError::PublicValueMismatch
            ),
            "byte {position}: {error}"
        );
    }
}

#[test]
fn errors_keep_their_codes() {
    let token = with_claims(|claims| claims.zkproof.clear());
    assert_eq!(refusal(&policy(), &token).code(), Code::ProofMalformed);
    let token = with_claims(|claims| claims.statement.dvr_digest[0] ^= 1);
    assert_eq!(refusal(&policy(), &token).code(), Code::DvrDigestMismatch);
}
