//! Genuine quotes and collateral, each changed in one way: each has one refusal.

mod tdx_common;

use serde_json::{Value, json};
use tdx_common::*;
use zkpass_attest::{
    Binding, Evidence, EvidenceError, inspect,
    tdx::{MAX_COLLATERAL_BYTES, MAX_QUOTE_BYTES, TdxError},
    verify,
};

/// Changed evidence, judged as the unchanged would be.
fn refusal_of(quote: &[u8], collateral: &[u8]) -> EvidenceError {
    let evidence = Evidence::Tdx { quote, collateral };
    let bound = PHALA_V4.report_data();
    verify(
        &evidence,
        &PHALA_V4.policy(),
        &Binding::to(&bound),
        PHALA_V4.now,
    )
    .unwrap_err()
}

fn of_quote(change: impl FnOnce(&mut Vec<u8>)) -> EvidenceError {
    let mut quote = PHALA_V4_QUOTE.to_vec();
    change(&mut quote);
    refusal_of(&quote, PHALA_V4_COLLATERAL)
}

fn of_collateral(change: impl FnOnce(&mut Value)) -> EvidenceError {
    let mut collateral = serde_json::from_slice(PHALA_V4_COLLATERAL).unwrap();
    change(&mut collateral);
    refusal_of(PHALA_V4_QUOTE, collateral.to_string().as_bytes())
}

/// What refuses a change.
type Change<'a, T> = (TdxError, &'a dyn Fn(&mut T));

/// Replaces text inside a member.
fn replace(member: &mut Value, old: &str, new: &str) {
    let text = member.as_str().unwrap();
    assert!(text.contains(old), "{old}");
    *member = text.replacen(old, new, 1).into();
}

fn put(quote: &mut [u8], at: usize, bytes: &[u8]) {
    quote[at..at + bytes.len()].copy_from_slice(bytes);
}

#[test]
fn what_the_attestation_key_signed_cannot_change() {
    for at in [
        8,
        28,
        47,
        48,
        TD_ATTRIBUTES,
        TD_ATTRIBUTES + 3,
        MRTD,
        REPORT_DATA,
        REPORT_DATA + 63,
        SIGNATURE,
        SIGNATURE + 63,
    ] {
        let refusal = of_quote(|quote| quote[at] ^= 1);
        assert_eq!(refusal, TdxError::Signature.into(), "{at}");
    }
}

#[test]
fn the_attestation_key_is_the_quoting_enclaves() {
    use TdxError as E;
    for (at, error) in [
        (ATTESTATION_KEY, E::QeReportData),
        (QE_AUTHENTICATION + 2, E::QeReportData),
        (QE_REPORT, E::QeReportSignature),
        (QE_REPORT + 383, E::QeReportSignature),
        (QE_REPORT_SIGNATURE, E::QeReportSignature),
    ] {
        assert_eq!(of_quote(|quote| quote[at] ^= 1), error.into(), "{at}");
    }
    // A byte less of authentication data, all lengths right.
    let shorter = of_quote(|quote| {
        quote.remove(QE_AUTHENTICATION + 2);
        for at in [SIGNATURE_LENGTH, QE_REPORT - 4] {
            quote[at] -= 1;
        }
        quote[QE_AUTHENTICATION] -= 1;
    });
    assert_eq!(shorter, E::QeReportData.into());
}

