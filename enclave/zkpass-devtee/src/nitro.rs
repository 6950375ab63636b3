//! Attestation documents in the layout of AWS Nitro Enclaves, under a root of one's own.
//!
//! A [`NitroRoot`] plays the part of AWS: it is made once and kept. It makes a
//! [`NitroSigner`] with a chain of the genuine shape (root, region, zone,
//! instance, enclave) that signs documents for three hours.

mod authority;
pub mod cbor;
pub mod forge;

use std::{collections::BTreeMap, fmt};

use p384::{
    ecdsa::{Signature, SigningKey, signature::Signer},
    pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding},
};
use sha2::{Digest, Sha256};
use x509_cert::{
    Certificate,
    der::{DecodePem, EncodePem},
    ext::pkix::KeyUsages,
};
use zeroize::Zeroizing;

use self::authority::{Authority, Template};
use crate::rand_core::CryptoRng;

/// Lifetimes in seconds, those of AWS.
const ROOT_SECONDS: i64 = 30 * 365 * DAY;
const REGION_SECONDS: i64 = 20 * DAY;
const ZONE_SECONDS: i64 = 6 * DAY;
const INSTANCE_SECONDS: i64 = DAY;
const ENCLAVE_SECONDS: i64 = 3 * HOUR;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Certificates are valid from so long before they are made, for clocks that
/// are behind: AWS has one hour for issuers and three seconds for enclaves.
const ISSUER_BACKDATE: i64 = HOUR;
const ENCLAVE_BACKDATE: i64 = 3;

/// The protected header: `{1: -35}`, algorithm ES384 (RFC 9053 section 2.1).
const ES384: [u8; 4] = [0xa1, 0x01, 0x38, 0x22];

/// Begins the second part of a root's text.
const CERTIFICATE_BEGINS: &str = "-----BEGIN CERTIFICATE-----";

/// Why there is no root, or no signer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NitroRootError {
    /// The time is before 1970 or after 9999.
    #[error("the time is out of range")]
    TimeOutOfRange,
    /// The root is not valid at this time.
    #[error("the root is not valid at this time")]
    RootNotValid,
    /// The text has no private key of P-384.
    #[error("the text has no private key of P-384 in PKCS#8")]
    BadKey,
    /// The text has no certificate.
    #[error("the text has no certificate after its private key")]
    BadCertificate,
    /// The certificate is on another key.
    #[error("the certificate is not on the private key")]
    KeyMismatch,
    /// A certificate cannot be written.
    #[error("a certificate cannot be written: {0}")]
    Encoding(String),
}

impl NitroRootError {
    fn encoding(error: impl fmt::Display) -> Self {
        Self::Encoding(error.to_string())
    }
}

/// A development root: a private key of P-384 and its certificate.
pub struct NitroRoot(Authority);

impl NitroRoot {
    /// Makes a root. `now` is the Unix time in seconds.
    pub fn generate(rng: &mut impl CryptoRng, now: i64) -> Result<Self, NitroRootError> {
        issuer_template("nitro-root", now, ROOT_SECONDS, None)
            .self_signed(rng)
            .map(Self)
    }

    /// The private key in PKCS#8 and the certificate, as [`from_pem`](Self::from_pem) reads them.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, NitroRootError> {
        let mut text = self
            .0
            .key
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(NitroRootError::encoding)?;
        let certificate = self.0.certificate.to_pem(LineEnding::LF);
        text.push_str(&certificate.map_err(NitroRootError::encoding)?);
        Ok(text)
    }

    /// Reads the text of a root.
    pub fn from_pem(text: &str) -> Result<Self, NitroRootError> {
        let begin = text
            .find(CERTIFICATE_BEGINS)
            .ok_or(NitroRootError::BadCertificate)?;
        let (key, certificate) = text.split_at(begin);
        let key = SigningKey::from_pkcs8_pem(key).map_err(|_| NitroRootError::BadKey)?;
        let certificate =
            Certificate::from_pem(certificate).map_err(|_| NitroRootError::BadCertificate)?;
        Authority::new(key, certificate).map(Self)
    }

    /// The certificate in DER.
    pub fn certificate_der(&self) -> &[u8] {
        &self.0.der
    }

    /// SHA-256 of the certificate in DER: what a policy that trusts this root names.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.0.der).into()
    }

    /// Makes a chain for one enclave. `now` is the Unix time in seconds.
    pub fn instance(
        &self,
        rng: &mut impl CryptoRng,
        now: i64,
    ) -> Result<NitroSigner, NitroRootError> {
        let (from, until) = self.0.validity();
        if !(from..=until).contains(&now) {
            return Err(NitroRootError::RootNotValid);
        }
        let region = issuer_template("region.nitro-root", now, REGION_SECONDS, Some(2));
        let zone = issuer_template("zone.region.nitro-root", now, ZONE_SECONDS, Some(1));
        let mut instance = issuer_template("i-0.region.nitro-root", now, INSTANCE_SECONDS, Some(0));
        instance.usage = KeyUsages::KeyCertSign.into();

        let region = region.issued_by(rng, &self.0)?;
        let zone = zone.issued_by(rng, &region)?;
        let instance = instance.issued_by(rng, &zone)?;
        let enclave = enclave_template(now).issued_by(rng, &instance)?;
        let chain = [&self.0, &region, &zone, &instance];
        Ok(NitroSigner {
            cabundle: chain.map(|one| one.der.clone()).to_vec(),
            enclave,
        })
    }
}

