//! Which key signed a proof token.
//!
//! The answer in a proof is true whoever signed the token. Still no byte of it may have changed
//! on the way, so the signature must be that of the key the token's `kid` names. The token does
//! not hold that key: it is recovered from the signature.

use ecdsa::RecoveryId;
use p256::ecdsa::{Signature, VerifyingKey};
use zkpass_core::jws::Compact;
use zkpass_core::keys::PublicKey;
use zkpass_core::limits::MAX_PROOF_TOKEN_BYTES;

/// The keys under which the token's signature verifies and whose thumbprint is its `kid`: one, or
/// none.
pub fn named_by(token: &str) -> Vec<PublicKey> {
    let Ok(token) = Compact::parse_within(token, MAX_PROOF_TOKEN_BYTES) else {
        // The verification says why.
        return Vec::new();
    };
    let Ok(signature) = Signature::from_slice(&token.signature()) else {
        return Vec::new();
    };
    (0..=RecoveryId::MAX)
        .filter_map(RecoveryId::from_byte)
        .filter_map(|id| {
            VerifyingKey::recover_from_msg(token.signing_input().as_bytes(), &signature, id).ok()
        })
        .filter_map(|key| {
            let point = key.to_encoded_point(false);
            let x = (*point.x()?).into();
            let y = (*point.y()?).into();
            PublicKey::from_coordinates(&x, &y).ok()
        })
        .filter(|key| token.header().kid.as_deref() == Some(&*key.thumbprint()))
        .collect()
}

#[cfg(test)]
mod tests {
    use zkpass_core::jws::{Header, sign};
    use zkpass_core::keys::SigningKey;

    use super::*;

    #[test]
    fn the_key_is_recovered_only_if_the_token_names_it() {
        for secret in 1..32 {
            let key = SigningKey::from_bytes(&[secret; 32]).unwrap();
            let kid = key.public().thumbprint();
            let token = sign(&Header::new("t", Some(&kid)), b"payload", &key);
            assert_eq!(named_by(&token), [key.public()]);

            let other = sign(&Header::new("t", Some("other")), b"payload", &key);
            assert_eq!(named_by(&other), []);
            let unnamed = sign(&Header::new("t", None), b"payload", &key);
            assert_eq!(named_by(&unnamed), []);
            // Another payload leads to another key.
            let (rest, signature) = token.rsplit_once('.').unwrap();
            let changed = format!("{rest}AAAA.{signature}");
            assert_eq!(named_by(&changed), []);
        }
        assert_eq!(named_by("not a token"), []);
    }
}
