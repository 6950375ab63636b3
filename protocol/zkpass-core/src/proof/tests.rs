use proptest::prelude::*;

use super::*;
use crate::{
    date::Date,
    dvr::{PROOF_SYSTEM, UserDataRequest},
    statement::{OutputEntry, OutputValue, TokenStatement},
    user_data::Profile,
};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32]).unwrap()
}

fn dvr() -> Dvr {
    Dvr {
        zkvm: PROOF_SYSTEM.into(),
        dvr_title: "Loan".into(),
        dvr_id: "dvr-1".into(),
        query_engine_ver: "1".into(),
        query_method_ver: "1".into(),
        query: "[]".into(),
        user_data_requests: BTreeMap::from([(
            String::new(),
            UserDataRequest {
                user_data_url: None,
                user_data_verifying_key: key(1).public().into(),
                profile: Profile::Zkpass,
            },
        )]),
        dvr_verifying_key: Some(key(2).public().into()),
        nonce: None,
        audience: None,
        expires_at: None,
        max_age_days: None,
        holder_binding: None,
    }
}

fn claims() -> ProofClaims {
    let statement = Statement {
        proof_system: PROOF_SYSTEM.into(),
        version: 1,
        circuit_digest: [1; 32],
        dvr_digest: dvr().digest(),
        tokens: vec![TokenStatement {
            tag: String::new(),
            profile: Profile::Zkpass,
            issuer_key: key(1).public(),
            header: "eyJhbGciOiJFUzI1NiJ9".into(),
            blocks: 8,
        }],
        as_of: Date::new(2025, 2, 13).unwrap(),
        nonce: None,
        audience: None,
        output: vec![OutputEntry {
            name: "ok".into(),
            value: OutputValue::String("hidden".into()),
        }],
    };
    ProofClaims::new(&dvr(), statement, vec![0xde, 0xad], 1_739_404_800)
}

#[test]
fn tokens_are_read_back() {
    let text = ProofToken::sign(&claims(), &key(3)).unwrap();
    let token = ProofToken::parse(&text).unwrap();
    assert_eq!(token.claims(), &claims());
    assert_eq!(token.header().typ.as_deref(), Some(PROOF_TYPE));
    assert_eq!(token.header().kid, Some(key(3).public().thumbprint()));
    assert_eq!(token.verify(&key(3).public()), Ok(()));
    assert_eq!(
        token.verify(&key(4).public()),
        Err(TokenError::BadSignature)
    );
    assert_eq!(token.into_claims(), claims());
}

#[test]
fn what_claims_repeat_must_agree() {
    assert!(claims().agree_with(&dvr()));
    let changes: [fn(&mut ProofClaims); 8] = [
        |claims| claims.dvr_title.push('x'),
        |claims| claims.dvr_id.push('x'),
        |claims| claims.dvr_digest[0] ^= 1,
        |claims| claims.user_data_verifying_keys.clear(),
        |claims| {
            let keys = &mut claims.user_data_verifying_keys;
            keys.insert(String::new(), key(9).public());
        },
        |claims| claims.dvr_verifying_key = None,
        |claims| claims.proof_system.push('x'),
        |claims| claims.circuit_digest[0] ^= 1,
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut changed = claims();
        change(&mut changed);
        assert!(!changed.agree_with(&dvr()), "change {index}");
    }
}

#[test]
fn each_fault_has_its_error() {
    let sign =
        |typ: &str, payload: &str| jws::sign(&Header::new(typ, None), payload.as_bytes(), &key(3));
    let error = |text: &str| ProofToken::parse(text).unwrap_err();
    let payload = serde_json::to_string(&claims()).unwrap();
    assert!(ProofToken::parse(&sign(PROOF_TYPE, &payload)).is_ok());
    let expected = PROOF_TYPE;
    assert_eq!(
        error(&sign("JWT", &payload)),
        TokenError::WrongType { expected }.into()
    );
    for (from, to) in [
        ("\"zkproof\":\"3q0\"", "\"zkproof\":\"3q1\""),
        ("\"zkproof\":\"3q0\"", "\"zkproof\":\"3q0=\""),
        ("\"time_stamp\":1739404800", "\"time_stamp\":1739404800.5"),
        ("\"time_stamp\"", "\"extra\":1,\"time_stamp\""),
    ] {
        let changed = payload.replacen(from, to, 1);
        assert_ne!(changed, payload, "{from}");
        let refused = error(&sign(PROOF_TYPE, &changed));
        let bad_payload = matches!(refused, ProofTokenError::Token(TokenError::BadPayload(_)));
        assert!(bad_payload, "{to}: {refused}");
        assert_eq!(refused.code(), Code::ProofMalformed);
    }
    let mut large = claims();
    large.zkproof = vec![0; MAX_PROOF_BYTES + 1];
    let text = sign(PROOF_TYPE, &serde_json::to_string(&large).unwrap());
    assert_eq!(error(&text), ProofTokenError::ProofTooLarge);
    assert_eq!(
        ProofToken::sign(&large, &key(3)),
        Err(ProofTokenError::ProofTooLarge)
    );
    large.zkproof.pop();
    assert!(ProofToken::parse(&ProofToken::sign(&large, &key(3)).unwrap()).is_ok());
    let limit = MAX_PROOF_TOKEN_BYTES;
    let too_large = error(&"A".repeat(limit + 1));
    assert_eq!(too_large, TokenError::TooLarge { limit }.into());
    assert_eq!(too_large.code(), Code::ProofTooLarge);
    let mut disorder = claims();
    disorder.statement.tokens.clear();
    let text = sign(PROOF_TYPE, &serde_json::to_string(&disorder).unwrap());
    assert_eq!(error(&text), StatementError::TokenCount.into());
}

#[test]
fn debug_shows_no_answer() {
    let shown = format!(
        "{:?}",
        ProofToken::parse(&ProofToken::sign(&claims(), &key(3)).unwrap())
    );
    assert!(!shown.contains("hidden"), "{shown}");
}

proptest! {
    #[test]
    fn hostile_tokens_never_panic(payload in ".{0,60}", at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let _ = ProofToken::parse(&payload);
        let mut json = serde_json::to_vec(&claims()).unwrap();
        let index = at.index(json.len());
        json[index] = byte;
        for bytes in [json.as_slice(), payload.as_bytes()] {
            let token = jws::sign(&Header::new(PROOF_TYPE, None), bytes, &key(3));
            let _ = ProofToken::parse(&token);
        }
    }
}
