//! The X.509 certificates of AMD: read, checked one against the other.
//!
//! AMD's certificates depart from RFC 5280 (endorsement keys have the serial
//! number 0), so they are read with plain DER and judged here, by what AMD's
//! certificate specification (document 57230) says of them.

use p384::ecdsa::VerifyingKey as P384Key;
use rsa::{PublicKey as RsaKey, pss, signature::Verifier as _, traits::PublicKeyParts as _};
use sha2::Sha384;
use x509_cert::{
    Certificate as X509,
    der::{
        Decode, Encode, Header, Reader, SliceReader, asn1::ObjectIdentifier, referenced::OwnedToRef,
    },
    ext::pkix::{BasicConstraints, KeyUsage},
    name::Name,
};

use super::error::{Role, SevSnpError};

/// Bits of an RSA key, and bytes of the salt of a signature (document 57230).
const RSA_BITS: u32 = 4096;
const SALT_BYTES: usize = 48;

const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
/// 1.3.6.1.4.1.3704.1: everything below it is an extension of AMD.
const AMD_EXTENSIONS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1");

/// RSASSA-PSS-params: SHA-384, MGF1 with SHA-384, a salt of 48 bytes. AMD writes
/// the default trailer field into the upper certificates and leaves it out of the others.
const PSS_PARAMS: [&[u8]; 2] = [
    b"\x30\x34\xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\
      \xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\
      \x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\xa2\x03\x02\x01\x30",
    b"\x30\x39\xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\
      \xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\
      \x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\xa2\x03\x02\x01\x30\
      \xa3\x03\x02\x01\x01",
];

/// A certificate, read and not judged.
pub(super) struct Certificate<'a> {
    role: Role,
    /// What is signed, as it came.
    to_be_signed: &'a [u8],
    x509: X509,
}

impl<'a> Certificate<'a> {
    /// Reads a certificate in DER.
    pub fn read(role: Role, der: &'a [u8]) -> Result<Self, SevSnpError> {
        let malformed = || SevSnpError::MalformedCertificate(role);
        let x509 = X509::from_der(der).map_err(|_| malformed())?;
        let to_be_signed = to_be_signed(der).ok_or_else(malformed)?;
        let certificate = Self {
            role,
            to_be_signed,
            x509,
        };
        let mut seen = std::collections::BTreeSet::new();
        let is_new = |id: ObjectIdentifier| seen.insert(id);
        if certificate.extensions().map(|(id, ..)| id).all(is_new) {
            Ok(certificate)
        } else {
            Err(malformed())
        }
    }

    pub fn role(&self) -> Role {
        self.role
    }

    /// Identifier, criticality and content of each extension.
    pub fn extensions(&self) -> impl Iterator<Item = (ObjectIdentifier, bool, &[u8])> {
        let extensions = self.x509.tbs_certificate().extensions();
        extensions.into_iter().flatten().map(|extension| {
            let value = extension.extn_value.as_bytes();
            (extension.extn_id, extension.critical, value)
        })
    }

    fn extension<'e, T: Decode<'e>>(&'e self, wanted: ObjectIdentifier) -> Option<T> {
        let mut extensions = self.extensions();
        let (_, _, value) = extensions.find(|(id, ..)| *id == wanted)?;
        T::from_der(value).ok()
    }

    /// First and last second of validity, in Unix time.
    pub fn validity(&self) -> (i64, i64) {
        let validity = self.x509.tbs_certificate().validity();
        let seconds = |time: x509_cert::time::Time| {
            i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
        };
        (seconds(validity.not_before), seconds(validity.not_after))
    }

    /// The common name of its subject.
    pub fn common_name(&self) -> Option<String> {
        let name = self.x509.tbs_certificate().subject().common_name();
        name.ok().flatten().map(|name| name.value().into_owned())
    }

    /// Whether this certificate names that one's subject as its issuer.
    pub fn names_as_issuer(&self, issuer: &Certificate<'_>) -> bool {
        let name = |name: &Name| name.to_der().ok();
        let subject = name(issuer.x509.tbs_certificate().subject());
        subject.is_some() && subject == name(self.x509.tbs_certificate().issuer())
    }

