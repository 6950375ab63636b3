//! P-256 keys and their text forms: PEM, JWK and the legacy zkPass form.

use std::fmt;

use p256::{
    ecdsa::{self, signature::Signer as _, signature::Verifier as _},
    elliptic_curve::sec1::{FromEncodedPoint as _, ToEncodedPoint as _},
    pkcs8::{
        DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
        LineEnding,
    },
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    code::Code,
    encoding::{base64, base64url, from_base64, from_base64url},
    json,
    limits::MAX_KEY_TEXT_BYTES,
};

/// Why a text or byte string is not a usable key.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// Longer than any key.
    #[error("key text exceeds {MAX_KEY_TEXT_BYTES} bytes")]
    TooLarge,
    /// Neither PEM nor a JSON form.
    #[error("not a key in PEM, JWK or legacy form")]
    UnknownForm,
    /// PEM that holds no P-256 key of the kind wanted.
    #[error("malformed PEM, or not a P-256 key of this kind")]
    BadPem,
    /// Not a JWK with `kty` EC, `crv` P-256 and both coordinates (RFC 7518 section 6.2).
    #[error("malformed JWK, or not a P-256 key")]
    BadJwk,
    /// Not the two lines of a base64 SPKI.
    #[error("malformed legacy key")]
    BadLegacy,
    /// A private key where a public one is wanted.
    #[error("a private key stands where a public key is wanted")]
    PrivateKey,
    /// Coordinates that are not a point of the curve.
    #[error("the point is not on the curve P-256")]
    NotOnCurve,
    /// A secret that is zero or not below the group order.
    #[error("the secret is not a P-256 scalar")]
    BadScalar,
    /// The key is named by a key set; it must be fetched first.
    #[error("the key is named by a key set that has not been fetched")]
    KeysetUnresolved,
}

impl KeyError {
    /// The stable code.
    pub fn code(self) -> Code {
        match self {
            Self::KeysetUnresolved => Code::KeysetUnresolved,
            _ => Code::BadKey,
        }
    }
}

/// A P-256 public key: a point of the curve, not the identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey(p256::PublicKey);

/// A public key as JWK (RFC 7517, RFC 7518 section 6.2.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwk {
    /// Always `EC`.
    pub kty: String,
    /// Always `P-256`.
    pub crv: String,
    /// First coordinate, base64url.
    pub x: String,
    /// Second coordinate, base64url.
    pub y: String,
}

