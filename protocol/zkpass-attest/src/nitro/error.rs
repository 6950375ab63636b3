//! Why a document is refused.

use super::{CborError, CertificateError, MAX_BUNDLE, MAX_DOCUMENT_BYTES};

/// Why a document is refused, beyond what every platform checks.
///
/// Certificates are counted along the chain: 0 is the root, the last one signs the document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NitroError {
    /// It is larger than the Nitro Secure Module can answer.
    #[error("the document has more than {MAX_DOCUMENT_BYTES} bytes")]
    TooLarge,
    /// It is not the CBOR that was due.
    #[error("the document is malformed: {0}")]
    Malformed(#[from] CborError),
    /// It has a tag of something else than COSE_Sign1.
    #[error("the document has the tag {0}, not 18 of COSE_Sign1")]
    WrongTag(u64),
    /// It is an array of another length than COSE_Sign1.
    #[error("the document is not an array of four")]
    NotSign1,
    /// The protected header names no algorithm.
    #[error("the protected header names no algorithm")]
    MissingAlgorithm,
    /// The protected header names another algorithm than ES384.
    #[error("the signature algorithm is not ES384")]
    WrongAlgorithm,
    /// The protected header asks for extensions to be understood.
    #[error("the protected header has critical parameters")]
    CriticalHeader,
    /// The protected header has more than the algorithm.
    #[error("the protected header has parameters besides the algorithm")]
    ExtraHeader,
    /// The unprotected header is not empty.
    #[error("the unprotected header is not empty")]
    UnprotectedHeader,
    /// The signature has another length than an ES384 signature.
    #[error("the signature has {bytes} bytes, not 96")]
    SignatureLength {
        /// Its length.
        bytes: usize,
    },
    /// A number in the signature is zero or not below the order of the curve.
    #[error("the signature has a number out of range")]
    SignatureRange,
    /// A member that documents of enclaves do not have.
    #[error("the document has a member that documents of enclaves do not have")]
    UnknownMember,
    /// A member occurs twice.
    #[error("the document has `{0}` twice")]
    RepeatedMember(&'static str),
    /// A required member is absent.
    #[error("the document has no `{0}`")]
    MissingMember(&'static str),
    /// A member is empty or longer than it may be.
    #[error("`{member}` has {bytes} bytes, which is too few or too many")]
    MemberLength {
        /// Its name.
        member: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// The registers are digests of another function than SHA-384.
    #[error("the digest is not SHA384")]
    WrongDigest,
    /// The time is zero or after the year 9999.
    #[error("the document has an impossible time")]
    BadTimestamp,
    /// A register has an index out of range.
    #[error("there is no PCR {0}")]
    PcrIndex(u64),
    /// A register has another length than a SHA-384 digest.
    #[error("PCR {index} has {bytes} bytes, not 48")]
    PcrLength {
        /// Its index.
        index: u8,
        /// Its length.
        bytes: usize,
    },
    /// A register occurs twice.
    #[error("the document has PCR {0} twice")]
    RepeatedPcr(u8),
    /// PCR0, which measures the image, is absent although others are not.
    #[error("the document has no PCR0")]
    NoPcr0,
    /// There are no certificates between root and signer.
    #[error("the document has no issuing certificates")]
    EmptyBundle,
    /// There are more certificates than any chain of AWS has.
    #[error("the document has more than {MAX_BUNDLE} issuing certificates")]
    LongBundle,
    /// A certificate is not of the kind that AWS issues.
    #[error("certificate {index} is refused: {error}")]
    Certificate {
        /// Which.
        index: usize,
        /// Why.
        error: CertificateError,
    },
    /// The first certificate is not the pinned root.
    #[error("the chain does not begin with the trusted root")]
    UnknownRoot,
    /// A certificate occurs twice.
    #[error("certificate {0} is in the chain twice")]
    RepeatedCertificate(usize),
    /// A certificate names another issuer than the one before it.
    #[error("certificate {0} was not issued by the one before it")]
    WrongIssuer(usize),
    /// A certificate issues another and may not.
    #[error("certificate {0} may not issue certificates")]
    NotAnIssuer(usize),
    /// More certificates follow than an issuer allows.
    #[error("certificate {0} allows fewer certificates after it")]
    PathTooLong(usize),
    /// The last certificate may issue certificates, or may not sign documents.
    #[error("the last certificate is not one that signs documents")]
    NotASigner,
    /// The signature on a certificate does not verify.
    #[error("the signature on certificate {0} is wrong")]
    CertificateSignature(usize),
    /// A certificate is not valid yet.
    #[error("certificate {0} is not valid yet")]
    CertificateNotYetValid(usize),
    /// A certificate has expired.
    #[error("certificate {0} has expired")]
    CertificateExpired(usize),
    /// The signature on the document does not verify.
    #[error("the signature on the document is wrong")]
    WrongSignature,
    /// The document was made after now, by more than the policy's allowance.
    #[error("the time of the document lies in the future")]
    FromTheFuture,
    /// The document is older than the policy allows.
    #[error("the document is older than the policy allows")]
    TooOld,
}

impl NitroError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "nitro-too-large",
            Self::Malformed(_) => "nitro-malformed",
            Self::WrongTag(_) => "nitro-wrong-tag",
            Self::NotSign1 => "nitro-not-sign1",
            Self::MissingAlgorithm => "nitro-missing-algorithm",
            Self::WrongAlgorithm => "nitro-wrong-algorithm",
            Self::CriticalHeader => "nitro-critical-header",
            Self::ExtraHeader => "nitro-extra-header",
            Self::UnprotectedHeader => "nitro-unprotected-header",
            Self::SignatureLength { .. } => "nitro-signature-length",
            Self::SignatureRange => "nitro-signature-range",
            Self::UnknownMember => "nitro-unknown-member",
            Self::RepeatedMember(_) => "nitro-repeated-member",
            Self::MissingMember(_) => "nitro-missing-member",
            Self::MemberLength { .. } => "nitro-member-length",
            Self::WrongDigest => "nitro-wrong-digest",
            Self::BadTimestamp => "nitro-bad-timestamp",
            Self::PcrIndex(_) => "nitro-pcr-index",
            Self::PcrLength { .. } => "nitro-pcr-length",
            Self::RepeatedPcr(_) => "nitro-repeated-pcr",
            Self::NoPcr0 => "nitro-no-pcr0",
            Self::EmptyBundle => "nitro-empty-bundle",
            Self::LongBundle => "nitro-long-bundle",
            Self::Certificate { .. } => "nitro-certificate",
            Self::UnknownRoot => "nitro-unknown-root",
            Self::RepeatedCertificate(_) => "nitro-repeated-certificate",
            Self::WrongIssuer(_) => "nitro-wrong-issuer",
            Self::NotAnIssuer(_) => "nitro-not-an-issuer",
            Self::PathTooLong(_) => "nitro-path-too-long",
            Self::NotASigner => "nitro-not-a-signer",
            Self::CertificateSignature(_) => "nitro-certificate-signature",
            Self::CertificateNotYetValid(_) => "nitro-certificate-not-yet-valid",
            Self::CertificateExpired(_) => "nitro-certificate-expired",
            Self::WrongSignature => "nitro-wrong-signature",
            Self::FromTheFuture => "nitro-from-the-future",
            Self::TooOld => "nitro-too-old",
        }
    }
}
