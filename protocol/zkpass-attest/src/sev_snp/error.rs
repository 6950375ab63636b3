//! Why a report is refused, beyond what every platform checks.

use std::fmt;

use thiserror::Error;

use super::report::{MAX_ENDORSEMENT_BYTES, REPORT_BYTES};

/// A certificate's place in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// AMD root key.
    Ark,
    /// AMD SEV key: signs VCEKs.
    Ask,
    /// AMD SEV VLEK key: signs VLEKs.
    Asvk,
    /// Versioned chip endorsement key.
    Vcek,
    /// Versioned loaded endorsement key: a cloud provider's.
    Vlek,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ark => "ARK",
            Self::Ask => "ASK",
            Self::Asvk => "ASVK",
            Self::Vcek => "VCEK",
            Self::Vlek => "VLEK",
        })
    }
}

/// A part of TCB_VERSION.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcbComponent {
    /// FMC; Turin only.
    Fmc,
    /// Boot loader.
    Bootloader,
    /// PSP operating system.
    Tee,
    /// SNP firmware.
    Snp,
    /// Microcode.
    Microcode,
    /// A byte that is reserved.
    Reserved,
}

impl fmt::Display for TcbComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fmc => "FMC",
            Self::Bootloader => "boot loader",
            Self::Tee => "TEE",
            Self::Snp => "SNP firmware",
            Self::Microcode => "microcode",
            Self::Reserved => "reserved",
        })
    }
}

/// Why a report is refused, beyond what every platform checks.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SevSnpError {
    /// The report has another length.
    #[error("the report has {0} bytes; it must have {REPORT_BYTES}")]
    ReportLength(usize),
    /// The report is of a version that this verifier does not know.
    #[error("report version {0} is not supported; 2 to 5 are")]
    ReportVersion(u32),
    /// It is not signed with ECDSA P-384 and SHA-384.
    #[error("signature algorithm {0} is not supported; 1 is")]
    SignatureAlgorithm(u32),
    /// The field that names the signing key has reserved bits set.
    #[error("reserved bits of the signing key field are set")]
    SignerInfoReserved,
    /// The report says that it is not signed.
    #[error("the report is not signed")]
    Unsigned,
    /// The report names a signing key that does not exist.
    #[error("signing key {0} is reserved")]
    SigningKeyReserved(u8),
    /// The report says that it was not signed with the VCEK, and names the VCEK.
    #[error("the report names the VCEK, which the host has masked")]
    ChipKeyMasked,
    /// The bit and the digest of the author key contradict each other.
    #[error("the author key bit and the author key digest contradict each other")]
    AuthorKey,
    /// The policy does not accept the key of a cloud provider.
    #[error("the report is signed with a VLEK, which the policy does not accept")]
    VlekNotAllowed,
    /// The endorsements are larger than any host sends.
    #[error("the endorsements have more than {MAX_ENDORSEMENT_BYTES} bytes")]
    EndorsementsTooLarge,
    /// The endorsements are neither a certificate nor a certificate table.
    #[error("the endorsements are neither a certificate nor a certificate table")]
    MalformedEndorsements,
    /// The certificate table holds a certificate twice.
    #[error("the certificate table holds the {0} twice")]
    DuplicateCertificate(Role),
    /// A certificate that is needed is not among the endorsements.
    #[error("the {0} certificate is missing")]
    MissingCertificate(Role),
    /// A certificate cannot be read, or says something twice.
    #[error("the {0} certificate is malformed")]
    MalformedCertificate(Role),
    /// The root is not the trusted development root.
    #[error("the ARK is not the trusted root")]
    UntrustedRoot,
    /// A certificate names an issuer other than the one above it, or an unknown one.
    #[error("the {0} certificate has another issuer")]
    Issuer(Role),
    /// A VCEK needs an ASK above it and a VLEK an ASVK.
    #[error("the key above the {0} is not one that signs such keys")]
    Intermediate(Role),
    /// A certificate is not signed with RSA-PSS, SHA-384 and a salt of 48 bytes.
    #[error("the {0} certificate is signed with an unsupported algorithm")]
    CertificateAlgorithm(Role),
    /// A certificate that signs others must not.
    #[error("the {0} certificate does not belong to a certificate authority")]
    NotAuthority(Role),
    /// A certificate has a critical extension that this verifier does not know.
    #[error("the {0} certificate has an unknown critical extension")]
    CriticalExtension(Role),
    /// The key of a certificate is of the wrong kind or size.
    #[error("the key of the {0} certificate is of the wrong kind")]
    CertificateKey(Role),
    /// The signature of a certificate is wrong.
    #[error("the signature of the {0} certificate is wrong")]
    CertificateSignature(Role),
    /// A certificate is not valid yet.
    #[error("the {0} certificate is not valid yet")]
    NotYetValid(Role),
    /// A certificate is no longer valid.
    #[error("the {0} certificate has expired")]
    Expired(Role),
    /// The certificate is not of the kind of key that the report names.
    #[error("the certificate is not that of the key that the report names")]
    SigningKeyKind,
    /// An extension that AMD defines is missing, twice there or malformed.
    #[error("the {0} certificate lacks a well-formed extension of AMD")]
    VekExtensions(Role),
    /// The chain is that of a product that this verifier does not know.
    #[error("the chain is not that of Milan, Genoa or Turin")]
    UnknownProduct,
    /// The endorsement key was issued for another product than its chain.
    #[error("the endorsement key was issued for another product than its chain")]
    VekProduct,
    /// The bytes after the signature are not zero.
    #[error("the bytes after the signature are not zero")]
    SignaturePadding,
    /// A number of the signature is zero or not below the order of the group.
    #[error("a number of the report's signature is out of range")]
    SignatureRange,
    /// The signature of the report is wrong.
    #[error("the signature of the report is wrong")]
    ReportSignature,
    /// The report comes from another processor than its chain is for.
    #[error("the processor in the report is not one that its chain is for")]
    Cpuid,
    /// The endorsement key was issued for another chip.
    #[error("the endorsement key was issued for another chip")]
    VekChip,
    /// The endorsement key was issued for another TCB than the reported one.
    #[error("the endorsement key was issued for another TCB ({0})")]
    VekTcb(TcbComponent),
    /// The guest policy has reserved bits that are wrong.
    #[error("reserved bits of the guest policy are wrong")]
    GuestPolicyReserved,
    /// A migration agent may be associated with the guest.
    #[error("a migration agent may be associated with the guest")]
    MigrationAgent,
    /// Simultaneous multithreading may be on.
    #[error("simultaneous multithreading may be on")]
    Smt,
    /// A less privileged part of the guest asked for the report, or the host did.
    #[error("the report was made at VMPL {vmpl}; the highest accepted is {max}")]
    Vmpl {
        /// Of the report.
        vmpl: u32,
        /// Of the policy.
        max: u32,
    },
    /// A part of the platform is too old.
    #[error("the {component} has security version {reported}; the lowest accepted is {minimum}")]
    TcbTooLow {
        /// Which part.
        component: TcbComponent,
        /// Of the report.
        reported: u8,
        /// Of the policy.
        minimum: u8,
    },
    /// The guest is too old.
    #[error("the guest has security version {reported}; the lowest accepted is {minimum}")]
    GuestSvnTooLow {
        /// Of the report.
        reported: u32,
        /// Of the policy.
        minimum: u32,
    },
    /// The chip is none of the policy's.
    #[error("the chip is not one that the policy accepts")]
    ChipNotAllowed,
}

