//! The certificates of a document, from the pinned root to the one that signs.
//!
//! AWS issues chains of one shape: P-384 keys, ECDSA with SHA-384, each entry
//! signed by the one before it (RFC 5280 section 6.1, without policies and
//! name constraints). Anything else is refused.

use p384::ecdsa::{DerSignature, VerifyingKey, signature::Verifier};
use sha2::{Digest, Sha256};
use x509_cert::{
    der::{Decode, Encode, oid::AssociatedOid, oid::ObjectIdentifier},
    ext::pkix::{BasicConstraints, KeyUsage},
    spki::AlgorithmIdentifierOwned,
};

use super::{NitroError, document::Document};
use crate::policy::Roots;

/// AWS Nitro Enclaves Root-G1; see `roots/nitro/README.md`.
pub(super) const AWS_ROOT: &[u8] = include_bytes!("../../roots/nitro/aws-nitro-enclaves-g1.der");

/// ecdsa-with-SHA384 (RFC 5758 section 3.2).
const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
/// id-ecPublicKey and secp384r1 (RFC 5480 section 2.1.1).
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// Why a certificate is refused before its place in the chain is looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// It is not a certificate in DER.
    #[error("it is not an X.509 certificate in DER")]
    Malformed,
    /// It is not of version 3.
    #[error("it is not of version 3")]
    WrongVersion,
    /// It is signed with something else than ECDSA and SHA-384.
    #[error("it is not signed with ECDSA and SHA-384")]
    WrongAlgorithm,
    /// Its key is not a point of P-384 in uncompressed form.
    #[error("its key is not a P-384 key")]
    WrongKey,
    /// An extension occurs twice.
    #[error("it has the extension {0} twice")]
    RepeatedExtension(String),
    /// It has a critical extension that is not understood here.
    #[error("it has the unknown critical extension {0}")]
    CriticalExtension(String),
    /// An extension cannot be read.
    #[error("its extension {0} is malformed")]
    BadExtension(String),
    /// It does not say what its key is for.
    #[error("it has no key usage")]
    NoKeyUsage,
}

struct Certificate<'a> {
    der: &'a [u8],
    parsed: x509_cert::Certificate,
    key: VerifyingKey,
    constraints: BasicConstraints,
    usage: KeyUsage,
    not_before: i64,
    not_after: i64,
}

impl<'a> Certificate<'a> {
    fn parse(der: &'a [u8]) -> Result<Self, CertificateError> {
        let parsed = x509_cert::Certificate::from_der(der)
            .ok()
            // What is written again below is then what was signed.
            .filter(|parsed| parsed.to_der().is_ok_and(|again| again == der))
            .ok_or(CertificateError::Malformed)?;
        let body = parsed.tbs_certificate();
        if body.version() != x509_cert::Version::V3 {
            return Err(CertificateError::WrongVersion);
        }
        let is_known = |algorithm: &AlgorithmIdentifierOwned| {
            algorithm.oid == ECDSA_WITH_SHA384 && algorithm.parameters.is_none()
        };
        if !is_known(body.signature()) || !is_known(parsed.signature_algorithm()) {
            return Err(CertificateError::WrongAlgorithm);
        }
        let key = read_key(&parsed).ok_or(CertificateError::WrongKey)?;
        check_extensions(&parsed)?;
        // Without them a certificate issues none (RFC 5280 section 4.2.1.9).
        let constraints = extension(&parsed)?.unwrap_or(BasicConstraints {
            ca: false,
            path_len_constraint: None,
        });
        let usage = extension(&parsed)?.ok_or(CertificateError::NoKeyUsage)?;
        let seconds = |time: x509_cert::time::Time| {
            i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
        };
        let validity = *body.validity();
        Ok(Self {
            der,
            key,
            constraints,
            usage,
            not_before: seconds(validity.not_before),
            not_after: seconds(validity.not_after),
            parsed,
        })
    }

    fn is_signed_by(&self, issuer: &VerifyingKey) -> bool {
        let body = self.parsed.tbs_certificate().to_der().ok();
        let signature = self.parsed.signature().as_bytes();
        let signature = signature.and_then(|bytes| DerSignature::from_bytes(bytes).ok());
        match (body, signature) {
            (Some(body), Some(signature)) => issuer.verify(&body, &signature).is_ok(),
            _ => false,
        }
    }
}

fn read_key(certificate: &x509_cert::Certificate) -> Option<VerifyingKey> {
    let info = certificate.tbs_certificate().subject_public_key_info();
    let curve: ObjectIdentifier = info.algorithm.parameters.as_ref()?.decode_as().ok()?;
    if info.algorithm.oid != EC_PUBLIC_KEY || curve != SECP384R1 {
        return None;
    }
    // SEC 1 section 2.3.3: 4 begins an uncompressed point.
    let point = info.subject_public_key.as_bytes()?;
    match point {
        [4, ..] => VerifyingKey::from_sec1_bytes(point).ok(),
        _ => None,
    }
}

