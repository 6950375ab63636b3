//! User data tokens: what an issuer signs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    json::{self, Value},
    jws::{self, Header, Part, TokenError},
    keys::SigningKey,
    limits::MAX_TOKEN_BYTES,
};

/// Where the data stands in a token's payload.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// In the member `data`.
    #[default]
    Zkpass,
    /// The payload is the data: an OpenID id_token or any other JWT.
    Jwt,
}

impl Profile {
    /// The name used in DVRs and statements.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zkpass => "zkpass",
            Self::Jwt => "jwt",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Signs user data. White space goes; member order, numbers and strings stay
/// as written.
pub fn sign_user_data(
    data_json: &str,
    profile: Profile,
    key: &SigningKey,
    kid: Option<&str>,
) -> Result<String, TokenError> {
    let data = json::parse(data_json).map_err(|error| TokenError::json(Part::Payload, error))?;
    if data.as_object().is_none() {
        return Err(TokenError::MissingData);
    }
    let payload = match profile {
        Profile::Zkpass => format!(r#"{{"data":{}}}"#, data.to_compact()),
        Profile::Jwt => data.to_compact(),
    };
    let token = jws::sign(&Header::new("JWT", kid), payload.as_bytes(), key);
    match token.len() <= MAX_TOKEN_BYTES {
        true => Ok(token),
        false => Err(TokenError::TooLarge {
            limit: MAX_TOKEN_BYTES,
        }),
    }
}

/// The value at which data paths start.
pub fn data_root<'v, 'a>(payload: &'v Value<'a>, profile: Profile) -> Option<&'v Value<'a>> {
    match profile {
        Profile::Zkpass => payload.get("data"),
        Profile::Jwt => payload.as_object().map(|_| payload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jws::Compact;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32]).unwrap()
    }

    fn payload(data: &str, profile: Profile) -> String {
        let token = sign_user_data(data, profile, &key(), Some("k-1")).unwrap();
        let token = Compact::parse(&token).unwrap();
        token.verify(&key().public()).unwrap();
        assert_eq!(token.header(), &Header::new("JWT", Some("k-1")));
        token.payload_text().unwrap().to_owned()
    }

    #[test]
    fn payload_keeps_every_token() {
        let data = "{ \"b\": 1.0, \"a\": [ 9007199254740993 ],\n \"s\": \"\\u0041 b\" }";
        let compact = r#"{"b":1.0,"a":[9007199254740993],"s":"\u0041 b"}"#;
        assert_eq!(payload(data, Profile::Jwt), compact);
        assert_eq!(
            payload(data, Profile::Zkpass),
            format!(r#"{{"data":{compact}}}"#)
        );
    }

    #[test]
    fn data_root_follows_the_profile() {
        let wrapped = json::parse(r#"{"data":{"a":1},"iat":3}"#).unwrap();
        let data = data_root(&wrapped, Profile::Zkpass).unwrap();
        assert_eq!(data.to_compact(), r#"{"a":1}"#);
        assert_eq!(data_root(&wrapped, Profile::Jwt), Some(&wrapped));
        let bare = json::parse(r#"{"a":1}"#).unwrap();
        assert_eq!(data_root(&bare, Profile::Zkpass), None);
        assert_eq!(data_root(&Value::Null, Profile::Jwt), None);
    }

    #[test]
    fn refuses_data_with_two_readings_or_too_much_of_it() {
        let refuse = |data: &str| sign_user_data(data, Profile::Zkpass, &key(), None).unwrap_err();
        let part = Part::Payload;
        assert_eq!(
            refuse(r#"{"a":1,"a":2}"#),
            TokenError::DuplicateKey { part, offset: 7 }
        );
        assert_eq!(
            refuse("{} x"),
            TokenError::TrailingBytes { part, offset: 3 }
        );
        assert_eq!(refuse("[1]"), TokenError::MissingData);
        assert_eq!(
            refuse(&format!(r#"{{"a":"{}"}}"#, "x".repeat(4096))),
            TokenError::TooLarge {
                limit: MAX_TOKEN_BYTES
            }
        );
    }

    #[test]
    fn profiles_have_stable_names() {
        for (profile, json) in [(Profile::Zkpass, "\"zkpass\""), (Profile::Jwt, "\"jwt\"")] {
            assert_eq!(serde_json::to_string(&profile).unwrap(), json);
            assert_eq!(serde_json::from_str::<Profile>(json).unwrap(), profile);
        }
        assert!(serde_json::from_str::<Profile>("\"mdoc\"").is_err());
    }
}
