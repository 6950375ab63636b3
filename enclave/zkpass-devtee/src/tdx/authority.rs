//! Keys with certificates in the shape of Intel's (Intel SGX PCK Certificate and
//! Certificate Revocation List Profile Specification).

use std::{str::FromStr, time::Duration};

use p256::{
    ecdsa::{DerSignature, SigningKey, VerifyingKey, signature::Signer},
    elliptic_curve::{Generate, rand_core::CryptoRng},
    pkcs8::{EncodePublicKey, LineEnding},
};
use x509_cert::{
    Certificate, TbsCertificate, Version,
    builder::{self, Builder, CertificateBuilder, profile::BuilderProfile},
    certificate::Rfc5280,
    crl::{CertificateList, RevokedCert, TbsCertList},
    der::{
        self, Encode, EncodePem,
        asn1::{BitString, GeneralizedTime, OctetString, Uint, UtcTime},
        oid::{AssociatedOid, ObjectIdentifier},
    },
    ext::{
        Extension,
        pkix::{
            AuthorityKeyIdentifier, BasicConstraints, CrlNumber, KeyUsage, KeyUsages,
            SubjectKeyIdentifier,
        },
    },
    name::Name,
    serial_number::SerialNumber,
    spki::{SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef},
    time::{Time, Validity},
};

use super::{Lifetime, TdxRootError, collateral};

const SGX_EXTENSIONS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1");

/// The same in DER, without tag and length.
const SGX_EXTENSIONS_DER: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01];

/// A key and the certificate on it.
pub(super) struct Authority {
    pub(super) key: SigningKey,
    pub(super) certificate: Certificate,
    pub(super) der: Vec<u8>,
}

/// Which of the certificates.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Root,
    PlatformAuthority,
    Pck { ppid: [u8; 16], instance: [u8; 16] },
    TcbSigning,
}

impl Kind {
    /// Named like Intel's, as far as verifiers look, and saying what they are.
    fn subject(self) -> Result<Name, TdxRootError> {
        let name = match self {
            Self::Root => "Root CA",
            Self::PlatformAuthority => "PCK Platform CA",
            Self::Pck { .. } => "PCK Certificate",
            Self::TcbSigning => "TCB Signing",
        };
        let text =
            format!("CN=zkPass Development {name},OU=Not Intel,O=zkPass development TEE,C=ZZ");
        Name::from_str(&text).map_err(TdxRootError::encoding)
    }

    fn extensions(self) -> der::Result<Vec<Extension>> {
        let is_authority = matches!(self, Self::Root | Self::PlatformAuthority);
        let constraints = BasicConstraints {
            ca: is_authority,
            path_len_constraint: match self {
                Self::Root => Some(1),
                Self::PlatformAuthority => Some(0),
                Self::Pck { .. } | Self::TcbSigning => None,
            },
        };
        let usage = if is_authority {
            KeyUsages::KeyCertSign | KeyUsages::CRLSign
        } else {
            KeyUsages::DigitalSignature | KeyUsages::NonRepudiation
        };
        let mut extensions = vec![
            extension(true, &KeyUsage(usage))?,
            extension(true, &constraints)?,
        ];
        if let Self::Pck { ppid, instance } = self {
            extensions.push(Extension {
                extn_id: SGX_EXTENSIONS,
                critical: false,
                extn_value: OctetString::new(sgx_extensions(&ppid, &instance))?,
            });
        }
        Ok(extensions)
    }
}

/// A certificate with both names decided.
struct Profile {
    issuer: Name,
    subject: Name,
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
        let mut extensions = vec![
            extension(false, &AuthorityKeyIdentifier::try_from(issuer_key)?)?,
            extension(false, &SubjectKeyIdentifier::try_from(key)?)?,
        ];
        extensions.extend(self.extensions.iter().cloned());
        Ok(extensions)
    }
}

impl Authority {
    /// Makes a key and signs its certificate with that key.
    pub(super) fn self_signed(
        rng: &mut impl CryptoRng,
        kind: Kind,
        life: Lifetime,
    ) -> Result<Self, TdxRootError> {
        let key = SigningKey::generate_from_rng(rng);
        let certificate = sign(rng, kind, life, kind.subject()?, &key, key.verifying_key())?;
        Self::new(key, certificate)
    }

    /// Makes a key and has its certificate signed by `issuer`.
    pub(super) fn issued_by(
        rng: &mut impl CryptoRng,
        kind: Kind,
        life: Lifetime,
        issuer: &Self,
    ) -> Result<Self, TdxRootError> {
        let key = SigningKey::generate_from_rng(rng);
        let name = issuer.certificate.tbs_certificate().subject().clone();
        let certificate = sign(rng, kind, life, name, &issuer.key, key.verifying_key())?;
        Self::new(key, certificate)
    }

    pub(super) fn new(key: SigningKey, certificate: Certificate) -> Result<Self, TdxRootError> {
        let info = certificate.tbs_certificate().subject_public_key_info();
        let point = key.verifying_key().to_sec1_point(false);
        if info.subject_public_key.as_bytes() != Some(point.as_bytes()) {
            return Err(TdxRootError::KeyMismatch);
        }
        Ok(Self {
            key,
            der: certificate.to_der().map_err(TdxRootError::encoding)?,
            certificate,
        })
    }

    pub(super) fn pem(&self) -> Result<String, TdxRootError> {
        self.certificate
            .to_pem(LineEnding::LF)
            .map_err(TdxRootError::encoding)
    }

    /// Unix time in seconds of the first and the last second of its validity.
    pub(super) fn validity(&self) -> (i64, i64) {
        let validity = self.certificate.tbs_certificate().validity();
        let seconds =
            |time: Time| i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        (seconds(validity.not_before), seconds(validity.not_after))
    }

