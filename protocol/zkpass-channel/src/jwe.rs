//! Requests of existing clients: two compact JWEs (RFC 7516) instead of one sealed request.
//!
//! Both are encrypted to the P-256 key of one enclave with `ECDH-ES` in direct
//! agreement (RFC 7518 section 4.6) and `A256GCM`, and nothing else. The claims
//! in each are `{"data": STRING}`, other claims are ignored: the string is the
//! DVR token, or the JSON text of an object from tag to user data token.
//!
//! This is weaker than the sealed channel: the two JWEs are not bound to each
//! other, their sizes show, there is no key to seal an answer with, and whoever
//! learns the private key later can read what was recorded.
//!
//! A protected header may have `alg`, `enc`, `epk`, `apu`, `apv`, `kid`, `typ`
//! and `cty`; extensions (`crit`) and compression (`zip`) are refused.

use std::{collections::BTreeMap, fmt, str};

use aes_gcm::{Aes256Gcm, KeyInit as _, aead::AeadInOut as _};
use hpke::rand_core::CryptoRng;
use p256::{
    EncodedPoint, SecretKey,
    ecdh::{SharedSecret, diffie_hellman},
    elliptic_curve::sec1::{FromEncodedPoint as _, ToEncodedPoint as _},
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;
use zkpass_core::{
    code::Code,
    encoding::{base64url, from_base64url},
    json::{self, Value},
    keys::{Jwk, PublicKey},
    limits::{MAX_DVR_JWE_BYTES, MAX_HEADER_BYTES, MAX_USER_DATA_JWE_BYTES},
};

use crate::body::{BodyError, ResponseFormat, SealedRequestBody};

const ALGORITHM: &str = "ECDH-ES";
const ENCRYPTION: &str = "A256GCM";

const KEY_BYTES: usize = 32;
const IV_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// The private P-256 key that JWEs are encrypted to; it is wiped when dropped.
pub struct PrivateKey {
    secret: SecretKey,
    public: PublicKey,
}

/// Why a JWE was not opened; the outside world sees one code for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is longer than any honest one.
    #[error("the JWE has more than {limit} bytes")]
    TooLong {
        /// The limit that applies.
        limit: usize,
    },
    /// Not the five parts of a compact JWE.
    #[error("a compact JWE has five parts")]
    WrongSegmentCount,
    /// The protected header is too long.
    #[error("the header has more than {MAX_HEADER_BYTES} characters")]
    HeaderTooLong,
    /// A part is not base64url without padding, in its one spelling.
    #[error("a part is not canonical base64url without padding")]
    BadBase64,
    /// The header is not one strict JSON object.
    #[error("the header is not a strict JSON object")]
    HeaderNotAnObject,
    /// A header member that is not in the list.
    #[error("the header has a member that is not allowed")]
    UnknownHeaderMember,
    /// `crit`: extensions are not supported (RFC 7516 section 4.1.13).
    #[error("the header has `crit`; no critical extension is supported")]
    CriticalHeader,
    /// `zip`: a compressed size would tell of the content.
    #[error("the header has `zip`; compression is not supported")]
    Compressed,
    /// A header member of another type than it must have.
    #[error("a header member has the wrong type")]
    HeaderMemberType,
    /// `alg` is absent or another one.
    #[error("`alg` is not `{ALGORITHM}`")]
    WrongAlgorithm,
    /// `enc` is absent or another one.
    #[error("`enc` is not `{ENCRYPTION}`")]
    WrongEncryption,
    /// `epk` is absent, or not a point of P-256 in a public JWK.
    #[error("`epk` is not a public P-256 key")]
    BadEphemeralKey,
    /// Direct agreement has no encrypted key (RFC 7516 section 5.2, step 10).
    #[error("there is an encrypted key, which direct agreement has not")]
    EncryptedKeyPresent,
    /// The initialisation vector is not 96 bits, or the tag is not 128 bits.
    #[error("initialisation vector or tag have the wrong length")]
    WrongLength,
    /// It was altered, or encrypted to another key.
    #[error("the JWE does not open under this key")]
    NotForThisKey,
    /// What is inside is not an object with a string `data`.
    #[error("the claims are not a strict JSON object with a string `data`")]
    WrongClaims,
    /// The user data claim is not the JSON text of an object of strings.
    #[error("the user data is not a strict JSON object of tokens")]
    WrongUserData,
    /// The tokens are no request that an enclave reads.
    #[error(transparent)]
    Body(#[from] BodyError),
}

/// Why a JWE could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It would be longer than any enclave opens.
    #[error("the JWE would have more than {limit} bytes")]
    TooLong {
        /// The limit that applies.
        limit: usize,
    },
    /// No enclave would read the tokens.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The tokens could not be encoded.
    #[error("the tokens could not be encoded")]
    Encoding,
    /// The key could not be used.
    #[error("the enclave key could not be used")]
    Key,
}

