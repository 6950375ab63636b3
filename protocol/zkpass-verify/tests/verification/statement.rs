//! One change per public field of the statement. Each is refused twice: by the
//! step that compares it with the policy, and, should the relying party be
//! made to agree with the change, by the proof.

use zkpass_circuit::{CircuitError, Shape};
use zkpass_core::{
    dvr::Dvr,
    jws::{Header, TokenError},
    keys::IssuerKey,
    statement::{OutputEntry, OutputValue, Statement},
    user_data::Profile,
};
use zkpass_verify::VerifyError;

use crate::fixture::{
    all_agree, date, fixture, key, output, policy, refusal, set_output, verify, with_claims,
};

/// Refused with the real policy.
#[track_caller]
fn refused(expected: VerifyError, change: impl FnOnce(&mut Statement)) {
    // Claims that repeat the statement follow it, so that only the statement is wrong.
    let token = with_claims(|claims| {
        change(&mut claims.statement);
        claims.dvr_digest = claims.statement.dvr_digest;
        claims.circuit_digest = claims.statement.circuit_digest;
        claims.proof_system = claims.statement.proof_system.clone();
        let tokens = claims.statement.tokens.iter();
        claims.user_data_verifying_keys = tokens
            .map(|token| (token.tag.clone(), token.issuer_key))
            .collect();
    });
    assert_eq!(refusal(&policy(), &token), expected);
}

/// Refused by the proof although everybody agrees with the change.
#[track_caller]
fn not_proven(expected: VerifyError, change: impl FnOnce(&mut Dvr, &mut Statement)) {
    let (policy, token) = all_agree(change);
    assert_eq!(refusal(&policy, &token), expected);
}

/// The digest of the circuit that a changed DVR and shape lead to.
fn circuit_of(dvr: &Dvr, statement: &Statement) -> [u8; 32] {
    let program = zkpass_query::compile(&dvr.query, &dvr.tags()).unwrap();
    let keys = fixture()
        .cache
        .get(&program, &Shape::of_statement(statement))
        .unwrap();
    keys.circuit_digest()
}

#[test]
fn without_a_change_both_policies_accept() {
    verify(&policy(), &fixture().token).unwrap();
    let (agreeing, token) = all_agree(|_, _| {});
    verify(&agreeing, &token).unwrap();
}

#[test]
fn proof_system_and_version() {
    refused(VerifyError::UnsupportedProofSystem, |s| {
        s.proof_system = "r0".into()
    });
    refused(VerifyError::UnsupportedVersion { version: 2 }, |s| {
        s.version = 2
    });
    refused(VerifyError::UnsupportedVersion { version: 0 }, |s| {
        s.version = 0
    });
}

#[test]
fn circuit_digest() {
    refused(VerifyError::CircuitDigestMismatch, |s| {
        s.circuit_digest[0] ^= 1
    });
    refused(VerifyError::CircuitDigestMismatch, |s| {
        s.circuit_digest[31] ^= 0x80
    });
}

#[test]
fn dvr_digest() {
    refused(VerifyError::DvrDigestMismatch, |s| s.dvr_digest[0] ^= 1);
    not_proven(VerifyError::PublicValueMismatch, |dvr, _| {
        dvr.dvr_title.push('!')
    });
    not_proven(VerifyError::PublicValueMismatch, |dvr, _| {
        dvr.max_age_days = Some(3)
    });
}

#[test]
fn another_query_is_another_circuit() {
    let easier = |dvr: &mut Dvr| dvr.query = dvr.query.replace("1000]", "9000]");
    not_proven(VerifyError::CircuitDigestMismatch, |dvr, _| easier(dvr));
    // Even when the statement names the circuit of the other query.
    not_proven(VerifyError::ProofInvalid, |dvr, statement| {
        easier(dvr);
        statement.circuit_digest = circuit_of(dvr, statement);
    });
}

#[test]
fn tags() {
    refused(VerifyError::WrongDocuments, |s| {
        s.tokens[1].tag = "ie".into()
    });
    refused(VerifyError::WrongDocuments, |s| drop(s.tokens.pop()));
    refused(VerifyError::WrongDocuments, |s| {
        let mut extra = s.tokens[1].clone();
        extra.tag = "other".into();
        s.tokens.push(extra);
    });
}

#[test]
fn profile() {
    let tag = || "bank".to_owned();
    refused(VerifyError::WrongProfile { tag: tag() }, |s| {
        s.tokens[0].profile = Profile::Jwt
    });
    let change = |dvr: &mut Dvr, s: &mut Statement| {
        dvr.user_data_requests.get_mut("bank").unwrap().profile = Profile::Jwt;
        s.tokens[0].profile = Profile::Jwt;
    };
    not_proven(VerifyError::CircuitDigestMismatch, change);
    not_proven(VerifyError::ProofInvalid, |dvr, statement| {
        change(dvr, statement);
        statement.circuit_digest = circuit_of(dvr, statement);
    });
}

#[test]
fn issuer_key() {
    for (index, tag) in ["bank", "id"].into_iter().enumerate() {
        let other = key(7).public();
        let mismatch = VerifyError::IssuerKeyMismatch { tag: tag.into() };
        refused(mismatch, |s| s.tokens[index].issuer_key = other);
        not_proven(VerifyError::PublicValueMismatch, |dvr, s| {
            let request = dvr.user_data_requests.get_mut(tag).unwrap();
            request.user_data_verifying_key = IssuerKey::from(other);
            s.tokens[index].issuer_key = other;
        });
    }
    refused(VerifyError::IssuerKeyMismatch { tag: "bank".into() }, |s| {
        let (bank, id) = (s.tokens[0].issuer_key, s.tokens[1].issuer_key);
        (s.tokens[0].issuer_key, s.tokens[1].issuer_key) = (id, bank);
    });
}