    /// Its list of revoked certificates, in DER.
    pub(super) fn revocation_list(
        &self,
        life: Lifetime,
        revoked: Option<&SerialNumber>,
    ) -> Result<Vec<u8>, TdxRootError> {
        let this_update = time(life.first)?;
        let next_update = time(life.last)?;
        let revoked = revoked.map(|serial_number| {
            vec![RevokedCert {
                serial_number: serial_number.clone(),
                revocation_date: this_update,
                crl_entry_extensions: None,
            }]
        });
        self.sign_list(this_update, next_update, revoked)
            .map_err(TdxRootError::encoding)
    }

    fn sign_list(
        &self,
        this_update: Time,
        next_update: Time,
        revoked_certificates: Option<Vec<RevokedCert<Rfc5280>>>,
    ) -> builder::Result<Vec<u8>> {
        let body = self.certificate.tbs_certificate();
        let key = AuthorityKeyIdentifier {
            key_identifier: body
                .get_extension::<SubjectKeyIdentifier>()?
                .map(|(_, identifier)| identifier.0),
            ..AuthorityKeyIdentifier::default()
        };
        let number = CrlNumber(Uint::new(&[1])?);
        let body = TbsCertList::<Rfc5280> {
            version: Version::V2,
            signature: self.certificate.signature_algorithm().clone(),
            issuer: body.subject().clone(),
            this_update,
            next_update: Some(next_update),
            revoked_certificates,
            crl_extensions: Some(vec![extension(false, &number)?, extension(false, &key)?]),
        };
        let signature: DerSignature = self.key.sign(&body.to_der()?);
        let list = CertificateList {
            signature_algorithm: body.signature.clone(),
            signature: BitString::from_bytes(signature.as_bytes())?,
            tbs_cert_list: body,
        };
        Ok(list.to_der()?)
    }
}

fn sign(
    rng: &mut impl CryptoRng,
    kind: Kind,
    life: Lifetime,
    issuer: Name,
    issuer_key: &SigningKey,
    key: &VerifyingKey,
) -> Result<Certificate, TdxRootError> {
    let profile = Profile {
        issuer,
        subject: kind.subject()?,
        extensions: kind.extensions().map_err(TdxRootError::encoding)?,
    };
    let validity = Validity::new(time(life.first)?, time(life.last)?);
    let info = key.to_public_key_der().map_err(TdxRootError::encoding)?;
    let info =
        SubjectPublicKeyInfoOwned::try_from(info.as_bytes()).map_err(TdxRootError::encoding)?;
    CertificateBuilder::new(profile, SerialNumber::generate(rng), validity, info)
        .and_then(|builder| builder.build::<_, DerSignature>(issuer_key))
        .map_err(TdxRootError::encoding)
}

/// An extension with this content.
fn extension<T: AssociatedOid + Encode>(critical: bool, content: &T) -> der::Result<Extension> {
    Ok(Extension {
        extn_id: T::OID,
        critical,
        extn_value: OctetString::new(content.to_der()?)?,
    })
}

/// UTCTime before 2050, GeneralizedTime from then on (RFC 5280 section 4.1.2.5).
fn time(seconds: i64) -> Result<Time, TdxRootError> {
    let since_1970 = u64::try_from(seconds)
        .map(Duration::from_secs)
        .map_err(|_| TdxRootError::TimeOutOfRange)?;
    UtcTime::from_unix_duration(since_1970)
        .map(Time::UtcTime)
        .or_else(|_| GeneralizedTime::from_unix_duration(since_1970).map(Time::GeneralTime))
        .map_err(|_| TdxRootError::TimeOutOfRange)
}

/// What a PCK certificate says of its platform (section 1.3.5 of the profile).
fn sgx_extensions(ppid: &[u8; 16], instance: &[u8; 16]) -> Vec<u8> {
    let flag = tlv(0x01, &[0xff]);
    let integer = |value: u8| tlv(0x02, &[value]);
    let mut tcb: Vec<_> = (1u8..)
        .zip(collateral::CPU_SVN)
        .map(|(index, svn)| entry(&[2, index], &integer(svn)))
        .collect();
    tcb.push(entry(&[2, 17], &integer(collateral::PCE_SVN)));
    tcb.push(entry(&[2, 18], &tlv(0x04, &collateral::CPU_SVN)));
    // A dynamic platform, cached keys, multithreading: as all cloud machines have them.
    let configuration: Vec<_> = (1..=3).map(|index| entry(&[7, index], &flag)).collect();
    sequence(&[
        entry(&[1], &tlv(0x04, ppid)),
        entry(&[2], &sequence(&tcb)),
        entry(&[3], &tlv(0x04, &[0, 0])),
        entry(&[4], &tlv(0x04, &collateral::FMSPC)),
        entry(&[5], &tlv(0x0a, &[1])),
        entry(&[6], &tlv(0x04, instance)),
        entry(&[7], &sequence(&configuration)),
    ])
}

/// A sequence of an identifier below Intel's and a value. All arcs are below 128.
fn entry(arcs: &[u8], value: &[u8]) -> Vec<u8> {
    let identifier = tlv(0x06, &[&SGX_EXTENSIONS_DER, arcs].concat());
    sequence(&[identifier, value.to_vec()])
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// DER of up to 65 535 bytes of content, which is more than there is.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let [.., high, low] = content.len().to_be_bytes();
    let head = match content.len() {
        ..128 => vec![tag, low],
        128..256 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [head.as_slice(), content].concat()
}