impl OpenError {
    /// The one code for everything that goes wrong before a request is open.
    pub fn code(&self) -> Code {
        Code::SealedRequestRejected
    }
}

impl PrivateKey {
    /// Makes a new key from the given randomness.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        // One in 2^32 numbers of this length is not a P-256 scalar.
        loop {
            rng.fill_bytes(&mut *bytes);
            if let Some(key) = Self::from_scalar(&bytes) {
                return key;
            }
        }
    }

    fn from_scalar(bytes: &[u8; KEY_BYTES]) -> Option<Self> {
        let secret = SecretKey::from_bytes(bytes.into()).ok()?;
        let point = secret.public_key().to_encoded_point(false);
        let (x, y) = (point.x()?, point.y()?);
        let public = PublicKey::from_coordinates(x.as_ref(), y.as_ref()).ok()?;
        Some(Self { secret, public })
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    /// The x coordinate of the common point; it is wiped when dropped.
    fn agree(&self, other: &PublicKey) -> Option<SharedSecret> {
        let (x, y) = other.coordinates();
        let point = EncodedPoint::from_affine_coordinates(&x.into(), &y.into(), false);
        let point = Option::<p256::PublicKey>::from(p256::PublicKey::from_encoded_point(&point))?;
        let secret = self.secret.to_nonzero_scalar();
        Some(diffie_hellman(secret, point.as_affine()))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

/// Opens the request of an existing client, which has no idempotency id.
///
/// Refusing one that was opened before is the work of whoever holds the key:
/// a JWE cannot be altered, so its text tells it from all others.
pub fn open_request(
    user_data: &str,
    dvr: &str,
    key: &PrivateKey,
) -> Result<SealedRequestBody, OpenError> {
    let user_data = open(user_data, MAX_USER_DATA_JWE_BYTES, key)?;
    let dvr = open(dvr, MAX_DVR_JWE_BYTES, key)?;
    // Filled in place: its strings are wiped on every way out.
    let mut body = SealedRequestBody {
        tokens: BTreeMap::new(),
        dvr_token: String::new(),
        idempotency_id: String::new(),
        response_format: ResponseFormat::ProofToken,
    };
    body.dvr_token = data(&dvr)?;
    let tokens = Zeroizing::new(data(&user_data)?);
    let tokens = json::parse(&tokens).map_err(|_| OpenError::WrongUserData)?;
    for (tag, token) in tokens.as_object().ok_or(OpenError::WrongUserData)? {
        let token = token.as_string().ok_or(OpenError::WrongUserData)?;
        let (tag, token) = (tag.decode().into_owned(), token.decode().into_owned());
        body.tokens.insert(tag, token);
    }
    body.check()?;
    Ok(body)
}

/// Makes the two JWEs of a request as an existing client does: user data, then DVR.
pub fn seal_request(
    tokens: &BTreeMap<String, String>,
    dvr_token: &str,
    key: &PublicKey,
    rng: &mut impl CryptoRng,
) -> Result<(String, String), SealError> {
    let body = SealedRequestBody {
        tokens: tokens.clone(),
        dvr_token: dvr_token.to_owned(),
        idempotency_id: String::new(),
        response_format: ResponseFormat::ProofToken,
    };
    body.check()?;
    let map = serde_json::to_string(&body.tokens).map_err(|_| SealError::Encoding)?;
    let map = claims(&Zeroizing::new(map));
    let user_data = seal(map.as_bytes(), MAX_USER_DATA_JWE_BYTES, key, rng)?;
    let dvr = claims(&body.dvr_token);
    let dvr = seal(dvr.as_bytes(), MAX_DVR_JWE_BYTES, key, rng)?;
    Ok((user_data, dvr))
}

/// Decrypts a compact JWE of at most `limit` bytes.
pub fn open(text: &str, limit: usize, key: &PrivateKey) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    if text.len() > limit {
        return Err(OpenError::TooLong { limit });
    }
    let mut parts = text.split('.');
    let (Some(header), Some(encrypted_key), Some(iv), Some(ciphertext), Some(tag), None) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) else {
        return Err(OpenError::WrongSegmentCount);
    };
    if !encrypted_key.is_empty() {
        return Err(OpenError::EncryptedKeyPresent);
    }
    let parsed = Header::parse(header)?;
    let iv: [u8; IV_BYTES] = exactly(iv)?;
    let tag: [u8; TAG_BYTES] = exactly(tag)?;
    let mut text = Zeroizing::new(bytes(ciphertext)?);

    let secret = key
        .agree(&parsed.ephemeral)
        .ok_or(OpenError::BadEphemeralKey)?;
    let content_key = content_key(&secret, &parsed.apu, &parsed.apv);
    // The associated data is the header as it stands in the JWE.
    Aes256Gcm::new((&*content_key).into())
        .decrypt_inout_detached(
            &iv.into(),
            header.as_bytes(),
            text.as_mut_slice().into(),
            &tag.into(),
        )
        .map_err(|_| OpenError::NotForThisKey)?;
    Ok(text)
}

