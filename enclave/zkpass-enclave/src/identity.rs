//! Who this enclave is: a signing key that lives as long as the process.

use zeroize::Zeroizing;
use zkpass_channel::rand_core::CryptoRng;
use zkpass_core::{
    api::EnclaveInfo,
    encoding::base64url,
    keys::{PublicKey, SigningKey},
    proof::{ProofClaims, ProofToken, ProofTokenError},
};

use crate::{
    hardening::locked::{LockError, Locked},
    key_ring::Announcement,
};

/// The signing key of this enclave, its id, and who vouches for it.
#[derive(Debug)]
pub(crate) struct Identity {
    key: Locked<SigningKey>,
    id: String,
    kind: String,
    measurement_id: String,
}

impl Identity {
    /// A new identity; its id is the thumbprint of its key (RFC 7638).
    ///
    /// Kind and measurement id are those of [`EnclaveInfo`].
    pub(crate) fn generate(
        kind: &str,
        measurement_id: &str,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, LockError> {
        let key = Locked::new(|| {
            let mut secret = Zeroizing::new([0; 32]);
            // One in 2^32 numbers of this length is not a P-256 scalar.
            loop {
                rng.fill_bytes(&mut *secret);
                if let Ok(key) = SigningKey::from_bytes(&secret) {
                    break key;
                }
            }
        })?;
        let id = key.public().thumbprint();
        Ok(Self {
            key,
            id,
            kind: kind.to_owned(),
            measurement_id: measurement_id.to_owned(),
        })
    }

    /// The key that evidence is bound to.
    pub(crate) fn public_key(&self) -> PublicKey {
        self.key.public()
    }

    /// What clients are told of this enclave, its current HPKE key and its JWE key.
    pub(crate) fn introduce(
        &self,
        announcement: &Announcement,
        encryption_key: PublicKey,
    ) -> EnclaveInfo {
        EnclaveInfo {
            enclave_id: self.id.clone(),
            kind: self.kind.clone(),
            measurement_id: self.measurement_id.clone(),
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
