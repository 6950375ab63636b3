//! Keys with certificates, and how one issues the next.

use std::{str::FromStr, time::Duration};

use p384::{
    ecdsa::{DerSignature, SigningKey, VerifyingKey},
    elliptic_curve::Generate,
    pkcs8::EncodePublicKey,
};
use x509_cert::{
    Certificate, TbsCertificate,
    builder::{self, Builder, CertificateBuilder, profile::BuilderProfile},
    der::{
        self, Encode,
        asn1::{GeneralizedTime, OctetString},
        flagset::FlagSet,
        oid::AssociatedOid,
    },
    ext::{
        Extension,
        pkix::{
            AuthorityKeyIdentifier, BasicConstraints, KeyUsage, KeyUsages, SubjectKeyIdentifier,
        },
    },
    name::Name,
    serial_number::SerialNumber,
    spki::{SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef},
    time::{Time, Validity},
};

use super::NitroRootError;
use crate::rand_core::CryptoRng;

/// A key and the certificate on it.
pub struct Authority {
    pub(super) key: SigningKey,
    pub(super) certificate: Certificate,
    pub(super) der: Vec<u8>,
}

/// What a certificate says.
#[derive(Clone, Debug)]
pub struct Template {
    /// The subject in the form of RFC 4514.
    pub subject: String,
    /// Unix time in seconds from which it is valid.
    pub not_before: i64,
    /// Unix time in seconds until which it is valid.
    pub not_after: i64,
    /// Whether it may issue certificates.
    pub is_authority: bool,
    /// How many issuers may follow it.
    pub path_length: Option<u8>,
    /// What its key is for.
    pub usage: FlagSet<KeyUsages>,
    /// Further extensions.
    pub extensions: Vec<Extension>,
}

/// A template with both names decided.
struct Profile {
    issuer: Name,
    subject: Name,
    is_authority: bool,
    extensions: Vec<Extension>,
}

impl BuilderProfile for Profile {
    fn get_issuer(&self, _subject: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        key: SubjectPublicKeyInfoRef<'_>,
        issuer_key: SubjectPublicKeyInfoRef<'_>,
        _body: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        let mut extensions = self.extensions.clone();
        if self.is_authority {
            let identifiers = [
                extension(false, &SubjectKeyIdentifier::try_from(key)?)?,
                extension(false, &AuthorityKeyIdentifier::try_from(issuer_key)?)?,
            ];
            extensions.extend(identifiers);
        }
        Ok(extensions)
    }
}

impl Template {
    fn name(&self) -> Result<Name, NitroRootError> {
        Name::from_str(&self.subject).map_err(NitroRootError::encoding)
    }

    /// Makes a key and signs its certificate with that key.
    pub(super) fn self_signed(
        &self,
        rng: &mut impl CryptoRng,
    ) -> Result<Authority, NitroRootError> {
        let key = SigningKey::generate_from_rng(rng);
        let certificate = self.sign(rng, &self.name()?, &key, key.verifying_key())?;
        Authority::new(key, certificate)
    }

    /// Makes a key and has its certificate signed by `issuer`.
    pub(super) fn issued_by(
        &self,
        rng: &mut impl CryptoRng,
        issuer: &Authority,
    ) -> Result<Authority, NitroRootError> {
        let key = SigningKey::generate_from_rng(rng);
        let name = issuer.certificate.tbs_certificate().subject();
        let certificate = self.sign(rng, name, &issuer.key, key.verifying_key())?;
        Authority::new(key, certificate)
    }

    fn sign(
        &self,
        rng: &mut impl CryptoRng,
        issuer: &Name,
        issuer_key: &SigningKey,
        key: &VerifyingKey,
    ) -> Result<Certificate, NitroRootError> {
        let constraints = BasicConstraints {
            ca: self.is_authority,
            path_len_constraint: self.path_length,
        };
        let mut extensions = vec![
            extension(true, &constraints).map_err(NitroRootError::encoding)?,
            // Not critical on the leaf, as AWS has it.
            extension(self.is_authority, &KeyUsage(self.usage))
                .map_err(NitroRootError::encoding)?,
        ];
        extensions.extend(self.extensions.iter().cloned());
        let profile = Profile {
            issuer: issuer.clone(),
            subject: self.name()?,
            is_authority: self.is_authority,
            extensions,
        };
        let validity = Validity::new(time(self.not_before)?, time(self.not_after)?);
        let info = key.to_public_key_der().map_err(NitroRootError::encoding)?;
        let info = SubjectPublicKeyInfoOwned::try_from(info.as_bytes())
            .map_err(NitroRootError::encoding)?;
        CertificateBuilder::new(profile, SerialNumber::generate(rng), validity, info)
            .and_then(|builder| builder.build::<_, DerSignature>(issuer_key))
            .map_err(NitroRootError::encoding)
    }
}

impl Authority {
    pub(super) fn new(key: SigningKey, certificate: Certificate) -> Result<Self, NitroRootError> {
        let info = certificate.tbs_certificate().subject_public_key_info();
        let point = key.verifying_key().to_sec1_point(false);
        if info.subject_public_key.as_bytes() != Some(point.as_bytes()) {
            return Err(NitroRootError::KeyMismatch);
        }
        Ok(Self {
            key,
            der: certificate.to_der().map_err(NitroRootError::encoding)?,
            certificate,
        })
    }

    /// Unix time in seconds of the first and the last second of its validity.
    pub(super) fn validity(&self) -> (i64, i64) {
        let validity = self.certificate.tbs_certificate().validity();
        let seconds =
            |time: Time| i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        (seconds(validity.not_before), seconds(validity.not_after))
    }
}

/// An extension with this content.
fn extension<T: AssociatedOid + Encode>(critical: bool, content: &T) -> der::Result<Extension> {
    Ok(Extension {
        extn_id: T::OID,
        critical,
        extn_value: OctetString::new(content.to_der()?)?,
    })
}

/// Dates before 2050 become UTCTime when the certificate is built.
fn time(seconds: i64) -> Result<Time, NitroRootError> {
    let seconds = u64::try_from(seconds).map_err(|_| NitroRootError::TimeOutOfRange)?;
    GeneralizedTime::from_unix_duration(Duration::from_secs(seconds))
        .map(Time::GeneralTime)
        .map_err(|_| NitroRootError::TimeOutOfRange)
}
