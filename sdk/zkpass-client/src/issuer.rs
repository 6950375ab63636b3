//! What a data issuer does: sign user data.

use zkpass_core::jws::TokenError;
use zkpass_core::keys::{PublicKey, SigningKey};
use zkpass_core::user_data::{Profile, sign_user_data};

/// Signs user data with one key.
#[derive(Debug)]
pub struct Issuer {
    key: SigningKey,
    kid: Option<String>,
}

impl Issuer {
    /// An issuer that signs with this key and names no key id.
    pub fn new(key: SigningKey) -> Self {
        Self { key, kid: None }
    }

    /// Names the key in the header of each token, which is public in proofs.
    pub fn with_key_id(self, kid: impl Into<String>) -> Self {
        Self {
            kid: Some(kid.into()),
            ..self
        }
    }

    /// The key under which the tokens verify.
    pub fn public_key(&self) -> PublicKey {
        self.key.public()
    }

    /// Signs a JSON object; the token is a compact JWS.
    ///
    /// White space is dropped; member order, numbers and strings stay as they
    /// are written, because a proof is about the text that was signed.
    pub fn sign(&self, data_json: &str, profile: Profile) -> Result<String, TokenError> {
        sign_user_data(data_json, profile, &self.key, self.kid.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use zkpass_core::jws::Compact;

    use super::*;
    use crate::keys;

    #[test]
    fn tokens_verify_under_the_public_key() {
        let issuer = Issuer::new(keys::generate().unwrap()).with_key_id("2026-1");
        for (profile, payload) in [
            (Profile::Zkpass, r#"{"data":{"b":1,"a":2.50}}"#),
            (Profile::Jwt, r#"{"b":1,"a":2.50}"#),
        ] {
            let token = issuer.sign(r#"{ "b": 1, "a": 2.50 }"#, profile).unwrap();
            let token = Compact::parse(&token).unwrap();
            token.verify(&issuer.public_key()).unwrap();
            assert_eq!(token.header().kid.as_deref(), Some("2026-1"));
            assert_eq!(token.payload_text().unwrap(), payload);
        }
    }

    #[test]
    fn ambiguous_data_is_not_signed() {
        let issuer = Issuer::new(keys::generate().unwrap());
        for data in [r#"{"a":1,"a":2}"#, "[1]", "{", r#"{"a":1} x"#] {
            assert!(issuer.sign(data, Profile::Zkpass).is_err(), "{data}");
        }
    }
}
