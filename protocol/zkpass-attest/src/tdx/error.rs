//! Why a quote is refused.

use thiserror::Error;

/// Why a quote is refused, beyond what every platform checks.
///
/// No message repeats bytes of unverified evidence.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TdxError {
    /// The time is before 1970.
    #[error("the time lies before 1970")]
    TimeOutOfRange,

    /// The quote has more than [`MAX_QUOTE_BYTES`](super::MAX_QUOTE_BYTES).
    #[error("the quote has more than {} bytes", super::MAX_QUOTE_BYTES)]
    QuoteTooLarge,
    /// The quote ends before its own lengths say so.
    #[error("the quote is truncated")]
    QuoteTruncated,
    /// Lengths inside the quote contradict each other.
    #[error("the quote is malformed")]
    MalformedQuote,
    /// The quote is neither of version 4 nor of version 5.
    #[error("quotes of version {0} are not supported")]
    UnsupportedVersion(u16),
    /// The quote is of something else than a TD, such as an SGX enclave.
    #[error("the quote is not of a TD")]
    NotATd,
    /// The quote is not signed with ECDSA on P-256.
    #[error("the quote is signed with an unsupported kind of key")]
    UnsupportedKeyType,
    /// The quoting enclave is not Intel's.
    #[error("the quoting enclave is not Intel's")]
    UnknownQeVendor,
    /// Something other than zero padding follows the signature.
    #[error("bytes other than zeros follow the quote")]
    TrailingBytes,
    /// The quote does not carry its own PCK certificate chain.
    #[error("the quote carries no PCK certificate chain")]
    NoPckChain,
    /// The chain is not a PCK certificate, its issuer and a root.
    #[error("the PCK certificate chain of the quote is malformed")]
    MalformedPckChain,

    /// There is no collateral.
    #[error("there is no collateral to judge the quote by")]
    NoCollateral,
    /// The collateral has more than [`MAX_COLLATERAL_BYTES`](super::MAX_COLLATERAL_BYTES).
    #[error("the collateral has more than {} bytes", super::MAX_COLLATERAL_BYTES)]
    CollateralTooLarge,
    /// The collateral is not strict JSON with exactly the expected members.
    #[error("the collateral is malformed")]
    MalformedCollateral,
    /// The collateral brings another PCK certificate chain than the quote.
    #[error("the collateral would replace the PCK certificate chain of the quote")]
    PckChainReplaced,

    /// The chain of the quote ends in another root than the trusted one.
    #[error("the quote does not stand under the trusted root")]
    UntrustedRoot,
    /// A certificate of the quote or the collateral does not lead to the root.
    #[error("a certificate does not lead to the trusted root")]
    UntrustedCertificate,
    /// A certificate has ended.
    #[error("a certificate has expired")]
    CertificateExpired,
    /// A certificate has not begun.
    #[error("a certificate is not valid yet")]
    CertificateNotYetValid,
    /// A certificate is revoked.
    #[error("a certificate is revoked")]
    CertificateRevoked,
    /// No revocation list speaks for a certificate.
    #[error("no revocation list covers a certificate")]
    RevocationUnknown,
    /// A revocation list cannot be read.
    #[error("a revocation list is malformed")]
    MalformedCrl,
    /// A revocation list is not signed by the authority that it names.
    #[error("the signature of a revocation list is invalid")]
    CrlSignature,
    /// A revocation list has ended.
    #[error("a revocation list has expired")]
    CrlExpired,
    /// A revocation list has not begun.
    #[error("a revocation list is not valid yet")]
    CrlNotYetValid,

    /// The TCB info is not TCB info of TDX.
    #[error("the TCB info is not for TDX")]
    WrongTcbInfo,
    /// The TCB info is of another kind of processor.
    #[error("the TCB info is for another family of processors (FMSPC)")]
    FmspcMismatch,
    /// The TCB info has not begun.
    #[error("the TCB info is not valid yet")]
    TcbInfoNotYetValid,
    /// The TCB info has ended.
    #[error("the TCB info has expired")]
    TcbInfoExpired,
    /// The TCB info is not what its signer signed.
    #[error("the signature of the TCB info is invalid")]
    TcbInfoSignature,

    /// The QE identity is not that of the TD quoting enclave.
    #[error("the QE identity is not that of the TD quoting enclave")]
    WrongQeIdentity,
    /// The QE identity has not begun.
    #[error("the QE identity is not valid yet")]
    QeIdentityNotYetValid,
    /// The QE identity has ended.
    #[error("the QE identity has expired")]
    QeIdentityExpired,
    /// The QE identity is not what its signer signed.
    #[error("the signature of the QE identity is invalid")]
    QeIdentitySignature,

    /// The PCK did not sign the report of the quoting enclave.
    #[error("the signature of the quoting enclave's report is invalid")]
    QeReportSignature,
    /// The quoting enclave did not make the attestation key.
    #[error("the attestation key is not the quoting enclave's")]
    QeReportData,
    /// The quoting enclave differs from the QE identity.
    #[error("the quoting enclave is not the one of the QE identity")]
    WrongQe,
    /// The attestation key did not sign the quote.
    #[error("the signature of the quote is invalid")]
    Signature,

    /// The TDX module is not signed as the TCB info says, or too old for it.
    #[error("the TDX module is not one of the TCB info")]
    WrongModule,
    /// The platform meets no TCB level.
    #[error("no TCB level of the TCB info matches the platform")]
    NoTcbLevel,
    /// The platform's keys are compromised.
    #[error("the TCB of the platform is revoked")]
    TcbRevoked,
    /// The policy does not accept the state of the platform.
    #[error("the TCB status is {status}{}", advisories(.advisory_ids))]
    TcbStatus {
        /// The status as Intel spells it.
        status: String,
        /// The advisories that apply.
        advisory_ids: Vec<String>,
    },
    /// The TD has an attribute that opens it, or lacks one that protects it.
    #[error("the TD attribute {0} has an unsafe value")]
    UnsafeAttribute(&'static str),
    /// Service TDs are bound to the TD.
    #[error("a service TD is bound to the TD")]
    ServiceTd,
    /// The platform may gain packages.
    #[error("the platform may gain packages after its registration")]
    DynamicPlatform,
    /// Intel may cache the platform's root keys.
    #[error("the platform's root keys are cached")]
    CachedKeys,
    /// Simultaneous multithreading is on.
    #[error("simultaneous multithreading is on")]
    SmtEnabled,
    /// The platform is none of the policy's.
    #[error("the platform is not one that the policy accepts")]
    WrongPlatform,

    /// It is refused for a cause that has no variant of its own.
    #[error("the quote or its collateral is refused")]
    Rejected,
}

