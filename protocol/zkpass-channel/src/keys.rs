//! X-Wing key pairs.

use core::fmt;

use hpke::{Deserializable, Kem as _, Serializable, kem::XWing, rand_core::CryptoRng};

use crate::request::Kem;

/// The public X-Wing key of an enclave, which requests are sealed to.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(pub(crate) <Kem as hpke::Kem>::PublicKey);

/// The private X-Wing key of an enclave; it is wiped when dropped.
pub struct PrivateKey(pub(crate) <Kem as hpke::Kem>::PrivateKey);

/// Why bytes are not a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The length is not that of an X-Wing public key.
    #[error("an X-Wing public key has {} bytes", PublicKey::BYTES)]
    WrongLength,
    /// The ML-KEM part is not reduced (FIPS 203, section 7.2).
    #[error("the bytes are not a valid X-Wing public key")]
    Invalid,
}

impl PublicKey {
    /// The length of an encoded key.
    pub const BYTES: usize = 1216;

    /// Reads the encoding of draft-connolly-cfrg-xwing-kem: ML-KEM-768 key, then X25519 key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() != Self::BYTES {
            return Err(KeyError::WrongLength);
        }
        Deserializable::from_bytes(bytes)
            .map(Self)
            .map_err(|_| KeyError::Invalid)
    }

    /// Writes the encoding that [`PublicKey::from_bytes`] reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes().to_vec()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(X-Wing)")
    }
}

impl PrivateKey {
    /// Makes a new key from the given randomness.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(XWing::gen_keypair_with_rng(rng).0)
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(XWing::sk_to_pk(&self.0))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}
