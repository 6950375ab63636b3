//! Who this enclave is: a signing key that lives as long as the process.

use zeroize::Zeroizing;
use zkpass_channel::rand_core::CryptoRng;
use zkpass_core::{
    api::{EnclaveInfo, UNATTESTED_DEVELOPMENT},
    encoding::base64url,
    keys::{PublicKey, SigningKey},
    proof::{ProofClaims, ProofToken, ProofTokenError},
};

use crate::key_ring::Announcement;

/// The signing key of this enclave, and its id.
#[derive(Debug)]
pub(crate) struct Identity {
    key: SigningKey,
    id: String,
}

impl Identity {
    /// A new identity; its id is the thumbprint of its key (RFC 7638).
    pub(crate) fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        // One in 2^32 numbers of this length is not a P-256 scalar.
        let key = loop {
            rng.fill_bytes(&mut *secret);
            if let Ok(key) = SigningKey::from_bytes(&secret) {
                break key;
            }
        };
        let id = key.public().thumbprint();
        Self { key, id }
    }

    /// What clients are told of this enclave, its current HPKE key and its JWE key.
    pub(crate) fn introduce(
        &self,
        announcement: &Announcement,
        encryption_key: PublicKey,
    ) -> EnclaveInfo {
        EnclaveInfo {
            enclave_id: self.id.clone(),
            kind: UNATTESTED_DEVELOPMENT.to_owned(),
            measurement_id: UNATTESTED_DEVELOPMENT.to_owned(),
            key_id: announcement.key_id.clone(),
            hpke_public_key: base64url(&announcement.public_key.to_bytes()),
            identity_key: self.key.public(),
            encryption_key,
            not_before: announcement.not_before,
            not_after: announcement.not_after,
            signature: String::new(),
        }
        .signed_by(&self.key)
    }

    pub(crate) fn sign(&self, claims: &ProofClaims) -> Result<String, ProofTokenError> {
        ProofToken::sign(claims, &self.key)
    }
}
