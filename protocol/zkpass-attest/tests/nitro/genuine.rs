//! Every genuine document, at its own time and around its window.

use sha2::{Digest, Sha256};
use zkpass_attest::{Binding, Evidence, EvidenceError, Facts, inspect, nitro::NitroError};

use crate::support::*;

#[test]
fn the_files_are_the_listed_ones() {
    let vectors = Vector::all();
    assert_eq!(vectors.len(), 9);
    for vector in vectors {
        let digest: [u8; 32] = Sha256::digest(&vector.bytes).into();
        let listed = unhex(vector.entry["sha256"].as_str().unwrap());
        assert_eq!(digest.as_slice(), listed, "{}", vector.file);
    }
}

#[test]
fn the_root_is_the_one_that_aws_publishes() {
    let root = include_bytes!("../../roots/nitro/aws-nitro-enclaves-g1.der");
    let digest: [u8; 32] = Sha256::digest(root).into();
    let published = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b";
    assert_eq!(digest.as_slice(), unhex(published));
}

#[test]
fn each_gets_its_verdict_at_its_own_time() {
    let mut accepted = 0;
    for vector in Vector::all() {
        let verdict = vector.verdict();
        let file = &vector.file;
        if !vector.has_valid_signature() {
            let error = NitroError::WrongSignature.into();
            assert_eq!(verdict.unwrap_err(), error, "{file}");
        } else if vector.is_debug() {
            assert_eq!(verdict.unwrap_err(), EvidenceError::DebugMode, "{file}");
        } else {
            let claims = verdict.unwrap();
            let pcr0 = vector.entry["pcrs"]["0"].as_str().unwrap();
            assert_eq!(claims.measurement(), "build");
            assert_eq!(claims.measurement_id(), format!("nitro:{pcr0}"));
            assert_eq!(claims.valid_until(), vector.seconds("chain_valid_until"));
            assert!(!claims.is_development());
            accepted += 1;
        }
    }
    assert_eq!(accepted, 4);
}

#[test]
fn the_window_of_the_chain_ends_to_the_second() {
    for vector in Vector::production() {
        let (from, until) = (
            vector.seconds("chain_valid_from"),
            vector.seconds("chain_valid_until"),
        );
        let at = |now| vector.verdict_on(&vector.bytes, now);
        assert_eq!(
            at(from - 1).unwrap_err(),
            NitroError::CertificateNotYetValid(4).into()
        );
        // At the first second of the chain the document is still to be made.
        assert_eq!(at(from).unwrap_err(), NitroError::FromTheFuture.into());
        assert!(at(vector.now()).is_ok());
        assert!(at(until).is_ok());
        assert_eq!(
            at(until + 1).unwrap_err(),
            NitroError::CertificateExpired(4).into()
        );
    }
}

#[test]
fn debug_documents_are_refused_outside_the_window_for_their_time() {
    let vector = Vector::named("2022-10-12");
    let late = vector.seconds("chain_valid_until") + 1;
    let early = vector.seconds("chain_valid_from") - 1;
    let at = |now| vector.verdict_on(&vector.bytes, now).unwrap_err();
    assert_eq!(at(late), NitroError::CertificateExpired(4).into());
    assert_eq!(at(early), NitroError::CertificateNotYetValid(4).into());
}

#[test]
fn inspection_shows_all_of_each_whatever_its_verdict() {
    for vector in Vector::all() {
        let evidence = Evidence::Nitro {
            document: &vector.bytes,
        };
        let Facts::Nitro(facts) = inspect(&evidence).unwrap() else {
            panic!("another platform");
        };
        assert_eq!(facts.debug, vector.is_debug());
        assert_eq!(facts.timestamp_ms, vector.timestamp_ms());
        assert_eq!(facts.chain_valid_from, vector.seconds("chain_valid_from"));
        assert_eq!(facts.chain_valid_until, vector.seconds("chain_valid_until"));
        let json = serde_json::to_value(Facts::Nitro(facts)).unwrap();
        assert_eq!(json["platform"], "nitro");
        assert_eq!(
            json["root_sha256"],
            "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"
        );
        let same = [
            "module_id",
            "timestamp",
            "pcrs",
            "zero_pcrs",
            "public_key",
            "user_data",
            "nonce",
        ];
        for member in same {
            assert_eq!(json[member], vector.entry[member], "{member}");
        }
    }
}

#[test]
fn claims_have_each_member_once_in_json() {
    let claims = Vector::named("worldcoin").verdict().unwrap();
    let text = serde_json::to_string(&claims).unwrap();
    for member in ["accepted_as", "valid_until", "chain_valid_until", "pcrs"] {
        assert_eq!(
            text.matches(&format!("\"{member}\":")).count(),
            1,
            "{member}"
        );
    }
}

#[test]
fn an_empty_member_is_not_an_absent_one() {
    let empty = Vector::named("pcr16");
    let absent = Vector::named("worldcoin");
    let bound = |vector: &Vector, binding| {
        judge(&vector.bytes, &vector.policy(), &binding, vector.now()).map(|_| ())
    };
    assert_eq!(bound(&empty, Binding::to(b"")), Ok(()));
    assert_eq!(
        bound(&absent, Binding::to(b"")),
        Err(EvidenceError::WrongBinding)
    );
    assert_eq!(
        bound(&empty, Binding::unbound().with_nonce(b"")),
        Err(EvidenceError::WrongNonce)
    );
}