#[test]
fn header() {
    // Well-formed, as long as before, but not what the issuer signed.
    let other = Header::new("JWT", Some("k-2")).to_base64url();
    assert_eq!(
        other.len(),
        fixture().claims.statement.tokens[0].header.len()
    );
    refused(VerifyError::PublicValueMismatch, |s| {
        s.tokens[0].header = other.clone()
    });
    refused(VerifyError::PublicValueMismatch, |s| {
        s.tokens[1].header = other.clone()
    });
    let shorter = Header::new("JWT", None).to_base64url();
    refused(VerifyError::CircuitDigestMismatch, |s| {
        s.tokens[0].header = shorter
    });
}

#[test]
fn header_rules() {
    // The base64url text of headers that break a rule.
    for (header, error) in [
        ("e30", TokenError::MissingAlgorithm),
        ("eyJhbGciOiJub25lIn0", TokenError::WrongAlgorithm),
        (
            "eyJhbGciOiJFUzI1NiIsImNyaXQiOltdfQ",
            TokenError::CriticalHeader,
        ),
        (
            "eyJhbGciOiJFUzI1NiIsImI2NCI6dHJ1ZX0",
            TokenError::UnencodedPayload,
        ),
    ] {
        let tag = "id".to_owned();
        refused(VerifyError::HeaderRefused { tag, error }, |s| {
            s.tokens[1].header = header.into()
        });
    }
}

#[test]
fn blocks() {
    let blocks = fixture().claims.statement.tokens[0].blocks;
    refused(VerifyError::CircuitDigestMismatch, |s| {
        s.tokens[0].blocks = blocks * 2
    });
    let no_bucket = VerifyError::NoCircuit(CircuitError::Blocks(blocks + 1));
    refused(no_bucket, |s| s.tokens[0].blocks = blocks + 1);
    refused(
        VerifyError::NoCircuit(CircuitError::Blocks(u16::MAX)),
        |s| s.tokens[0].blocks = u16::MAX,
    );
    not_proven(VerifyError::ProofInvalid, |dvr, statement| {
        statement.tokens[0].blocks = blocks * 2;
        statement.circuit_digest = circuit_of(dvr, statement);
    });
}

#[test]
fn as_of() {
    // Both days are within the bounds of the policy.
    for day in ["2025-02-12", "2025-02-11"] {
        refused(VerifyError::PublicValueMismatch, |s| s.as_of = date(day));
    }
}

#[test]
fn nonce() {
    refused(VerifyError::NonceMismatch, |s| {
        s.nonce = Some("nonce-2".into())
    });
    refused(VerifyError::NonceMismatch, |s| s.nonce = None);
    not_proven(VerifyError::PublicValueMismatch, |dvr, s| {
        dvr.nonce = Some("nonce-2".into());
        s.nonce = dvr.nonce.clone();
    });
    not_proven(VerifyError::PublicValueMismatch, |dvr, s| {
        dvr.nonce = None;
        s.nonce = None;
    });
}

#[test]
fn audience() {
    refused(VerifyError::AudienceMismatch, |s| {
        s.audience = Some("https://bank.example/".into())
    });
    refused(VerifyError::AudienceMismatch, |s| s.audience = None);
    not_proven(VerifyError::PublicValueMismatch, |dvr, s| {
        dvr.audience = Some("https://shop.example".into());
        s.audience = dvr.audience.clone();
    });
}

#[test]
fn output_values() {
    use OutputValue::{Boolean, Integer, String};
    let mismatch = || VerifyError::PublicValueMismatch;
    for (name, value) in [
        ("adult", Boolean(false)),
        ("solvent", Boolean(false)),
        ("score", Integer(713)),
        ("score", Integer(-712)),
        ("name", String("Ane".into())),
        ("name", String("Ana ".into())),
        ("name", String(std::string::String::new())),
        // The same bits under another type.
        ("adult", Integer(1)),
        ("score", String("712".into())),
        ("score", Boolean(true)),
        ("name", Boolean(true)),
    ] {
        refused(mismatch(), |s| set_output(s, name, value));
    }
}

#[test]
fn output_entries() {
    let mismatch = || VerifyError::PublicValueMismatch;
    // Left out, one by one.
    for index in 0..fixture().claims.statement.output.len() {
        refused(mismatch(), |s| drop(s.output.remove(index)));
    }
    refused(mismatch(), |s| s.output.clear());
    // Added: the output of the branch that was not taken.
    refused(mismatch(), |s| {
        let value = OutputValue::String("gold".into());
        let index = output(s, "solvent");
        s.output.insert(
            index,
            OutputEntry {
                name: "tier".into(),
                value,
            },
        );
    });
    // Names and order that no run of the query has.
    refused(VerifyError::WrongShape, |s| s.output.swap(0, 1));
    refused(VerifyError::WrongShape, |s| {
        s.output[0].name = "Adult".into()
    });
    refused(VerifyError::WrongShape, |s| {
        let value = OutputValue::Boolean(true);
        s.output.push(OutputEntry {
            name: "more".into(),
            value,
        });
    });
}
