//! COSE_Sign1 (RFC 9052 section 4.2) and the attestation document in it.

use std::collections::BTreeMap;

use p384::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier};
use sha2::{Digest, Sha384};

use super::{
    NitroError,
    cbor::{CborError, Reader, Remaining},
};
use crate::policy::NITRO_PCRS;

/// Largest document in bytes: what the driver of the Nitro Secure Module has
/// room for in an answer (Linux, `NSM_RESPONSE_MAX_SIZE`). Genuine ones have
/// up to five thousand.
pub const MAX_DOCUMENT_BYTES: usize = 0x3000;

/// Most certificates in `cabundle`; AWS puts four there.
pub const MAX_BUNDLE: usize = 8;

/// Largest certificate in bytes (grammar of the document: 1 to 1024).
const MAX_CERTIFICATE_BYTES: usize = 1024;

/// Largest optional members in bytes (NSM API, request `Attestation`).
const MAX_PUBLIC_KEY_BYTES: usize = 1024;
const MAX_USER_DATA_BYTES: usize = 512;
const MAX_NONCE_BYTES: usize = 512;

/// End of the year 9999 in Unix milliseconds.
const TIMESTAMP_END: u64 = 253_402_300_800_000;

/// Tag of COSE_Sign1 (RFC 9052 section 2).
const SIGN1: u64 = 18;

/// The only protected header: `{1: -35}`, algorithm ES384 (RFC 9053 section 2.1).
const ES384: [u8; 4] = [0xa1, 0x01, 0x38, 0x22];

/// Labels of header parameters (RFC 9052 section 3.1).
const ALGORITHM: u64 = 1;
const CRITICAL: u64 = 2;

/// What precedes header and payload in signed data (RFC 9052 section 4.4): an
/// array of four and the text `Signature1`.
const SIGNED_CONTEXT: &[u8] = b"\x84\x6aSignature1";

/// Between header and payload: no external data.
const NO_EXTERNAL_DATA: &[u8] = b"\x40";

/// A well-formed document, unverified.
pub(super) struct Document<'a> {
    /// Protected header and payload as they came, each with its head.
    signed: [&'a [u8]; 2],
    signature: &'a [u8],
    pub(super) module_id: &'a str,
    pub(super) timestamp_ms: u64,
    pub(super) pcrs: BTreeMap<u8, [u8; 48]>,
    pub(super) certificate: &'a [u8],
    /// From the root to the issuer of `certificate`; not empty.
    pub(super) cabundle: Vec<&'a [u8]>,
    pub(super) public_key: Option<&'a [u8]>,
    pub(super) user_data: Option<&'a [u8]>,
    pub(super) nonce: Option<&'a [u8]>,
}

impl<'a> Document<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, NitroError> {
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return Err(NitroError::TooLarge);
        }
        let mut reader = Reader::new(bytes);
        match reader.tag()? {
            None | Some(SIGN1) => {}
            Some(other) => return Err(NitroError::WrongTag(other)),
        }
        match reader.array()? {
            Remaining::Count(4) => {}
            _ => return Err(NitroError::NotSign1),
        }
        let (signed_header, header) = reader.encoded_bytes()?;
        check_protected(header)?;
        match reader.map()? {
            Remaining::Count(0) => {}
            _ => return Err(NitroError::UnprotectedHeader),
        }
        let (signed_payload, payload) = reader.encoded_bytes()?;
        let signature = reader.bytes()?;
        reader.finish()?;
        if signature.len() != 96 {
            let bytes = signature.len();
            return Err(NitroError::SignatureLength { bytes });
        }

        let mut members = Members::default();
        let mut reader = Reader::new(payload);
        members.read(&mut reader)?;
        reader.finish()?;
        members.into_document([signed_header, signed_payload], signature)
    }

    /// The time in whole seconds, rounded down.
    pub(super) fn timestamp(&self) -> i64 {
        i64::try_from(self.timestamp_ms / 1000).unwrap_or(i64::MAX)
    }

    pub(super) fn check_signature(&self, key: &VerifyingKey) -> Result<(), NitroError> {
        let signature =
            Signature::from_slice(self.signature).map_err(|_| NitroError::SignatureRange)?;
        let [header, payload] = self.signed;
        let mut digest = Sha384::new();
        for part in [SIGNED_CONTEXT, header, NO_EXTERNAL_DATA, payload] {
            digest.update(part);
        }
        key.verify_prehash(&digest.finalize(), &signature)
            .map_err(|_| NitroError::WrongSignature)
    }
}

/// Accepts one header only; the rest finds the name for what is wrong with others.
fn check_protected(header: &[u8]) -> Result<(), NitroError> {
    if header == ES384 {
        return Ok(());
    }
    // Nothing at all stands for an empty map (RFC 9052 section 3).
    if header.is_empty() {
        return Err(NitroError::MissingAlgorithm);
    }
    let mut reader = Reader::new(header);
    let mut remaining = reader.map()?;
    let mut algorithm = false;
    while reader.more(&mut remaining) {
        match reader.unsigned() {
            Ok(ALGORITHM) if !algorithm => match reader.negative() {
                Ok(34) => algorithm = true,
                _ => return Err(NitroError::WrongAlgorithm),
            },
            Ok(CRITICAL) => return Err(NitroError::CriticalHeader),
            _ => return Err(NitroError::ExtraHeader),
        }
    }
    reader.finish()?;
    match algorithm {
        false => Err(NitroError::MissingAlgorithm),
        // The right content in another form.
        true => Err(CborError::NotCanonical.into()),
    }
}