/// Encrypts to a compact JWE of at most `limit` bytes, with a fresh ephemeral key.
pub fn seal(
    plain: &[u8],
    limit: usize,
    key: &PublicKey,
    rng: &mut impl CryptoRng,
) -> Result<String, SealError> {
    let ephemeral = PrivateKey::generate(rng);
    let Jwk { kty, crv, x, y } = ephemeral.public.to_jwk();
    let header = base64url(
        format!(
            r#"{{"typ":"JWT","alg":"{ALGORITHM}","enc":"{ENCRYPTION}","epk":{{"kty":"{kty}","crv":"{crv}","x":"{x}","y":"{y}"}}}}"#
        )
        .as_bytes(),
    );
    let secret = ephemeral.agree(key).ok_or(SealError::Key)?;
    let content_key = content_key(&secret, b"", b"");
    let mut iv = [0; IV_BYTES];
    rng.fill_bytes(&mut iv);
    let mut text = Zeroizing::new(plain.to_vec());
    let tag = Aes256Gcm::new((&*content_key).into())
        .encrypt_inout_detached(&iv.into(), header.as_bytes(), text.as_mut_slice().into())
        .map_err(|_| SealError::Key)?;
    let [iv, text, tag] = [&iv[..], &text, &tag].map(base64url);
    // Direct agreement leaves the second part empty.
    let jwe = format!("{header}..{iv}.{text}.{tag}");
    match jwe.len() <= limit {
        true => Ok(jwe),
        false => Err(SealError::TooLong { limit }),
    }
}

/// What is needed of a protected header that is accepted.
struct Header {
    ephemeral: PublicKey,
    apu: Vec<u8>,
    apv: Vec<u8>,
}