/// None twice, and none critical but those that are judged.
fn check_extensions(certificate: &x509_cert::Certificate) -> Result<(), CertificateError> {
    let extensions = certificate.tbs_certificate().extensions();
    let mut seen = std::collections::BTreeSet::new();
    for extension in extensions.into_iter().flatten() {
        let oid = extension.extn_id;
        if !seen.insert(oid) {
            return Err(CertificateError::RepeatedExtension(oid.to_string()));
        }
        if extension.critical && ![BasicConstraints::OID, KeyUsage::OID].contains(&oid) {
            return Err(CertificateError::CriticalExtension(oid.to_string()));
        }
    }
    Ok(())
}

fn extension<T>(certificate: &x509_cert::Certificate) -> Result<Option<T>, CertificateError>
where
    T: for<'a> Decode<'a> + AssociatedOid,
{
    let extensions = certificate.tbs_certificate().extensions();
    extensions
        .into_iter()
        .flatten()
        .find(|extension| extension.extn_id == T::OID)
        .map(|extension| T::from_der(extension.extn_value.as_bytes()))
        .transpose()
        .map_err(|_| CertificateError::BadExtension(T::OID.to_string()))
}

/// The certificates of a document, each well-formed; nothing else is known.
pub(super) struct Chain<'a> {
    root: Certificate<'a>,
    /// From the one that the root issued to the one that signs the document.
    issued: Vec<Certificate<'a>>,
}

impl<'a> Chain<'a> {
    pub(super) fn parse(document: &Document<'a>) -> Result<Self, NitroError> {
        let mut certificates = document
            .cabundle
            .iter()
            .chain([&document.certificate])
            .enumerate()
            .map(|(index, der)| {
                Certificate::parse(der).map_err(|error| NitroError::Certificate { index, error })
            });
        let root = certificates.next().ok_or(NitroError::EmptyBundle)??;
        Ok(Self {
            root,
            issued: certificates.collect::<Result<_, _>>()?,
        })
    }

    /// Checks the chain and returns the key that signs the document.
    pub(super) fn verify(&self, roots: Roots, now: i64) -> Result<&VerifyingKey, NitroError> {
        let trusted = match roots {
            Roots::Vendor => self.root.der == AWS_ROOT,
            Roots::Development { sha256 } => self.root_sha256() == sha256,
        };
        if !trusted {
            return Err(NitroError::UnknownRoot);
        }
        self.check_order()?;
        self.check_roles()?;
        for (index, issuer, certificate) in self.links() {
            if !certificate.is_signed_by(&issuer.key) {
                return Err(NitroError::CertificateSignature(index));
            }
        }
        for (index, certificate) in self.all().enumerate() {
            if now < certificate.not_before {
                return Err(NitroError::CertificateNotYetValid(index));
            }
            if now > certificate.not_after {
                return Err(NitroError::CertificateExpired(index));
            }
        }
        Ok(&self.signer().key)
    }

    /// Each certificate is there once and names the one before it as its issuer.
    fn check_order(&self) -> Result<(), NitroError> {
        for (index, certificate) in self.all().enumerate() {
            let mut before = self.all().take(index);
            if before.any(|other| other.der == certificate.der) {
                return Err(NitroError::RepeatedCertificate(index));
            }
        }
        for (index, issuer, certificate) in self.links() {
            let named = certificate.parsed.tbs_certificate().issuer();
            if named != issuer.parsed.tbs_certificate().subject() {
                return Err(NitroError::WrongIssuer(index));
            }
        }
        Ok(())
    }

    /// Issuers may issue, as deep as they do, and the signer signs only.
    fn check_roles(&self) -> Result<(), NitroError> {
        for (index, issuer, _) in self.links() {
            if !issuer.constraints.ca || !issuer.usage.key_cert_sign() {
                return Err(NitroError::NotAnIssuer(index - 1));
            }
        }
        for (index, issuer, _) in self.links() {
            // The signer is no issuer and does not count (RFC 5280 section 4.2.1.9).
            let issuers_after = self.issued.len() - index;
            let most = issuer.constraints.path_len_constraint;
            if most.is_some_and(|most| issuers_after > usize::from(most)) {
                return Err(NitroError::PathTooLong(index - 1));
            }
        }
        let signer = self.signer();
        if signer.constraints.ca || !signer.usage.digital_signature() {
            return Err(NitroError::NotASigner);
        }
        Ok(())
    }

    /// Each issued certificate with its index, counted from the root, and the one before it.
    fn links(&self) -> impl Iterator<Item = (usize, &Certificate<'a>, &Certificate<'a>)> {
        let pairs = self.all().zip(&self.issued).enumerate();
        pairs.map(|(before, (issuer, certificate))| (before + 1, issuer, certificate))
    }

    fn signer(&self) -> &Certificate<'a> {
        self.issued.last().unwrap_or(&self.root)
    }

    /// Unix time in seconds of the first and the last second at which all certificates are valid.
    pub(super) fn validity(&self) -> (i64, i64) {
        self.all().fold((i64::MIN, i64::MAX), |(from, until), one| {
            (from.max(one.not_before), until.min(one.not_after))
        })
    }

    pub(super) fn root_sha256(&self) -> [u8; 32] {
        Sha256::digest(self.root.der).into()
    }

    fn all(&self) -> impl Iterator<Item = &Certificate<'a>> {
        std::iter::once(&self.root).chain(&self.issued)
    }
}