impl PublicKey {
    /// Reads any of the text forms: PEM, JWK, `{"PublicKey": ...}`, or the
    /// legacy pair `{"x", "y"}`.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.starts_with("-----BEGIN") {
            return Self::from_pem(text);
        }
        if !text.starts_with('{') {
            return Err(KeyError::UnknownForm);
        }
        if let Ok(key) = decode::<IssuerKey>(text, KeyError::UnknownForm) {
            return key.public_key();
        }
        match decode::<KeyText>(text, KeyError::UnknownForm) {
            Ok(key) => key.public_key(),
            Err(_) => Self::from_jwk_json(text),
        }
    }

    /// Reads an SPKI in PEM (RFC 7468 section 13).
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        check_size(text)?;
        let text = text.trim();
        if text.contains("PRIVATE KEY-----") {
            return Err(KeyError::PrivateKey);
        }
        p256::PublicKey::from_public_key_pem(text)
            .map(Self)
            .map_err(|_| KeyError::BadPem)
    }

    /// Reads a JWK. Members it does not know are ignored, as RFC 7517
    /// section 4 asks, but a private key is refused.
    pub fn from_jwk_json(text: &str) -> Result<Self, KeyError> {
        #[derive(Deserialize)]
        struct Members {
            kty: String,
            crv: String,
            x: String,
            y: String,
            alg: Option<String>,
            #[serde(rename = "use")]
            usage: Option<String>,
            d: Option<de::IgnoredAny>,
        }
        let jwk: Members = decode(text, KeyError::BadJwk)?;
        if jwk.d.is_some() {
            return Err(KeyError::PrivateKey);
        }
        let for_es256 = jwk.alg.is_none_or(|alg| alg == "ES256")
            && jwk.usage.is_none_or(|usage| usage == "sig");
        if !for_es256 {
            return Err(KeyError::BadJwk);
        }
        Self::from_jwk(&Jwk {
            kty: jwk.kty,
            crv: jwk.crv,
            x: jwk.x,
            y: jwk.y,
        })
    }

    /// Takes the key out of a JWK.
    pub fn from_jwk(jwk: &Jwk) -> Result<Self, KeyError> {
        if jwk.kty != "EC" || jwk.crv != "P-256" {
            return Err(KeyError::BadJwk);
        }
        Self::from_coordinates(&coordinate(&jwk.x)?, &coordinate(&jwk.y)?)
    }

    /// Reads the legacy pair: `x` and `y` are the two lines of a base64 SPKI,
    /// not coordinates.
    pub fn from_legacy(x: &str, y: &str) -> Result<Self, KeyError> {
        let spki = from_base64(&format!("{x}{y}")).ok_or(KeyError::BadLegacy)?;
        p256::PublicKey::from_public_key_der(&spki)
            .map(Self)
            .map_err(|_| KeyError::BadLegacy)
    }

    /// Makes the key from its affine coordinates, big-endian.
    pub fn from_coordinates(x: &[u8; 32], y: &[u8; 32]) -> Result<Self, KeyError> {
        let point = p256::EncodedPoint::from_affine_coordinates(x.into(), y.into(), false);
        Option::from(p256::PublicKey::from_encoded_point(&point))
            .map(Self)
            .ok_or(KeyError::NotOnCurve)
    }

    /// The affine coordinates, big-endian.
    pub fn coordinates(&self) -> ([u8; 32], [u8; 32]) {
        let point = self.0.to_encoded_point(false);
        // An uncompressed point other than the identity has both.
        let bytes = |coordinate: Option<&p256::FieldBytes>| {
            coordinate.map(|bytes| (*bytes).into()).unwrap_or_default()
        };
        (bytes(point.x()), bytes(point.y()))
    }

    /// The key as SPKI in PEM, with a final newline.
    pub fn to_pem(&self) -> String {
        let spki = self.spki();
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        for line in legacy_lines(&base64(&spki)) {
            pem.push_str(line);
            pem.push('\n');
        }
        pem.push_str("-----END PUBLIC KEY-----\n");
        pem
    }

    /// The key as JWK.
    pub fn to_jwk(&self) -> Jwk {
        let (x, y) = self.coordinates();
        Jwk {
            kty: "EC".into(),
            crv: "P-256".into(),
            x: base64url(&x),
            y: base64url(&y),
        }
    }

    /// The legacy pair: the two lines of the base64 SPKI.
    pub fn to_legacy(&self) -> (String, String) {
        let text = base64(&self.spki());
        let [x, y] = legacy_lines(&text);
        (x.into(), y.into())
    }

    /// The JWK thumbprint in base64url (RFC 7638 section 3).
    pub fn thumbprint(&self) -> String {
        let Jwk { x, y, .. } = self.to_jwk();
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        base64url(&Sha256::digest(members))
    }

    /// Whether `signature` (r and s, big-endian) is a valid ES256 signature of `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        ecdsa::Signature::from_slice(signature).is_ok_and(|signature| {
            ecdsa::VerifyingKey::from(&self.0)
                .verify(message, &signature)
                .is_ok()
        })
    }

    /// SPKI in DER: for P-256 a fixed prefix and the uncompressed point.
    fn spki(&self) -> Vec<u8> {
        self.0
            .to_public_key_der()
            .map(|der| der.as_bytes().to_vec())
            .unwrap_or_default()
    }
}

/// Shows the thumbprint.
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.thumbprint())
    }
}

