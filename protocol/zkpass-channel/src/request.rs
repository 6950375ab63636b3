//! Sealing a request to an enclave key, and opening it.

use hpke::{
    Deserializable, HpkeError, OpModeR, OpModeS, Serializable,
    aead::{AeadCtxR, ChaCha20Poly1305},
    kdf::HkdfSha256,
    kem::XWing,
    rand_core::CryptoRng,
};
use zeroize::Zeroizing;
use zkpass_core::{code::Code, limits::MAX_SEALED_REQUEST_BYTES};

use crate::{
    answer::{AnswerOpener, AnswerSealer},
    body::{BodyError, SealedRequestBody},
    keys::{PrivateKey, PublicKey},
    padding::{self, STEP},
};

pub(crate) type Kem = XWing;
pub(crate) type Kdf = HkdfSha256;
pub(crate) type Aead = ChaCha20Poly1305;
pub(crate) type Receiver = AeadCtxR<Aead, Kdf, Kem>;

/// The length of the encapsulated key in front of every sealed request.
pub const ENCAPSULATION_BYTES: usize = 1120;

pub(crate) const TAG_BYTES: usize = 16;

/// The longest padded body: what the limit on sealed requests leaves, in whole steps.
const MAX_PADDED_BYTES: usize =
    (MAX_SEALED_REQUEST_BYTES - ENCAPSULATION_BYTES - TAG_BYTES) / STEP * STEP;

const LABEL: &[u8] = b"zkpass/channel/v1";

// A measurement is 96 hexadecimal digits, a key id is shorter. HPKE itself
// bounds `info` at 64 KiB.
const MAX_ID_BYTES: usize = 256;

/// What a request is bound to besides the key: opening needs the same values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The id under which the enclave announced the key.
    pub key_id: &'a str,
    /// The id of the measurement that the client accepted.
    pub measurement_id: &'a str,
}

impl Binding<'_> {
    fn info(&self) -> Option<Vec<u8>> {
        let mut info = LABEL.to_vec();
        for id in [self.key_id, self.measurement_id] {
            if id.len() > MAX_ID_BYTES {
                return None;
            }
            info.extend_from_slice(&u32::try_from(id.len()).ok()?.to_be_bytes());
            info.extend_from_slice(id.as_bytes());
        }
        Some(info)
    }
}

/// Why a request could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// No enclave would read the body.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body is longer than any enclave opens.
    #[error("the request is longer than {MAX_PADDED_BYTES} bytes")]
    TooLong,
    /// The key id or the measurement id is longer than 256 bytes.
    #[error("key id and measurement id have at most {MAX_ID_BYTES} bytes each")]
    IdTooLong,
    /// The body could not be encoded.
    #[error("the request could not be encoded")]
    Encoding,
    /// The key could not be used.
    #[error("the enclave key could not be used")]
    Key,
}

/// Why a sealed request was not opened; the outside world sees one code for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No sealed request has this length.
    #[error("the sealed request has an impossible length")]
    WrongSize,
    /// It was altered, or sealed to another key, key id or measurement.
    #[error("the sealed request does not open under this key")]
    NotForThisKey,
}

impl OpenError {
    /// The one code for everything that goes wrong before a request is open.
    pub fn code(&self) -> Code {
        Code::SealedRequestRejected
    }
}

/// A request that opened: from here on every answer goes back sealed.
#[derive(Debug)]
pub struct Opened {
    /// The decoded body, or why it is not one.
    pub body: Result<SealedRequestBody, BodyError>,
    /// Seals the one answer to this request.
    pub answer: AnswerSealer,
}

/// Seals a request to an enclave key; the second value opens the answer.
pub fn seal(
    body: &SealedRequestBody,
    key: &PublicKey,
    binding: &Binding<'_>,
    rng: &mut impl CryptoRng,
) -> Result<(Vec<u8>, AnswerOpener), SealError> {
    let info = binding.info().ok_or(SealError::IdTooLong)?;
    body.check()?;
    let plain = body.encode().map_err(|_| SealError::Encoding)?;
    let padded = padding::pad(&plain, MAX_PADDED_BYTES).ok_or(SealError::TooLong)?;

    let (encapsulation, mut context) =
        hpke::setup_sender_with_rng::<Aead, Kdf, Kem>(&OpModeS::Base, &key.0, &info, rng)
            .map_err(|_| SealError::Key)?;
    let ciphertext = context.seal(&padded, b"").map_err(|_| SealError::Key)?;

    let mut sealed = encapsulation.to_bytes().to_vec();
    sealed.extend_from_slice(&ciphertext);
    Ok((sealed, AnswerOpener::new(context)))
}

/// Opens a request with the private key and the binding it was sealed to.
pub fn open(sealed: &[u8], key: &PrivateKey, binding: &Binding<'_>) -> Result<Opened, OpenError> {
    let (encapsulation, ciphertext) = split(sealed)?;
    let info = binding.info().ok_or(OpenError::NotForThisKey)?;
    let (context, padded) =
        decrypt(encapsulation, ciphertext, key, &info).map_err(|_| OpenError::NotForThisKey)?;
    let body = padding::unpad(&padded)
        .ok_or(BodyError::Padding)
        .and_then(SealedRequestBody::decode);
    Ok(Opened {
        body,
        answer: AnswerSealer::new(context),
    })
}

/// The encapsulated key of a sealed request, by which a repeated request is known.
///
/// An honest client never makes the same one twice, and without the private
/// key nobody can put the same request under another one.
pub fn encapsulation(sealed: &[u8]) -> Result<&[u8], OpenError> {
    split(sealed).map(|(encapsulation, _)| encapsulation)
}

fn split(sealed: &[u8]) -> Result<(&[u8], &[u8]), OpenError> {
    let (encapsulation, ciphertext) = sealed
        .split_at_checked(ENCAPSULATION_BYTES)
        .ok_or(OpenError::WrongSize)?;
    let padded = ciphertext
        .len()
        .checked_sub(TAG_BYTES)
        .ok_or(OpenError::WrongSize)?;
    if padded == 0 || padded > MAX_PADDED_BYTES || !padded.is_multiple_of(STEP) {
        return Err(OpenError::WrongSize);
    }
    Ok((encapsulation, ciphertext))
}

fn decrypt(
    encapsulation: &[u8],
    ciphertext: &[u8],
    key: &PrivateKey,
    info: &[u8],
) -> Result<(Receiver, Zeroizing<Vec<u8>>), HpkeError> {
    let encapsulation = <Kem as hpke::Kem>::EncappedKey::from_bytes(encapsulation)?;
    let mut context =
        hpke::setup_receiver::<Aead, Kdf, Kem>(&OpModeR::Base, &key.0, &encapsulation, info)?;
    let padded = Zeroizing::new(context.open(ciphertext, b"")?);
    Ok((context, padded))
}