#[test]
fn the_form_of_a_quote_is_exact() {
    use TdxError as E;
    let hex = zkpass_core::encoding::hex(PHALA_V4_QUOTE);
    let cases: &[Change<'_, Vec<u8>>] = &[
        (E::QuoteTruncated, &|quote| quote.truncate(3000)),
        (E::QuoteTruncated, &|quote| quote.truncate(47)),
        (E::QuoteTruncated, &|quote| quote.truncate(SIGNATURE - 1)),
        (E::QuoteTruncated, &|quote| quote.clear()),
        (E::QuoteTooLarge, &|quote| {
            quote.resize(MAX_QUOTE_BYTES + 1, 0)
        }),
        (E::TrailingBytes, &|quote| quote.push(1)),
        (E::TrailingBytes, &|quote| {
            let end = PHALA_V4_QUOTE.len() - 70;
            quote[end] = 1;
        }),
        (E::UnsupportedVersion(0x3430), &|quote| {
            *quote = hex.clone().into_bytes()
        }),
        (E::UnsupportedVersion(3), &|quote| quote[0] = 3),
        (E::UnsupportedKeyType, &|quote| quote[2] = 3),
        (E::NotATd, &|quote| quote[4] = 0),
        (E::UnknownQeVendor, &|quote| quote[12] ^= 1),
        // The quoting enclave's certification data is of type 6, and of its length.
        (E::MalformedQuote, &|quote| quote[QE_REPORT - 6] = 5),
        (E::MalformedQuote, &|quote| quote[QE_REPORT - 4] -= 1),
        (E::MalformedQuote, &|quote| quote[SIGNATURE_LENGTH] += 1),
        (E::MalformedQuote, &|quote| {
            quote[QE_AUTHENTICATION + 36] -= 1
        }),
        (E::NoPckChain, &|quote| quote[QE_AUTHENTICATION + 34] = 3),
        (E::MalformedPckChain, &|quote| {
            quote[QE_AUTHENTICATION + 50] = b'!'
        }),
    ];
    for (index, (error, change)) in cases.iter().enumerate() {
        assert_eq!(of_quote(change), error.clone().into(), "case {index}");
    }
    // Padding is not part of it.
    let padded = [PHALA_V4_QUOTE, &[0; 3000]].concat();
    let bare = &PHALA_V4_QUOTE[..PHALA_V4_QUOTE.len() - 70];
    for quote in [&padded, bare] {
        assert!(Case { quote, ..PHALA_V4 }.verify().is_ok());
    }
}

#[test]
fn a_quote_of_version_5_names_its_body() {
    use TdxError as E;
    for (body_type, error) in [
        (1, E::NotATd),
        (2, E::MalformedQuote),
        (3, E::MalformedQuote),
        (9, E::MalformedQuote),
    ] {
        let mut quote = PHALA_V5_QUOTE.to_vec();
        quote[48] = body_type;
        let refused = inspect(&Evidence::Tdx {
            quote: &quote,
            collateral: &[],
        });
        let refused = refused.unwrap_err();
        // Where another length is read from, the quote may seem to end too early.
        let truncated = refused == E::QuoteTruncated.into();
        assert!(
            truncated || refused == error.into(),
            "{body_type}: {refused}"
        );
    }
    let truncated = Evidence::Tdx {
        quote: &PHALA_V5_QUOTE[..49],
        collateral: &[],
    };
    assert_eq!(inspect(&truncated).unwrap_err(), E::QuoteTruncated.into());
}

#[test]
fn intel_signed_the_collateral() {
    use TdxError as E;
    let cases: &[Change<'_, Value>] = &[
        (E::TcbInfoSignature, &|all| {
            let number = "\"tcbEvaluationDataNumber\":";
            replace(
                &mut all["tcb_info"],
                &format!("{number}17"),
                &format!("{number}18"),
            );
        }),
        (E::TcbInfoSignature, &|all| {
            all["tcb_info_signature"] = "01".repeat(64).into()
        }),
        (E::Rejected, &|all| {
            all["tcb_info_signature"] = "00".repeat(31).into()
        }),
        (E::QeIdentitySignature, &|all| {
            replace(&mut all["qe_identity"], "\"isvsvn\":4", "\"isvsvn\":1");
        }),
        (E::QeIdentitySignature, &|all| {
            all["qe_identity_signature"] = all["tcb_info_signature"].clone();
        }),
        (E::RevocationUnknown, &|all| {
            all["pck_crl"] = all["root_ca_crl"].clone()
        }),
        (E::CrlSignature, &|all| {
            all["root_ca_crl"] = all["pck_crl"].clone()
        }),
        (E::CrlSignature, &|all| {
            let text = all["pck_crl"].as_str().unwrap();
            let kept = text.len() - 2;
            all["pck_crl"] = format!("{}{}", &text[..kept], "00").into();
        }),
        (E::MalformedCrl, &|all| all["pck_crl"] = "3000".into()),
        (E::MalformedCrl, &|all| all["root_ca_crl"] = "".into()),
        (E::UntrustedCertificate, &|all| {
            all["tcb_info_issuer_chain"] = all["pck_crl_issuer_chain"].clone();
        }),
    ];
    for (index, (error, change)) in cases.iter().enumerate() {
        assert_eq!(of_collateral(change), error.clone().into(), "case {index}");
    }
}