impl TdxError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TimeOutOfRange => "tdx-time-out-of-range",
            Self::QuoteTooLarge => "tdx-quote-too-large",
            Self::QuoteTruncated => "tdx-quote-truncated",
            Self::MalformedQuote => "tdx-quote-malformed",
            Self::UnsupportedVersion(_) => "tdx-quote-version",
            Self::NotATd => "tdx-not-a-td",
            Self::UnsupportedKeyType => "tdx-key-type",
            Self::UnknownQeVendor => "tdx-qe-vendor",
            Self::TrailingBytes => "tdx-trailing-bytes",
            Self::NoPckChain => "tdx-no-pck-chain",
            Self::MalformedPckChain => "tdx-pck-chain-malformed",
            Self::NoCollateral => "tdx-no-collateral",
            Self::CollateralTooLarge => "tdx-collateral-too-large",
            Self::MalformedCollateral => "tdx-collateral-malformed",
            Self::PckChainReplaced => "tdx-pck-chain-replaced",
            Self::UntrustedRoot => "tdx-untrusted-root",
            Self::UntrustedCertificate => "tdx-untrusted-certificate",
            Self::CertificateExpired => "tdx-certificate-expired",
            Self::CertificateNotYetValid => "tdx-certificate-not-yet-valid",
            Self::CertificateRevoked => "tdx-certificate-revoked",
            Self::RevocationUnknown => "tdx-revocation-unknown",
            Self::MalformedCrl => "tdx-crl-malformed",
            Self::CrlSignature => "tdx-crl-signature",
            Self::CrlExpired => "tdx-crl-expired",
            Self::CrlNotYetValid => "tdx-crl-not-yet-valid",
            Self::WrongTcbInfo => "tdx-wrong-tcb-info",
            Self::FmspcMismatch => "tdx-fmspc-mismatch",
            Self::TcbInfoNotYetValid => "tdx-tcb-info-not-yet-valid",
            Self::TcbInfoExpired => "tdx-tcb-info-expired",
            Self::TcbInfoSignature => "tdx-tcb-info-signature",
            Self::WrongQeIdentity => "tdx-wrong-qe-identity",
            Self::QeIdentityNotYetValid => "tdx-qe-identity-not-yet-valid",
            Self::QeIdentityExpired => "tdx-qe-identity-expired",
            Self::QeIdentitySignature => "tdx-qe-identity-signature",
            Self::QeReportSignature => "tdx-qe-report-signature",
            Self::QeReportData => "tdx-qe-report-data",
            Self::WrongQe => "tdx-wrong-qe",
            Self::Signature => "tdx-signature",
            Self::WrongModule => "tdx-wrong-module",
            Self::NoTcbLevel => "tdx-no-tcb-level",
            Self::TcbRevoked => "tdx-tcb-revoked",
            Self::TcbStatus { .. } => "tdx-tcb-status",
            Self::UnsafeAttribute(_) => "tdx-unsafe-attribute",
            Self::ServiceTd => "tdx-service-td",
            Self::DynamicPlatform => "tdx-dynamic-platform",
            Self::CachedKeys => "tdx-cached-keys",
            Self::SmtEnabled => "tdx-smt-enabled",
            Self::WrongPlatform => "tdx-wrong-platform",
            Self::Rejected => "tdx-rejected",
        }
    }
}

fn advisories(ids: &[String]) -> String {
    if ids.is_empty() {
        String::new()
    } else {
        format!(" ({})", ids.join(", "))
    }
}