    /// Checks all but the time: issuer, algorithm, extensions and signature.
    pub fn check_issued_by(&self, issuer: &Certificate<'_>) -> Result<(), SevSnpError> {
        if !self.names_as_issuer(issuer) {
            return Err(SevSnpError::Issuer(self.role));
        }
        let known = |id: ObjectIdentifier| {
            let arcs = arcs_below_amd(id);
            let is_amd = matches!(*arcs.as_slice(), [1 | 2 | 4 | 5] | [3, 1..=9]);
            is_amd || id == KEY_USAGE || id == BASIC_CONSTRAINTS
        };
        if self
            .extensions()
            .any(|(id, critical, _)| critical && !known(id))
        {
            return Err(SevSnpError::CriticalExtension(self.role));
        }
        let algorithm = self.x509.signature_algorithm();
        let parameters = algorithm
            .parameters
            .as_ref()
            .and_then(|any| any.to_der().ok());
        let supported = algorithm.oid == RSASSA_PSS
            && parameters.is_some_and(|der| PSS_PARAMS.contains(&der.as_slice()))
            && algorithm == self.x509.tbs_certificate().signature();
        if !supported {
            return Err(SevSnpError::CertificateAlgorithm(self.role));
        }
        let wrong = || SevSnpError::CertificateSignature(self.role);
        let signature = self.x509.signature().as_bytes().ok_or_else(wrong)?;
        let signature = pss::Signature::try_from(signature).map_err(|_| wrong())?;
        let key = issuer.rsa_key()?;
        pss::VerifyingKey::<Sha384>::new_with_salt_len(key, SALT_BYTES)
            .verify(self.to_be_signed, &signature)
            .map_err(|_| wrong())
    }

    /// Checks that this certificate may sign others, with so many authorities below it.
    pub fn check_authority(&self, below: u8) -> Result<(), SevSnpError> {
        let constraints = self.extension::<BasicConstraints>(BASIC_CONSTRAINTS);
        let usage = self.extension::<KeyUsage>(KEY_USAGE);
        let may = constraints
            .is_some_and(|it| it.ca && it.path_len_constraint.is_none_or(|most| most >= below))
            && usage.is_some_and(|usage| usage.key_cert_sign());
        if may {
            Ok(())
        } else {
            Err(SevSnpError::NotAuthority(self.role))
        }
    }

    /// Checks that it is valid at the time, and says until when.
    pub fn check_time(&self, now: i64) -> Result<i64, SevSnpError> {
        let (not_before, not_after) = self.validity();
        if now < not_before {
            Err(SevSnpError::NotYetValid(self.role))
        } else if now > not_after {
            Err(SevSnpError::Expired(self.role))
        } else {
            Ok(not_after)
        }
    }

    fn rsa_key(&self) -> Result<RsaKey, SevSnpError> {
        let info = self.x509.tbs_certificate().subject_public_key_info();
        RsaKey::try_from(info.owned_to_ref())
            .ok()
            .filter(|key| key.n().bit_width() == RSA_BITS)
            .ok_or(SevSnpError::CertificateKey(self.role))
    }

    /// The key of an endorsement certificate, on P-384.
    pub fn p384_key(&self) -> Result<P384Key, SevSnpError> {
        let info = self.x509.tbs_certificate().subject_public_key_info();
        let curve = info.algorithm.parameters.as_ref();
        let curve = curve.and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
        let point = info.subject_public_key.as_bytes();
        let is_p384 = info.algorithm.oid == EC_PUBLIC_KEY && curve == Some(SECP384R1);
        point
            .filter(|_| is_p384)
            .and_then(|point| P384Key::from_sec1_bytes(point).ok())
            .ok_or(SevSnpError::CertificateKey(self.role))
    }
}

/// The last arcs of an extension of AMD, none of another extension.
pub(super) fn arcs_below_amd(id: ObjectIdentifier) -> Vec<u32> {
    if !id.starts_with(AMD_EXTENSIONS) {
        return Vec::new();
    }
    id.arcs().skip(AMD_EXTENSIONS.arcs().count()).collect()
}

/// The first element of the outer sequence.
fn to_be_signed(der: &[u8]) -> Option<&[u8]> {
    let mut reader = SliceReader::new(der).ok()?;
    Header::decode(&mut reader).ok()?;
    reader.tlv_bytes().ok()
}
