//! What neither a genuine quote nor one of the development TEE provokes.

use std::{iter::once, time::Duration};

use dcap_qvl::quote::Report;
use dcap_webpki::Error as CertificateError;
use rustls_pki_types::UnixTime;

use super::*;

const EXTENDED: &[u8] =
    include_bytes!("../../tests/vectors/tdx/v5-td15ex-phala-uptodate.quote.bin");
const TDX_1_5: &[u8] = include_bytes!("../../tests/vectors/tdx/v5-phala-no-tcb-level.quote.bin");

const EPOCH: UnixTime = UnixTime::since_unix_epoch(Duration::ZERO);

#[test]
fn the_pinned_root_is_intels() {
    assert_eq!(
        hex(&RustCryptoCrypto::sha256(INTEL_ROOT)),
        "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"
    );
}

#[test]
fn service_tds_are_refused() {
    for quote in [EXTENDED, TDX_1_5] {
        let parsed = ParsedQuote::parse(quote).unwrap();
        assert_eq!(check_attributes(parsed.report()), Ok(()));
        // MRSERVICETD ends a report of TDX 1.5.
        let mut changed = quote.to_vec();
        changed[48 + 6 + 647] = 1;
        let parsed = ParsedQuote::parse(&changed).unwrap();
        assert_eq!(
            check_attributes(parsed.report()),
            Err(TdxError::ServiceTd.into())
        );
    }
}

fn cause(certificate: Option<&CertificateError>, message: &str, report: &Report) -> EvidenceError {
    refusal::cause(certificate, once(message.to_owned()), report)
}

#[test]
fn unknown_refusals_stay_refusals() {
    let parsed = ParsedQuote::parse(EXTENDED).unwrap();
    let report = parsed.report();
    for message in ["", "something new", "Debug mode is enabled"] {
        assert_eq!(cause(None, message, report), TdxError::Rejected.into());
    }
    for (error, expected) in [
        (
            CertificateError::CertExpired {
                time: EPOCH,
                not_after: EPOCH,
            },
            TdxError::CertificateExpired,
        ),
        (
            CertificateError::UnknownIssuer,
            TdxError::UntrustedCertificate,
        ),
        (CertificateError::BadDer, TdxError::UntrustedCertificate),
    ] {
        assert_eq!(
            cause(Some(&error), "No matching TCB level found", report),
            expected.into()
        );
    }
}