impl Header {
    fn parse(text: &str) -> Result<Self, OpenError> {
        if text.len() > MAX_HEADER_BYTES {
            return Err(OpenError::HeaderTooLong);
        }
        let json = bytes(text)?;
        let json = str::from_utf8(&json).map_err(|_| OpenError::HeaderNotAnObject)?;
        let value = json::parse(json).map_err(|_| OpenError::HeaderNotAnObject)?;
        let members = value.as_object().ok_or(OpenError::HeaderNotAnObject)?;
        let (mut algorithm, mut encryption, mut ephemeral) = (None, None, None);
        let (mut apu, mut apv) = (Vec::new(), Vec::new());
        for (name, value) in members {
            let text = || {
                let text = value.as_string().map(|text| text.decode());
                text.ok_or(OpenError::HeaderMemberType)
            };
            match &*name.decode() {
                "alg" => algorithm = Some(text()?),
                "enc" => encryption = Some(text()?),
                "epk" => ephemeral = Some(ephemeral_key(value)?),
                "apu" => apu = bytes(&text()?)?,
                "apv" => apv = bytes(&text()?)?,
                // They say nothing that matters here.
                "kid" | "typ" | "cty" => drop(text()?),
                "crit" => return Err(OpenError::CriticalHeader),
                "zip" => return Err(OpenError::Compressed),
                _ => return Err(OpenError::UnknownHeaderMember),
            }
        }
        if algorithm.as_deref() != Some(ALGORITHM) {
            return Err(OpenError::WrongAlgorithm);
        }
        if encryption.as_deref() != Some(ENCRYPTION) {
            return Err(OpenError::WrongEncryption);
        }
        let ephemeral = ephemeral.ok_or(OpenError::BadEphemeralKey)?;
        Ok(Self {
            ephemeral,
            apu,
            apv,
        })
    }
}

/// Reads the sender's ephemeral key, and refuses what is no point of the curve:
/// agreeing on one would tell about the private key.
fn ephemeral_key(value: &Value<'_>) -> Result<PublicKey, OpenError> {
    let bad = OpenError::BadEphemeralKey;
    let mut jwk = Jwk {
        kty: String::new(),
        crv: String::new(),
        x: String::new(),
        y: String::new(),
    };
    for (name, value) in value.as_object().ok_or(bad)? {
        let member = match &*name.decode() {
            "kty" => &mut jwk.kty,
            "crv" => &mut jwk.crv,
            "x" => &mut jwk.x,
            "y" => &mut jwk.y,
            _ => return Err(bad),
        };
        *member = value.as_string().ok_or(bad)?.decode().into_owned();
    }
    PublicKey::from_jwk(&jwk).map_err(|_| bad)
}

fn content_key(secret: &SharedSecret, apu: &[u8], apv: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
    concat_kdf(secret.raw_secret_bytes(), ENCRYPTION, apu, apv)
}

/// The Concat KDF of RFC 7518 section 4.6.2 for keys of up to 32 bytes: one round of SHA-256.
fn concat_kdf<const N: usize>(
    secret: &[u8],
    algorithm: &str,
    apu: &[u8],
    apv: &[u8],
) -> Zeroizing<[u8; N]> {
    // Headers bound the lengths far below 2^32.
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
    let mut hash = Sha256::new()
        .chain_update(1_u32.to_be_bytes())
        .chain_update(secret);
    for part in [algorithm.as_bytes(), apu, apv] {
        hash.update(length(part.len()));
        hash.update(part);
    }
    hash.update(length(8 * N));
    let digest = Zeroizing::new(<[u8; 32]>::from(hash.finalize()));
    let mut key = Zeroizing::new([0; N]);
    for (to, from) in key.iter_mut().zip(digest.iter()) {
        *to = *from;
    }
    key
}

/// The claim `data` of decrypted claims.
fn data(claims: &[u8]) -> Result<String, OpenError> {
    let text = str::from_utf8(claims).map_err(|_| OpenError::WrongClaims)?;
    let value = json::parse(text).map_err(|_| OpenError::WrongClaims)?;
    let data = value.get("data").and_then(Value::as_string);
    Ok(data.ok_or(OpenError::WrongClaims)?.decode().into_owned())
}

/// Writes claims with one string in `data`.
fn claims(data: &str) -> Zeroizing<String> {
    // Room for every quote of the user data to be escaped: growing would leave copies behind.
    let mut out = Zeroizing::new(String::with_capacity(2 * data.len() + 16));
    out.push_str(r#"{"data":"#);
    json::write_string(&mut out, data);
    out.push('}');
    out
}

fn bytes(text: &str) -> Result<Vec<u8>, OpenError> {
    from_base64url(text).ok_or(OpenError::BadBase64)
}

fn exactly<const N: usize>(text: &str) -> Result<[u8; N], OpenError> {
    bytes(text)?.try_into().map_err(|_| OpenError::WrongLength)
}

#[cfg(test)]
mod tests;
