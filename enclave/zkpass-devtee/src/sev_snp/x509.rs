//! Writes X.509 certificates as AMD does, in DER.

use std::time::Duration;

use rand_core::CryptoRng;
use rsa::{
    PrivateKey,
    pkcs8::der::{
        Encode,
        asn1::{GeneralizedTime, UtcTime},
    },
    pss,
    signature::{RandomizedSigner as _, SignatureEncoding as _},
};
use sha2::Sha384;

use super::SnpError;

/// Bytes of the salt of a signature.
const SALT_BYTES: usize = 48;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0C;
const IA5_STRING: u8 = 0x16;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const EXPLICIT_0: u8 = 0xA0;
const EXPLICIT_3: u8 = 0xA3;

const ORGANIZATION_NAME: &[u8] = &[0x55, 0x04, 0x0A];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x0F];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x13];
/// 1.3.6.1.4.1.3704.1
const AMD: &[u8] = &[0x2B, 0x06, 0x01, 0x04, 0x01, 0x9C, 0x78, 0x01];

/// AlgorithmIdentifier: RSASSA-PSS with SHA-384, MGF1 with SHA-384 and a salt of 48 bytes.
const ALGORITHM: &[u8] = b"\x30\x41\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\
    \x30\x34\xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\
    \xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\
    \x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\xa2\x03\x02\x01\x30";

/// An extension of a certificate.
#[derive(Clone, Debug)]
pub struct Extension {
    /// Content of the object identifier.
    pub id: Vec<u8>,
    /// Whether who does not know it must refuse.
    pub critical: bool,
    /// Content of the octet string.
    pub value: Vec<u8>,
}

impl Extension {
    /// One of AMD's, by its arcs below 1.3.6.1.4.1.3704.1, each below 128.
    pub fn amd(arcs: &[u8], value: Vec<u8>) -> Self {
        Self {
            id: [AMD, arcs].concat(),
            critical: false,
            value,
        }
    }

    pub(super) fn basic_constraints(is_authority: bool, path_length: Option<u8>) -> Self {
        let boolean: &[u8] = if is_authority { &[1, 1, 0xFF] } else { &[] };
        let length = path_length.map(integer).unwrap_or_default();
        Self {
            id: BASIC_CONSTRAINTS.to_vec(),
            critical: true,
            value: tlv(SEQUENCE, &[boolean, &length].concat()),
        }
    }

    pub(super) fn key_cert_sign() -> Self {
        Self {
            id: KEY_USAGE.to_vec(),
            critical: true,
            value: tlv(BIT_STRING, &[2, 0x04]),
        }
    }

    fn to_der(&self) -> Vec<u8> {
        let critical: &[u8] = if self.critical { &[1, 1, 0xFF] } else { &[] };
        let id = tlv(OBJECT_IDENTIFIER, &self.id);
        let value = tlv(OCTET_STRING, &self.value);
        tlv(SEQUENCE, &[&id, critical, &value].concat())
    }
}

/// What a certificate says.
pub(super) struct Certificate<'a> {
    /// Big-endian, without a leading byte over 127.
    pub serial: &'a [u8],
    pub issuer: &'a str,
    pub subject: &'a str,
    /// Unix time in seconds.
    pub not_before: i64,
    /// Unix time in seconds.
    pub not_after: i64,
    /// SubjectPublicKeyInfo in DER.
    pub public_key: &'a [u8],
    pub extensions: &'a [Extension],
}

impl Certificate<'_> {
    /// Signs it.
    pub fn sign<R: CryptoRng + ?Sized>(
        &self,
        issuer: &PrivateKey,
        rng: &mut R,
    ) -> Result<Vec<u8>, SnpError> {
        let validity = [time(self.not_before)?, time(self.not_after)?].concat();
        let extensions: Vec<u8> = self.extensions.iter().flat_map(Extension::to_der).collect();
        let to_be_signed = tlv(
            SEQUENCE,
            &[
                tlv(EXPLICIT_0, &integer(2)).as_slice(),
                &tlv(INTEGER, self.serial),
                ALGORITHM,
                &name(self.issuer),
                &tlv(SEQUENCE, &validity),
                &name(self.subject),
                self.public_key,
                &tlv(EXPLICIT_3, &tlv(SEQUENCE, &extensions)),
            ]
            .concat(),
        );
        let key = pss::SigningKey::<Sha384>::new_with_salt_len(issuer.clone(), SALT_BYTES);
        let signature = key
            .try_sign_with_rng(rng, &to_be_signed)
            .map_err(|_| SnpError::Signing)?;
        let signature = [&[0], signature.to_vec().as_slice()].concat();
        Ok(tlv(
            SEQUENCE,
            &[&to_be_signed, ALGORITHM, &tlv(BIT_STRING, &signature)].concat(),
        ))
    }
}

/// A DER INTEGER.
pub(super) fn integer(value: u8) -> Vec<u8> {
    if value < 0x80 {
        tlv(INTEGER, &[value])
    } else {
        tlv(INTEGER, &[0, value])
    }
}

/// A DER IA5String.
pub(super) fn ia5_string(text: &str) -> Vec<u8> {
    tlv(IA5_STRING, text.as_bytes())
}

fn name(common_name: &str) -> Vec<u8> {
    let part = |id: &[u8], text: &str| {
        let text = tlv(UTF8_STRING, text.as_bytes());
        tlv(
            SET,
            &tlv(SEQUENCE, &[tlv(OBJECT_IDENTIFIER, id), text].concat()),
        )
    };
    let organization = part(ORGANIZATION_NAME, "zkPass development TEE");
    tlv(
        SEQUENCE,
        &[organization, part(COMMON_NAME, common_name)].concat(),
    )
}

/// UTCTime through 2049, GeneralizedTime after it.
fn time(unix: i64) -> Result<Vec<u8>, SnpError> {
    let seconds = u64::try_from(unix).map_err(|_| SnpError::Time)?;
    let duration = Duration::from_secs(seconds);
    match UtcTime::from_unix_duration(duration) {
        Ok(time) => time.to_der(),
        Err(_) => GeneralizedTime::from_unix_duration(duration).and_then(|time| time.to_der()),
    }
    .map_err(|_| SnpError::Time)
}

/// Tag, length and content.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let significant = length.iter().skip(zeros);
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            // At most eight bytes of length.
            out.push(0x80 | significant.len() as u8);
            out.extend(significant);
        }
    }
    out.extend(content);
    out
}