/// Serialises as JWK.
impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_jwk().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_jwk(&Jwk::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// A P-256 secret key. Its memory is cleared on drop and `Debug` shows nothing.
#[derive(Clone)]
pub struct SigningKey(ecdsa::SigningKey);

impl SigningKey {
    /// Makes the key of a secret scalar, big-endian. The caller draws the
    /// bytes at random, again should they be refused (one in 2^32).
    pub fn from_bytes(secret: &[u8; 32]) -> Result<Self, KeyError> {
        ecdsa::SigningKey::from_bytes(secret.into())
            .map(Self)
            .map_err(|_| KeyError::BadScalar)
    }

    /// Reads either text form: PEM or JWK.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        match text.trim_start().starts_with('{') {
            true => Self::from_jwk_json(text),
            false => Self::from_pem(text),
        }
    }

    /// Reads PKCS#8 (`PRIVATE KEY`) or SEC1 (`EC PRIVATE KEY`) in PEM.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        check_size(text)?;
        let text = text.trim();
        // OpenSSL may write a block of curve parameters before a SEC1 key.
        let sec1 = text.find("-----BEGIN EC PRIVATE KEY-----");
        let key = match sec1.and_then(|start| text.get(start..)) {
            Some(block) => p256::SecretKey::from_sec1_pem(block).ok(),
            None => p256::SecretKey::from_pkcs8_pem(text).ok(),
        };
        key.map(|key| Self(key.into())).ok_or(KeyError::BadPem)
    }

    /// Reads a private JWK. Its public coordinates must belong to the secret.
    pub fn from_jwk_json(text: &str) -> Result<Self, KeyError> {
        #[derive(Deserialize)]
        struct Members {
            kty: String,
            crv: String,
            x: String,
            y: String,
            d: String,
        }
        let jwk: Members = decode(text, KeyError::BadJwk)?;
        let secret = Zeroizing::new(jwk.d);
        let public = PublicKey::from_jwk(&Jwk {
            kty: jwk.kty,
            crv: jwk.crv,
            x: jwk.x,
            y: jwk.y,
        })?;
        let key = Self::from_bytes(&Zeroizing::new(coordinate(&secret)?))?;
        match key.public() == public {
            true => Ok(key),
            false => Err(KeyError::BadJwk),
        }
    }

    /// The key as PKCS#8 in PEM.
    pub fn to_pem(&self) -> Zeroizing<String> {
        // Encoding a valid key cannot fail; an empty text parses as no key.
        self.0.to_pkcs8_pem(LineEnding::LF).unwrap_or_default()
    }

    /// The key as private JWK.
    pub fn to_jwk(&self) -> Zeroizing<String> {
        let Jwk { kty, crv, x, y } = self.public().to_jwk();
        let d = Zeroizing::new(base64url(&Zeroizing::new(self.0.to_bytes())));
        Zeroizing::new(format!(
            r#"{{"kty":"{kty}","crv":"{crv}","x":"{x}","y":"{y}","d":"{}"}}"#,
            *d
        ))
    }

    /// The public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().into())
    }

    /// Signs with ES256 and the deterministic nonce of RFC 6979: r and s, big-endian.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature: ecdsa::Signature = self.0.sign(message);
        signature.to_bytes().into()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// How a DVR names a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum IssuerKey {
    /// The key itself.
    PublicKey(KeyText),
    /// A key in a key set that the verifier resolves.
    KeysetEndpoint {
        /// URL of the JWKS.
        jku: String,
        /// Key id in it.
        kid: String,
    },
}

impl IssuerKey {
    /// The key, if the DVR holds the key itself.
    pub fn public_key(&self) -> Result<PublicKey, KeyError> {
        match self {
            Self::PublicKey(text) => text.public_key(),
            Self::KeysetEndpoint { .. } => Err(KeyError::KeysetUnresolved),
        }
    }