impl SevSnpError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ReportLength(_) => "snp-report-length",
            Self::ReportVersion(_) => "snp-report-version",
            Self::SignatureAlgorithm(_) => "snp-signature-algorithm",
            Self::SignerInfoReserved => "snp-signer-info-reserved",
            Self::Unsigned => "snp-report-unsigned",
            Self::SigningKeyReserved(_) => "snp-signing-key-reserved",
            Self::ChipKeyMasked => "snp-chip-key-masked",
            Self::AuthorKey => "snp-author-key",
            Self::VlekNotAllowed => "snp-vlek-not-allowed",
            Self::EndorsementsTooLarge => "snp-endorsements-too-large",
            Self::MalformedEndorsements => "snp-endorsements-malformed",
            Self::DuplicateCertificate(_) => "snp-certificate-twice",
            Self::MissingCertificate(_) => "snp-certificate-missing",
            Self::MalformedCertificate(_) => "snp-certificate-malformed",
            Self::UntrustedRoot => "snp-root-untrusted",
            Self::Issuer(_) => "snp-certificate-issuer",
            Self::Intermediate(_) => "snp-wrong-intermediate",
            Self::CertificateAlgorithm(_) => "snp-certificate-algorithm",
            Self::NotAuthority(_) => "snp-certificate-not-authority",
            Self::CriticalExtension(_) => "snp-certificate-critical-extension",
            Self::CertificateKey(_) => "snp-certificate-key",
            Self::CertificateSignature(_) => "snp-certificate-signature",
            Self::NotYetValid(_) => "snp-certificate-not-yet-valid",
            Self::Expired(_) => "snp-certificate-expired",
            Self::SigningKeyKind => "snp-signing-key-kind",
            Self::VekExtensions(_) => "snp-vek-extensions",
            Self::UnknownProduct => "snp-unknown-product",
            Self::VekProduct => "snp-vek-product-mismatch",
            Self::SignaturePadding => "snp-signature-padding",
            Self::SignatureRange => "snp-signature-range",
            Self::ReportSignature => "snp-signature",
            Self::Cpuid => "snp-cpuid-mismatch",
            Self::VekChip => "snp-vek-chip-mismatch",
            Self::VekTcb(_) => "snp-vek-tcb-mismatch",
            Self::GuestPolicyReserved => "snp-guest-policy-reserved",
            Self::MigrationAgent => "snp-migration-agent",
            Self::Smt => "snp-smt",
            Self::Vmpl { .. } => "snp-vmpl",
            Self::TcbTooLow { .. } => "snp-tcb-too-low",
            Self::GuestSvnTooLow { .. } => "snp-guest-svn-too-low",
            Self::ChipNotAllowed => "snp-chip-not-allowed",
        }
    }
}
