//! New keys, from the randomness of the operating system.

use thiserror::Error;
use zeroize::Zeroizing;
use zkpass_core::keys::SigningKey;

/// The operating system gave no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the operating system gave no randomness")]
pub struct NoRandomness;

/// Makes a P-256 signing key for an issuer or a verifier.
pub fn generate() -> Result<SigningKey, NoRandomness> {
    loop {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut()).map_err(|_| NoRandomness)?;
        // Fails for 0 and for numbers not below the group order: one in 2^32.
        if let Ok(key) = SigningKey::from_bytes(&secret) {
            return Ok(key);
        }
    }
}

/// 128 random bits as 32 hexadecimal digits, for nonces and ids.
pub fn random_id() -> Result<String, NoRandomness> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_ids_are_new_each_time() {
        assert_ne!(generate().unwrap().public(), generate().unwrap().public());
        let id = random_id().unwrap();
        assert_eq!(id.len(), 32);
        assert_ne!(id, random_id().unwrap());
    }
}