    /// Appends the canonical JSON that goes into the DVR digest: the form the
    /// key was written in, without white space, members in fixed order.
    pub(crate) fn write_canonical(&self, out: &mut String) {
        let members: &[(&str, &str)] = match self {
            Self::PublicKey(KeyText::Legacy { x, y }) => &[("x", x), ("y", y)],
            Self::PublicKey(KeyText::Jwk(jwk)) => &[
                ("kty", &jwk.kty),
                ("crv", &jwk.crv),
                ("x", &jwk.x),
                ("y", &jwk.y),
            ],
            Self::KeysetEndpoint { jku, kid } => &[("jku", jku), ("kid", kid)],
        };
        let kind = match self {
            Self::PublicKey(_) => "PublicKey",
            Self::KeysetEndpoint { .. } => "KeysetEndpoint",
        };
        out.push('{');
        json::write_string(out, kind);
        out.push_str(":{");
        for (index, (name, value)) in members.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            json::write_string(out, name);
            out.push(':');
            json::write_string(out, value);
        }
        out.push_str("}}");
    }
}

impl From<PublicKey> for IssuerKey {
    fn from(key: PublicKey) -> Self {
        Self::PublicKey(KeyText::Jwk(key.to_jwk()))
    }
}

/// A public key as it is written in a DVR, not yet checked to be a point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "KeyMembers", into = "KeyMembers")]
pub enum KeyText {
    /// The legacy pair: two lines of a base64 SPKI.
    Legacy {
        /// First line.
        x: String,
        /// Second line.
        y: String,
    },
    /// A JWK.
    Jwk(Jwk),
}

impl KeyText {
    /// The key that is meant.
    pub fn public_key(&self) -> Result<PublicKey, KeyError> {
        match self {
            Self::Legacy { x, y } => PublicKey::from_legacy(x, y),
            Self::Jwk(jwk) => PublicKey::from_jwk(jwk),
        }
    }
}

/// The members of both forms; `kty` and `crv` tell them apart.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyMembers {
    #[serde(skip_serializing_if = "Option::is_none")]
    kty: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    x: String,
    y: String,
}

impl TryFrom<KeyMembers> for KeyText {
    type Error = KeyError;

    fn try_from(members: KeyMembers) -> Result<Self, KeyError> {
        let KeyMembers { kty, crv, x, y } = members;
        match (kty, crv) {
            (None, None) => Ok(Self::Legacy { x, y }),
            (Some(kty), Some(crv)) => Ok(Self::Jwk(Jwk { kty, crv, x, y })),
            _ => Err(KeyError::BadJwk),
        }
    }
}

impl From<KeyText> for KeyMembers {
    fn from(text: KeyText) -> Self {
        match text {
            KeyText::Legacy { x, y } => Self {
                kty: None,
                crv: None,
                x,
                y,
            },
            KeyText::Jwk(Jwk { kty, crv, x, y }) => Self {
                kty: Some(kty),
                crv: Some(crv),
                x,
                y,
            },
        }
    }
}

fn check_size(text: &str) -> Result<(), KeyError> {
    match text.len() <= MAX_KEY_TEXT_BYTES {
        true => Ok(()),
        false => Err(KeyError::TooLarge),
    }
}

fn decode<T: de::DeserializeOwned>(text: &str, error: KeyError) -> Result<T, KeyError> {
    check_size(text)?;
    json::decode(text.trim()).map_err(|_| error)
}

/// Exactly 32 bytes in base64url (RFC 7518 section 6.2.1.2).
fn coordinate(text: &str) -> Result<[u8; 32], KeyError> {
    from_base64url(text)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(KeyError::BadJwk)
}

/// PEM and the legacy form break a base64 SPKI of P-256 after 64 of its 124
/// characters.
fn legacy_lines(text: &str) -> [&str; 2] {
    let (x, y) = text.split_at_checked(64).unwrap_or((text, ""));
    [x, y]
}

#[cfg(test)]
mod tests;
