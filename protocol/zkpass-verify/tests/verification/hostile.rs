//! Hostile bytes are refused and never panic.

use proptest::{prelude::*, sample::Index};
use zkpass_core::{
    jws::{Header, Part, TokenError, sign},
    limits::{MAX_PROOF_BYTES, MAX_PROOF_TOKEN_BYTES},
    proof::{PROOF_TYPE, ProofToken, ProofTokenError},
};
use zkpass_verify::VerifyError;

use crate::fixture::{enclave, fixture, policy, refusal, verify};

#[test]
fn tokens_of_other_kinds_are_refused() {
    let limit = MAX_PROOF_TOKEN_BYTES;
    let payload = serde_json::to_string(&fixture().claims).unwrap();
    let proof =
        |typ: &str, payload: &str| sign(&Header::new(typ, None), payload.as_bytes(), &enclave());
    let twice = payload.replacen("\"dvr_id\":", "\"dvr_id\":\"x\",\"dvr_id\":", 1);
    for (token, expected) in [
        (String::new(), TokenError::WrongSegmentCount { count: 1 }),
        ("A".repeat(limit + 1), TokenError::TooLarge { limit }),
        (
            proof("JWT", &payload),
            TokenError::WrongType {
                expected: PROOF_TYPE,
            },
        ),
        (
            proof(PROOF_TYPE, &format!("{payload} {{}}")),
            TokenError::TrailingBytes {
                part: Part::Payload,
                offset: payload.len() + 1,
            },
        ),
        (
            proof(PROOF_TYPE, &twice),
            TokenError::DuplicateKey {
                part: Part::Payload,
                offset: twice.rfind("\"dvr_id\":").unwrap(),
            },
        ),
    ] {
        assert_eq!(
            refusal(&policy(), &token),
            VerifyError::Malformed(expected.into())
        );
    }
    let mut large = fixture().claims.clone();
    large.zkproof = vec![0; MAX_PROOF_BYTES + 1];
    let token = proof(PROOF_TYPE, &serde_json::to_string(&large).unwrap());
    let expected = VerifyError::Malformed(ProofTokenError::ProofTooLarge);
    assert_eq!(refusal(&policy(), &token), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text(text in "\\PC{0,60}|[A-Za-z0-9_.-]{0,200}") {
        prop_assert!(verify(&policy(), &text).is_err());
    }

    #[test]
    fn any_changed_byte_of_the_token(index in any::<Index>(), byte in "[A-Za-z0-9_.-]") {
        let mut token = fixture().token.clone();
        let index = index.index(token.len());
        prop_assume!(token.as_bytes()[index] != byte.as_bytes()[0]);
        token.replace_range(index..=index, &byte);
        prop_assert!(verify(&policy(), &token).is_err());
    }
}

proptest! {
    // Each case runs the verifier of the proof system.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_bytes_as_proof(bytes in prop::collection::vec(any::<u8>(), 0..2000), keep in any::<Index>()) {
        let mut claims = fixture().claims.clone();
        let keep = keep.index(claims.zkproof.len());
        claims.zkproof.truncate(keep);
        claims.zkproof.extend(bytes);
        prop_assume!(claims != fixture().claims);
        let token = ProofToken::sign(&claims, &enclave()).unwrap();
        prop_assert!(verify(&policy(), &token).is_err());
    }
}