impl fmt::Debug for NitroRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NitroRoot(..)")
    }
}

/// What an enclave and its hypervisor put into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NitroDocument {
    /// The enclave.
    pub module_id: String,
    /// Now, in Unix milliseconds.
    pub timestamp_ms: u64,
    /// Platform configuration registers; those of debug enclaves are zero.
    pub pcrs: BTreeMap<u8, [u8; 48]>,
    /// Up to 1024 bytes; verifiers refuse more, here and below.
    pub public_key: Option<Vec<u8>>,
    /// Up to 512 bytes.
    pub user_data: Option<Vec<u8>>,
    /// Up to 512 bytes.
    pub nonce: Option<Vec<u8>>,
}

/// Signs documents for one enclave.
pub struct NitroSigner {
    enclave: Authority,
    /// From the root to the issuer of the enclave's certificate.
    cabundle: Vec<Vec<u8>>,
}

impl NitroSigner {
    /// A signed document.
    pub fn document(&self, document: &NitroDocument) -> Vec<u8> {
        self.sign(&ES384, &cbor::members(self.members(document)))
    }

    /// Unix time in seconds after which the documents no longer verify.
    pub fn not_after(&self) -> i64 {
        self.enclave.validity().1
    }

    /// The members of a document in their order, written.
    fn members(&self, document: &NitroDocument) -> [(&'static str, Vec<u8>); 9] {
        let pcrs: Vec<_> = document
            .pcrs
            .iter()
            .map(|(index, value)| (cbor::unsigned(u64::from(*index)), cbor::bytes(value)))
            .collect();
        let cabundle: Vec<_> = self.cabundle.iter().map(|der| cbor::bytes(der)).collect();
        [
            ("module_id", cbor::text(&document.module_id)),
            ("digest", cbor::text("SHA384")),
            ("timestamp", cbor::unsigned(document.timestamp_ms)),
            ("pcrs", cbor::map(&pcrs)),
            ("certificate", cbor::bytes(&self.enclave.der)),
            ("cabundle", cbor::array(&cabundle)),
            (
                "public_key",
                cbor::optional_bytes(document.public_key.as_deref()),
            ),
            (
                "user_data",
                cbor::optional_bytes(document.user_data.as_deref()),
            ),
            ("nonce", cbor::optional_bytes(document.nonce.as_deref())),
        ]
    }

    /// COSE_Sign1 without a tag (RFC 9052 section 4.2), signed over the
    /// structure of section 4.4.
    fn sign(&self, protected: &[u8], payload: &[u8]) -> Vec<u8> {
        let protected = cbor::bytes(protected);
        let payload = cbor::bytes(payload);
        let signed = cbor::array(&[
            cbor::text("Signature1"),
            protected.clone(),
            cbor::bytes(&[]),
            payload.clone(),
        ]);
        let signature: Signature = self.enclave.key.sign(&signed);
        let unprotected = cbor::map(&[]);
        let signature = cbor::bytes(&signature.to_bytes());
        cbor::array(&[protected, unprotected, payload, signature])
    }
}

impl fmt::Debug for NitroSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NitroSigner(..)")
    }
}

/// Subjects have the fields of AWS's and say what they are.
fn subject(common_name: &str) -> String {
    format!("CN={common_name}.zkpass-development,OU=Not AWS,O=zkPass development TEE,C=ZZ")
}

fn issuer_template(name: &str, now: i64, seconds: i64, path_length: Option<u8>) -> Template {
    Template {
        subject: subject(name),
        not_before: now.saturating_sub(ISSUER_BACKDATE),
        not_after: now.saturating_add(seconds),
        is_authority: true,
        path_length,
        usage: KeyUsages::DigitalSignature | KeyUsages::KeyCertSign | KeyUsages::CRLSign,
        extensions: Vec::new(),
    }
}

fn enclave_template(now: i64) -> Template {
    Template {
        subject: subject("i-0-enc0.region.nitro-root"),
        not_before: now.saturating_sub(ENCLAVE_BACKDATE),
        not_after: now.saturating_add(ENCLAVE_SECONDS),
        is_authority: false,
        path_length: None,
        usage: KeyUsages::DigitalSignature | KeyUsages::NonRepudiation,
        extensions: Vec::new(),
    }
}
