//! Which check of `dcap-qvl` refused.
//!
//! It returns prose. Errors of certificates are found inside by their type. The
//! rest is told by the text of the pinned version, and the tests provoke each;
//! a text that is not here gives [`TdxError::Rejected`], never acceptance.

use dcap_qvl::quote::Report;
use dcap_webpki::Error as CertificateError;

use super::{TdxError, quote::check_attributes};
use crate::EvidenceError;

/// Beginnings of messages, and what they mean.
const MESSAGES: [(&str, TdxError); 17] = [
    (
        "Signature is invalid for tcb_info",
        TdxError::TcbInfoSignature,
    ),
    (
        "Signature is invalid for qe_identity",
        TdxError::QeIdentitySignature,
    ),
    (
        "Signature is invalid for qe_report",
        TdxError::QeReportSignature,
    ),
    ("QE report hash mismatch", TdxError::QeReportData),
    ("Invalid QE auth data length", TdxError::QeReportData),
    ("QE MRSIGNER mismatch", TdxError::WrongQe),
    ("QE ISVPRODID mismatch", TdxError::WrongQe),
    ("QE MISCSELECT mismatch", TdxError::WrongQe),
    ("QE ATTRIBUTES mismatch", TdxError::WrongQe),
    ("QE ISVSVN", TdxError::WrongQe),
    ("Unsupported QE Identity", TdxError::WrongQeIdentity),
    (
        "ISV enclave report signature is invalid",
        TdxError::Signature,
    ),
    ("TDX quote with non-TDX TCB info", TdxError::WrongTcbInfo),
    ("TDX module identity check", TdxError::WrongModule),
    ("TDX module TCB level check", TdxError::WrongModule),
    ("No matching TCB level found", TdxError::NoTcbLevel),
    ("TCB status is invalid: Revoked", TdxError::TcbRevoked),
];

/// Beginnings of messages about the TD itself, after all signatures hold.
const ATTRIBUTE_MESSAGES: [&str; 7] = [
    "Debug mode is enabled",
    "TD profiling is enabled",
    "Reserved bits in TD attributes are set",
    "TD migration is enabled",
    "SERVTD_EXT is enabled",
    "SEPT_VE_DISABLE is not enabled",
    "Invalid MR service TD",
];

/// The cause of a refusal, from the error of a certificate if there is one, and
/// the messages from the outermost to the innermost.
pub(super) fn cause<'a>(
    certificate: Option<&CertificateError>,
    messages: impl Iterator<Item = String> + Clone + 'a,
    report: &Report,
) -> EvidenceError {
    if let Some(error) = certificate {
        return certificate_cause(error).into();
    }
    // Outermost only: the same words about the quoting enclave lie further in.
    let outermost = messages.clone().next().unwrap_or_default();
    if starts_with_any(&outermost, &ATTRIBUTE_MESSAGES) {
        return check_attributes(report)
            .err()
            .unwrap_or_else(|| TdxError::Rejected.into());
    }
    messages
        .into_iter()
        .find_map(|message| {
            let known = |(start, _): &&(&str, TdxError)| message.starts_with(start);
            MESSAGES.iter().find(known).map(|(_, cause)| cause.clone())
        })
        .unwrap_or(TdxError::Rejected)
        .into()
}

fn starts_with_any(text: &str, starts: &[&str]) -> bool {
    starts.iter().any(|start| text.starts_with(start))
}

fn certificate_cause(error: &CertificateError) -> TdxError {
    match error {
        CertificateError::CertExpired { .. } => TdxError::CertificateExpired,
        CertificateError::CertNotValidYet { .. } => TdxError::CertificateNotYetValid,
        CertificateError::CertRevoked => TdxError::CertificateRevoked,
        CertificateError::CrlExpired { .. } => TdxError::CrlExpired,
        CertificateError::UnknownRevocationStatus => TdxError::RevocationUnknown,
        CertificateError::InvalidCrlSignatureForPublicKey => TdxError::CrlSignature,
        _ => TdxError::UntrustedCertificate,
    }
}
