//! TDX quotes and their collateral in the layout of Intel's, under a root of one's own.
//!
//! A [`TdxRoot`] plays the part of Intel: it is made once and kept. It makes a
//! [`TdxPlatform`], a machine with a PCK certificate of the genuine shape (root,
//! platform authority, PCK) and a quoting enclave, which quotes TDs and comes
//! with all that Intel would publish about it.

mod authority;
mod collateral;
mod quote;

use std::fmt;

use p256::{
    ecdsa::SigningKey,
    elliptic_curve::{Generate, rand_core::CryptoRng},
    pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding},
};
use sha2::{Digest, Sha256};
use x509_cert::{Certificate, der::DecodePem};
use zeroize::Zeroizing;

use authority::{Authority, Kind};
use collateral::Published;
use quote::QuotingEnclave;

pub use quote::TdxQuoteFields;

/// Lifetime of a root in seconds.
const ROOT_SECONDS: i64 = 20 * 365 * DAY;

/// Lifetime in seconds of all that a platform comes with. Intel's certificates
/// live seven years and its collateral 30 days; here, the shorter for both.
const PLATFORM_SECONDS: i64 = 30 * DAY;

const DAY: i64 = 24 * 3600;

/// All is valid from so long before it is made, for clocks that are behind.
const BACKDATE: i64 = 3600;

const CERTIFICATE_BEGINS: &str = "-----BEGIN CERTIFICATE-----";

/// Why there is no root, or no platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TdxRootError {
    /// The time is before 1970 or after 9999.
    #[error("the time is out of range")]
    TimeOutOfRange,
    /// The root is not valid at this time.
    #[error("the root is not valid at this time")]
    RootNotValid,
    /// The text has no private key of P-256.
    #[error("the text has no private key of P-256 in PKCS#8")]
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

impl TdxRootError {
    fn encoding(error: impl fmt::Display) -> Self {
        Self::Encoding(error.to_string())
    }
}

/// A development root: a private key of P-256 and its certificate.
pub struct TdxRoot(Authority);

impl TdxRoot {
    /// Makes a root. `now` is the Unix time in seconds.
    pub fn generate(rng: &mut impl CryptoRng, now: i64) -> Result<Self, TdxRootError> {
        let life = Lifetime::from(now, ROOT_SECONDS);
        Authority::self_signed(rng, Kind::Root, life).map(Self)
    }

    /// The private key in PKCS#8 and the certificate, as [`from_pem`](Self::from_pem) reads them.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, TdxRootError> {
        let mut text = self
            .0
            .key
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(TdxRootError::encoding)?;
        text.push_str(&self.0.pem()?);
        Ok(text)
    }

    /// Reads the text of a root.
    pub fn from_pem(text: &str) -> Result<Self, TdxRootError> {
        let begin = text
            .find(CERTIFICATE_BEGINS)
            .ok_or(TdxRootError::BadCertificate)?;
        let (key, certificate) = text.split_at(begin);
        let key = SigningKey::from_pkcs8_pem(key).map_err(|_| TdxRootError::BadKey)?;
        let certificate =
            Certificate::from_pem(certificate).map_err(|_| TdxRootError::BadCertificate)?;
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

    /// Makes a platform that can quote for 30 days. `now` is the Unix time in seconds.
    pub fn platform(
        &self,
        rng: &mut impl CryptoRng,
        now: i64,
    ) -> Result<TdxPlatform, TdxRootError> {
        let (from, until) = self.0.validity();
        if !(from..=until).contains(&now) {
            return Err(TdxRootError::RootNotValid);
        }
        let life = Lifetime::from(now, PLATFORM_SECONDS).until(until);
        let (mut ppid, mut instance) = ([0; 16], [0; 16]);
        rng.fill_bytes(&mut ppid);
        rng.fill_bytes(&mut instance);

        let authority = Authority::issued_by(rng, Kind::PlatformAuthority, life, &self.0)?;
        let pck = Authority::issued_by(rng, Kind::Pck { ppid, instance }, life, &authority)?;
        let signer = Authority::issued_by(rng, Kind::TcbSigning, life, &self.0)?;
        let root_pem = self.0.pem()?;
        let pck_chain = pck.pem()? + &authority.pem()? + &root_pem;
        let published = Published {
            pck_crl_issuer_chain: authority.pem()? + &root_pem,
            root_crl: self.0.revocation_list(life, None)?,
            pck_crl: authority.revocation_list(life, None)?,
            signer_chain: signer.pem()? + &root_pem,
            tcb_info: collateral::tcb_info(life)?,
            qe_identity: collateral::qe_identity(life)?,
            signer: signer.key,
        };
        let enclave = QuotingEnclave::new(SigningKey::generate_from_rng(rng), &pck.key, pck_chain);
        Ok(TdxPlatform {
            enclave,
            published,
            authority,
            pck: pck.certificate,
            ppid,
            life,
        })
    }
}

impl fmt::Debug for TdxRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TdxRoot(..)")
    }
}

/// A machine that quotes TDs, and what is published about it.
pub struct TdxPlatform {
    enclave: QuotingEnclave,
    published: Published,
    authority: Authority,
    pck: Certificate,
    ppid: [u8; 16],
    life: Lifetime,
}

impl TdxPlatform {
    /// A quote of version 4.
    pub fn quote(&self, fields: &TdxQuoteFields) -> Vec<u8> {
        self.enclave.quote(fields)
    }

    /// JSON of the members of `dcap_qvl::QuoteCollateralV3`.
    pub fn collateral_json(&self) -> Vec<u8> {
        self.collateral_with(self.tcb_info(), self.qe_identity())
    }

    /// The same with other TCB info and another QE identity, validly signed: what
    /// a verifier sees when the platform ages, or when something is wrong with it.
    pub fn collateral_with(&self, tcb_info: &str, qe_identity: &str) -> Vec<u8> {
        self.published.json(tcb_info, qe_identity)
    }

    /// The TCB info, in which this platform is up to date.
    pub fn tcb_info(&self) -> &str {
        &self.published.tcb_info
    }

    /// The identity of its quoting enclave.
    pub fn qe_identity(&self) -> &str {
        &self.published.qe_identity
    }

    /// Its identifier, as policies name it.
    pub fn ppid(&self) -> [u8; 16] {
        self.ppid
    }

    /// Unix time in seconds of the last second at which its quotes verify.
    pub fn not_after(&self) -> i64 {
        // Revocation lists have ended at their end.
        self.life.last - 1
    }

    /// From now on its collateral says that its certificate is revoked.
    pub fn revoke(&mut self) -> Result<(), TdxRootError> {
        let serial = self.pck.tbs_certificate().serial_number();
        self.published.pck_crl = self.authority.revocation_list(self.life, Some(serial))?;
        Ok(())
    }
}

impl fmt::Debug for TdxPlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TdxPlatform(..)")
    }
}

/// The first and the last second at which something holds.
#[derive(Clone, Copy)]
struct Lifetime {
    first: i64,
    last: i64,
}

impl Lifetime {
    fn from(now: i64, seconds: i64) -> Self {
        Self {
            first: now.saturating_sub(BACKDATE),
            last: now.saturating_add(seconds),
        }
    }

    /// No longer than its issuer's.
    fn until(self, issuer: i64) -> Self {
        Self {
            last: self.last.min(issuer),
            ..self
        }
    }
}
