//! The way back: one answer per request, sealed under an exported key.

use core::fmt;

use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, aead::Aead as _};
use hpke::{HpkeError, aead::AeadCtxS, rand_core::CryptoRng};
use zeroize::Zeroizing;
use zkpass_core::limits::MAX_SEALED_ANSWER_BYTES;

use crate::{
    body::{BodyError, SealedAnswerBody},
    padding::{self, STEP},
    request::{Aead, Kdf, Kem, Receiver, TAG_BYTES},
};

const LABEL: &[u8] = b"zkpass/channel/v1/answer";
const NONCE_BYTES: usize = 32;
const KEY_BYTES: usize = 32;
const AEAD_NONCE_BYTES: usize = 12;

/// The longest padded body: what the limit on sealed answers leaves, in whole steps.
const MAX_PADDED_BYTES: usize = (MAX_SEALED_ANSWER_BYTES - NONCE_BYTES - TAG_BYTES) / STEP * STEP;

/// Seals the answer to one request; made by opening it.
pub struct AnswerSealer(Receiver);

/// Opens the answer to one request; made by sealing it.
pub struct AnswerOpener(AeadCtxS<Aead, Kdf, Kem>);

/// Why an answer could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealAnswerError {
    /// The body is longer than any client opens.
    #[error("the answer is longer than {MAX_PADDED_BYTES} bytes")]
    TooLong,
    /// The body could not be encoded.
    #[error("the answer could not be encoded")]
    Encoding,
    /// The cipher failed.
    #[error("the answer could not be encrypted")]
    Cipher,
}

/// Why a sealed answer was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenAnswerError {
    /// No sealed answer has this length.
    #[error("the sealed answer has an impossible length")]
    WrongSize,
    /// It was altered, or it answers another request.
    #[error("the sealed answer does not belong to this request")]
    NotForThisRequest,
    /// It opened, but its body is not an answer.
    #[error("the enclave sent a malformed answer")]
    Body(#[from] BodyError),
}

impl AnswerSealer {
    pub(crate) fn new(context: Receiver) -> Self {
        Self(context)
    }

    /// Seals the answer; taking the sealer by value keeps it to one.
    pub fn seal(
        self,
        body: &SealedAnswerBody,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, SealAnswerError> {
        let plain = body.encode().map_err(|_| SealAnswerError::Encoding)?;
        let padded = padding::pad(&plain, MAX_PADDED_BYTES).ok_or(SealAnswerError::TooLong)?;
        let mut nonce = [0; NONCE_BYTES];
        rng.fill_bytes(&mut nonce);
        let keys = Keys::export(&nonce, |context, out| self.0.export(context, out))
            .map_err(|_| SealAnswerError::Cipher)?;
        let ciphertext = keys
            .cipher()
            .encrypt(&keys.nonce.into(), padded.as_slice())
            .map_err(|_| SealAnswerError::Cipher)?;
        let mut sealed = nonce.to_vec();
        sealed.extend_from_slice(&ciphertext);
        Ok(sealed)
    }
}

impl AnswerOpener {
    pub(crate) fn new(context: AeadCtxS<Aead, Kdf, Kem>) -> Self {
        Self(context)
    }

    /// Opens an answer; it can be tried again, as the relay may have handed over the wrong bytes.
    pub fn open(&self, sealed: &[u8]) -> Result<SealedAnswerBody, OpenAnswerError> {
        let (nonce, ciphertext) = split(sealed).ok_or(OpenAnswerError::WrongSize)?;
        let keys = Keys::export(nonce, |context, out| self.0.export(context, out))
            .map_err(|_| OpenAnswerError::NotForThisRequest)?;
        let padded = keys
            .cipher()
            .decrypt(&keys.nonce.into(), ciphertext)
            .map(Zeroizing::new)
            .map_err(|_| OpenAnswerError::NotForThisRequest)?;
        let body = padding::unpad(&padded).ok_or(BodyError::Padding)?;
        Ok(SealedAnswerBody::decode(body)?)
    }
}

impl fmt::Debug for AnswerSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnswerSealer(..)")
    }
}

impl fmt::Debug for AnswerOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnswerOpener(..)")
    }
}

/// Key and nonce for one answer, both exported from the HPKE context.
///
/// The fresh answer nonce is part of the exporter context, so that even an
/// enclave that were made to answer one request twice would not use a key twice.
struct Keys {
    key: Zeroizing<[u8; KEY_BYTES]>,
    nonce: [u8; AEAD_NONCE_BYTES],
}

impl Keys {
    fn export(
        answer_nonce: &[u8; NONCE_BYTES],
        export: impl FnOnce(&[u8], &mut [u8]) -> Result<(), HpkeError>,
    ) -> Result<Self, HpkeError> {
        let mut secret = Zeroizing::new([0; KEY_BYTES + AEAD_NONCE_BYTES]);
        export(&[LABEL, answer_nonce].concat(), secret.as_mut())?;
        let mut keys = Self {
            key: Zeroizing::new([0; KEY_BYTES]),
            nonce: [0; AEAD_NONCE_BYTES],
        };
        let (key, nonce) = secret.split_at(KEY_BYTES);
        keys.key.copy_from_slice(key);
        keys.nonce.copy_from_slice(nonce);
        Ok(keys)
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new((&*self.key).into())
    }
}

fn split(sealed: &[u8]) -> Option<(&[u8; NONCE_BYTES], &[u8])> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let padded = ciphertext.len().checked_sub(TAG_BYTES)?;
    let possible = padded > 0 && padded <= MAX_PADDED_BYTES && padded.is_multiple_of(STEP);
    possible.then_some((nonce, ciphertext))
}