/// The members of the payload as they are found. The outer option says whether
/// an optional member was there, the inner one whether it was null.
#[derive(Default)]
struct Members<'a> {
    module_id: Option<&'a str>,
    digest: Option<&'a str>,
    timestamp: Option<u64>,
    pcrs: Option<BTreeMap<u8, [u8; 48]>>,
    certificate: Option<&'a [u8]>,
    cabundle: Option<Vec<&'a [u8]>>,
    public_key: Option<Option<&'a [u8]>>,
    user_data: Option<Option<&'a [u8]>>,
    nonce: Option<Option<&'a [u8]>>,
}

impl<'a> Members<'a> {
    /// Reads a map of members, in any order.
    ///
    /// Unknown ones are refused: the grammar of the document is closed, and the
    /// same root certifies documents of another kind, those of NitroTPM, which
    /// differ in their members only.
    fn read(&mut self, reader: &mut Reader<'a>) -> Result<(), NitroError> {
        let mut remaining = reader.map()?;
        while reader.more(&mut remaining) {
            match reader.text()? {
                "module_id" => once("module_id", &mut self.module_id, reader.text()?)?,
                "digest" => once("digest", &mut self.digest, reader.text()?)?,
                "timestamp" => once("timestamp", &mut self.timestamp, reader.unsigned()?)?,
                "pcrs" => once("pcrs", &mut self.pcrs, read_pcrs(reader)?)?,
                "certificate" => {
                    let certificate = read_certificate("certificate", reader)?;
                    once("certificate", &mut self.certificate, certificate)?;
                }
                "cabundle" => once("cabundle", &mut self.cabundle, read_bundle(reader)?)?,
                "public_key" => {
                    let value = read_optional("public_key", MAX_PUBLIC_KEY_BYTES, reader)?;
                    once("public_key", &mut self.public_key, value)?;
                }
                "user_data" => {
                    let value = read_optional("user_data", MAX_USER_DATA_BYTES, reader)?;
                    once("user_data", &mut self.user_data, value)?;
                }
                "nonce" => {
                    let value = read_optional("nonce", MAX_NONCE_BYTES, reader)?;
                    once("nonce", &mut self.nonce, value)?;
                }
                _ => return Err(NitroError::UnknownMember),
            }
        }
        Ok(())
    }

    fn into_document(
        self,
        signed: [&'a [u8]; 2],
        signature: &'a [u8],
    ) -> Result<Document<'a>, NitroError> {
        let module_id = required("module_id", self.module_id)?;
        if module_id.is_empty() {
            return Err(NitroError::MemberLength {
                member: "module_id",
                bytes: 0,
            });
        }
        if required("digest", self.digest)? != "SHA384" {
            return Err(NitroError::WrongDigest);
        }
        let timestamp_ms = required("timestamp", self.timestamp)?;
        if !(1..TIMESTAMP_END).contains(&timestamp_ms) {
            return Err(NitroError::BadTimestamp);
        }
        Ok(Document {
            signed,
            signature,
            module_id,
            timestamp_ms,
            pcrs: required("pcrs", self.pcrs)?,
            certificate: required("certificate", self.certificate)?,
            cabundle: required("cabundle", self.cabundle)?,
            public_key: self.public_key.flatten(),
            user_data: self.user_data.flatten(),
            nonce: self.nonce.flatten(),
        })
    }
}

fn once<T>(name: &'static str, place: &mut Option<T>, value: T) -> Result<(), NitroError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(NitroError::RepeatedMember(name)),
    }
}

fn required<T>(name: &'static str, value: Option<T>) -> Result<T, NitroError> {
    value.ok_or(NitroError::MissingMember(name))
}

fn read_pcrs(reader: &mut Reader<'_>) -> Result<BTreeMap<u8, [u8; 48]>, NitroError> {
    let mut pcrs = BTreeMap::new();
    let mut remaining = reader.map()?;
    while reader.more(&mut remaining) {
        let number = reader.unsigned()?;
        let index = u8::try_from(number)
            .ok()
            .filter(|index| *index < NITRO_PCRS)
            .ok_or(NitroError::PcrIndex(number))?;
        let value = reader.bytes()?;
        let bytes = value.len();
        let value = value
            .try_into()
            .map_err(|_| NitroError::PcrLength { index, bytes })?;
        if pcrs.insert(index, value).is_some() {
            return Err(NitroError::RepeatedPcr(index));
        }
    }
    Ok(pcrs)
}

fn read_bundle<'a>(reader: &mut Reader<'a>) -> Result<Vec<&'a [u8]>, NitroError> {
    let mut bundle = Vec::new();
    let mut remaining = reader.array()?;
    while reader.more(&mut remaining) {
        if bundle.len() == MAX_BUNDLE {
            return Err(NitroError::LongBundle);
        }
        bundle.push(read_certificate("cabundle", reader)?);
    }
    if bundle.is_empty() {
        return Err(NitroError::EmptyBundle);
    }
    Ok(bundle)
}

fn read_certificate<'a>(
    member: &'static str,
    reader: &mut Reader<'a>,
) -> Result<&'a [u8], NitroError> {
    let value = reader.bytes()?;
    let bytes = value.len();
    if !(1..=MAX_CERTIFICATE_BYTES).contains(&bytes) {
        return Err(NitroError::MemberLength { member, bytes });
    }
    Ok(value)
}

fn read_optional<'a>(
    member: &'static str,
    most: usize,
    reader: &mut Reader<'a>,
) -> Result<Option<&'a [u8]>, NitroError> {
    let value = reader.optional_bytes()?;
    match value {
        Some(value) if value.len() > most => Err(NitroError::MemberLength {
            member,
            bytes: value.len(),
        }),
        _ => Ok(value),
    }
}