#[test]
fn zeroed_signatures_are_refused() {
    let zeros = || Value::from("00".repeat(64));
    let tcb_info = of_collateral(|all| all["tcb_info_signature"] = zeros());
    assert_eq!(tcb_info, TdxError::TcbInfoSignature.into());
    let qe_identity = of_collateral(|all| all["qe_identity_signature"] = zeros());
    assert_eq!(qe_identity, TdxError::QeIdentitySignature.into());
    let quote = of_quote(|quote| put(quote, SIGNATURE, &[0; 64]));
    assert_eq!(quote, TdxError::Signature.into());
    let qe_report = of_quote(|quote| put(quote, QE_REPORT_SIGNATURE, &[0; 64]));
    assert_eq!(qe_report, TdxError::QeReportSignature.into());
}

#[test]
fn collateral_is_of_this_platform_and_kind() {
    let other_family = Case {
        collateral: FAMILY_50806F,
        now: time("2026-03-20T00:00:00Z"),
        ..PHALA_V4
    };
    assert_eq!(other_family.refusal(), TdxError::FmspcMismatch.into());
    // Intel's own, for SGX.
    let sgx: Value = serde_json::from_slice(SGX_QE_IDENTITY).unwrap();
    let of_sgx = of_collateral(|all| {
        for (name, value) in sgx.as_object().unwrap() {
            all[name] = value.clone();
        }
    });
    assert_eq!(of_sgx, TdxError::WrongQeIdentity.into());
    let of_sgx =
        of_collateral(|all| replace(&mut all["tcb_info"], "\"id\":\"TDX\"", "\"id\":\"SGX\""));
    assert_eq!(of_sgx, TdxError::WrongTcbInfo.into());
}

#[test]
fn a_chain_in_the_collateral_may_only_repeat_the_quotes() {
    // The pair of the fifth version carries its chain twice, and is accepted.
    let twice: Value = serde_json::from_slice(PHALA_V5_COLLATERAL).unwrap();
    assert!(twice["pck_certificate_chain"].is_string());
    assert!(PHALA_V5.verify().is_ok());
    let chain = twice["pck_certificate_chain"].as_str().unwrap();

    let others = of_collateral(|all| all["pck_certificate_chain"] = chain.into());
    assert_eq!(others, TdxError::PckChainReplaced.into());
    let broken = of_collateral(|all| all["pck_certificate_chain"] = "".into());
    assert_eq!(broken, TdxError::MalformedPckChain.into());
    // The chain of another quote inside this one, at a time when both hold.
    let mut swapped = PHALA_V4_QUOTE.to_vec();
    let start = QE_AUTHENTICATION + 2 + 32 + 6;
    let end = PHALA_V4_QUOTE.len() - 70;
    let added = u8::try_from(chain.len() - (end - start)).unwrap();
    swapped.splice(start..end, chain.bytes());
    for at in [SIGNATURE_LENGTH, QE_REPORT - 4, start - 4] {
        swapped[at] += added;
    }
    // The other platform was certified later than this collateral.
    let too_early = refusal_of(&swapped, PHALA_V4_COLLATERAL);
    assert_eq!(too_early, TdxError::CertificateNotYetValid.into());
    let swapped = Case {
        quote: &swapped,
        collateral: FAMILY_B0C06F,
        now: OCTOBER_2026,
    };
    assert_eq!(swapped.refusal(), TdxError::QeReportSignature.into());
}

#[test]
fn collateral_is_strict_json() {
    use TdxError as E;
    let text = std::str::from_utf8(PHALA_V4_COLLATERAL).unwrap();
    let cases = [
        (String::new(), E::NoCollateral),
        (" ".into(), E::MalformedCollateral),
        ("null".into(), E::MalformedCollateral),
        ("[]".into(), E::MalformedCollateral),
        ("{}".into(), E::MalformedCollateral),
        (format!("{text}1"), E::MalformedCollateral),
        (
            text.replacen('{', "{\"pck_crl\":\"3000\",", 1),
            E::MalformedCollateral,
        ),
        (text.replacen('{', "{\"tcb\":1,", 1), E::MalformedCollateral),
        (
            text.replacen("pck_crl_issuer_chain", "pck_crl_issuer_chains", 1),
            E::MalformedCollateral,
        ),
        (
            text.to_owned() + &" ".repeat(MAX_COLLATERAL_BYTES),
            E::CollateralTooLarge,
        ),
    ];
    for (index, (collateral, error)) in cases.into_iter().enumerate() {
        let refusal = refusal_of(PHALA_V4_QUOTE, collateral.as_bytes());
        assert_eq!(refusal, error.into(), "case {index}");
    }
    let not_text = refusal_of(PHALA_V4_QUOTE, &[0xff]);
    assert_eq!(not_text, E::MalformedCollateral.into());
    for (name, value) in [
        ("pck_crl", json!("xy")),
        ("pck_crl", json!("308")),
        ("pck_crl", json!([48, 0])),
        ("tcb_info", json!("{")),
        ("tcb_info", json!({})),
        ("qe_identity", json!("{\"id\":\"TD_QE\"}")),
        ("pck_certificate_chain", json!(1)),
    ] {
        let refusal = of_collateral(|all| all[name] = value.clone());
        assert_eq!(refusal, E::MalformedCollateral.into(), "{name}: {value}");
    }
    for (old, new) in [
        ("2025-06-19T10:16:03Z", "2025-06-19T10:16:03+00:00"),
        ("2025-06-19T10:16:03Z", "2025-06-31T10:16:03Z"),
        ("2025-06-19T10:16:03Z", "2025-06-19T24:16:03Z"),
        ("2025-06-19T10:16:03Z", "2025-06-19T10:16:3Z"),
        ("\"version\":3", "\"version\":3,\"version\":3"),
    ] {
        let refusal = of_collateral(|all| replace(&mut all["tcb_info"], old, new));
        assert_eq!(refusal, E::MalformedCollateral.into(), "{new}");
    }
}

#[test]
fn no_truncation_and_no_flip_is_accepted() {
    let end = PHALA_V4_QUOTE.len() - 70;
    for length in (0..end).step_by(7).chain([end - 1]) {
        let quote = &PHALA_V4_QUOTE[..length];
        refusal_of(quote, PHALA_V4_COLLATERAL);
        let _ = inspect(&Evidence::Tdx {
            quote,
            collateral: &[],
        });
    }
    for at in (0..PHALA_V4_QUOTE.len()).step_by(13) {
        of_quote(|quote| quote[at] ^= 1 << (at % 8));
    }
    for length in (0..PHALA_V4_COLLATERAL.len()).step_by(101) {
        refusal_of(PHALA_V4_QUOTE, &PHALA_V4_COLLATERAL[..length]);
    }
}

#[test]
fn a_flip_in_the_collateral_changes_nothing_that_counts() {
    // Issuer chains may vary in what is not used: only the list of revoked
    // certificates, the TCB info and the QE identity decide.
    let counted: Value = serde_json::from_slice(PHALA_V4_COLLATERAL).unwrap();
    let mut accepted = 0;
    for at in (0..PHALA_V4_COLLATERAL.len()).step_by(211) {
        let mut collateral = PHALA_V4_COLLATERAL.to_vec();
        collateral[at] ^= 1;
        let case = Case {
            collateral: &collateral,
            ..PHALA_V4
        };
        if case.at(JULY_2025).accepts_as(&PHALA_V4) {
            let changed: Value = serde_json::from_slice(&collateral).unwrap();
            for name in ["tcb_info", "qe_identity", "root_ca_crl", "pck_crl"] {
                assert_eq!(changed[name], counted[name], "{name} at {at}");
            }
            accepted += 1;
        }
    }
    assert!(accepted < 30, "{accepted}");
}
