//! The Data Verification Request: what a verifier asks and whom it trusts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{
    code::Code,
    json::{self, DecodeError},
    jws::{self, Compact, Header, TokenError},
    keys::{IssuerKey, KeyError, PublicKey, SigningKey},
    limits::{MAX_DOCUMENTS, MAX_DVR_TOKEN_BYTES, MAX_SCRIPT_BYTES, MAX_TAG_BYTES, MAX_TEXT_BYTES},
    user_data::Profile,
};

/// The name of the proof system that is supported.
pub const PROOF_SYSTEM: &str = "vega";

/// All names of proof systems that are supported.
pub const PROOF_SYSTEMS: &[&str] = &[PROOF_SYSTEM];

/// `typ` of a DVR token; `JWT` and none are accepted too.
pub const DVR_TYPE: &str = "zkpass-dvr+jwt";

/// A Data Verification Request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dvr {
    /// Name of the proof system.
    pub zkvm: String,
    /// Title for people.
    pub dvr_title: String,
    /// Id that the verifier chose.
    pub dvr_id: String,
    /// Version of the query engine it was written for.
    pub query_engine_ver: String,
    /// Version of the query method it was written for.
    pub query_method_ver: String,
    /// The script.
    pub query: String,
    /// The documents wanted, by tag; the tag of a single one may be empty.
    pub user_data_requests: BTreeMap<String, UserDataRequest>,
    /// The verifier's key.
    #[serde(default)]
    pub dvr_verifying_key: Option<IssuerKey>,
    /// Makes the proof answer this request only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// For whom the proof is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Unix time in seconds from which the DVR is not to be answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// How many days the reference date may lie before verification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_days: Option<u32>,
    /// How the holder must prove possession of a key; none is supported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder_binding: Option<String>,
}

/// One document that a DVR wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserDataRequest {
    /// Where the holder gets the document.
    #[serde(default)]
    pub user_data_url: Option<String>,
    /// The issuer's key.
    pub user_data_verifying_key: IssuerKey,
    /// Where the data stands in the payload.
    #[serde(default, skip_serializing_if = "is_default")]
    pub profile: Profile,
}

fn is_default(profile: &Profile) -> bool {
    *profile == Profile::default()
}

/// Why a DVR is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DvrError {
    /// Not strict JSON, or not of the form of a DVR.
    #[error("DVR is malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// The proof system has another name than those supported.
    #[error("proof system `{name}` is not supported; supported: `vega`")]
    UnsupportedProofSystem {
        /// What the DVR asks for.
        name: String,
    },
    /// No document is requested.
    #[error("user data requests must not be empty")]
    NoTags,
    /// More documents than a proof can hold.
    #[error("more than {MAX_DOCUMENTS} user data requests")]
    TooManyTags,
    /// An empty tag beside others.
    #[error("a user data request tag must not be empty if there are more than one")]
    EmptyTag,
    /// A tag with a character that cannot stand in a path.
    #[error(
        "user data request tag `{tag}` has other characters than ASCII letters, digits and underscores"
    )]
    BadTag {
        /// The tag.
        tag: String,
    },
    /// A tag that is too long.
    #[error("a user data request tag exceeds {MAX_TAG_BYTES} bytes")]
    TagTooLong,
    /// The script is too long.
    #[error("query exceeds {MAX_SCRIPT_BYTES} bytes")]
    QueryTooLarge,
    /// A text is too long.
    #[error("DVR member `{member}` exceeds {MAX_TEXT_BYTES} bytes")]
    TooLong {
        /// Which.
        member: &'static str,
    },
    /// An issuer key that is no P-256 key.
    #[error("verifying key of tag `{tag}`: {error}")]
    BadIssuerKey {
        /// The tag.
        tag: String,
        /// Why.
        error: KeyError,
    },
    /// The verifier's key is no P-256 key.
    #[error("DVR verifying key: {0}")]
    BadVerifierKey(KeyError),
    /// A holder binding, none of which is supported.
    #[error("holder binding `{name}` is not supported")]
    UnsupportedHolderBinding {
        /// What the DVR asks for.
        name: String,
    },
}

impl DvrError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Malformed(_) => Code::DvrMalformed,
            Self::UnsupportedProofSystem { .. } => Code::UnsupportedProofSystem,
            Self::NoTags
            | Self::TooManyTags
            | Self::EmptyTag
            | Self::BadTag { .. }
            | Self::TagTooLong => Code::DvrTags,
            Self::QueryTooLarge | Self::TooLong { .. } => Code::DvrTooLarge,
            Self::BadIssuerKey { error, .. } | Self::BadVerifierKey(error) => error.code(),
            Self::UnsupportedHolderBinding { .. } => Code::UnsupportedHolderBinding,
        }
    }
}

impl Dvr {
    /// Reads the JSON form and checks it.
    pub fn from_json(text: &str) -> Result<Self, DvrError> {
        let dvr: Self = json::decode(text)?;
        dvr.validate()?;
        Ok(dvr)
    }

    /// The tags, sorted.
    pub fn tags(&self) -> Vec<&str> {
        self.user_data_requests.keys().map(String::as_str).collect()
    }

    /// Checks proof system, tags, keys and limits. The query is checked by
    /// the query compiler.
    pub fn validate(&self) -> Result<(), DvrError> {
        if !PROOF_SYSTEMS.contains(&&*self.zkvm) {
            let name = self.zkvm.chars().take(MAX_TAG_BYTES).collect();
            return Err(DvrError::UnsupportedProofSystem { name });
        }
        self.check_lengths()?;
        check_tags(self.user_data_requests.keys())?;
        for (tag, request) in &self.user_data_requests {
            check_key(&request.user_data_verifying_key).map_err(|error| {
                DvrError::BadIssuerKey {
                    tag: tag.clone(),
                    error,
                }
            })?;
        }
        if let Some(key) = &self.dvr_verifying_key {
            check_key(key).map_err(DvrError::BadVerifierKey)?;
        }
        if let Some(name) = &self.holder_binding {
            return Err(DvrError::UnsupportedHolderBinding { name: name.clone() });
        }
        Ok(())
    }

    fn check_lengths(&self) -> Result<(), DvrError> {
        if self.query.len() > MAX_SCRIPT_BYTES {
            return Err(DvrError::QueryTooLarge);
        }
        let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let urls = self.user_data_requests.values();
        for (member, length) in [
            ("dvr_title", self.dvr_title.len()),
            ("dvr_id", self.dvr_id.len()),
            ("query_engine_ver", self.query_engine_ver.len()),
            ("query_method_ver", self.query_method_ver.len()),
            ("nonce", optional(&self.nonce)),
            ("audience", optional(&self.audience)),
            ("holder_binding", optional(&self.holder_binding)),
            (
                "user_data_url",
                urls.map(|request| optional(&request.user_data_url))
                    .max()
                    .unwrap_or_default(),
            ),
        ] {
            if length > MAX_TEXT_BYTES {
                return Err(DvrError::TooLong { member });
            }
        }
        Ok(())
    }

    /// The text that is hashed: the published canonical JSON, and after it our
    /// own fields in fixed order where they are present.
    ///
    /// No white space; strings as [`json::write_string`] writes them; requests
    /// as an array of pairs sorted by tag; keys in the form they were written.
    pub fn canonical_json(&self) -> String {
        let mut out = String::new();
        for (separator, name, value) in [
            ('{', "zkvm", &self.zkvm),
            (',', "dvr_title", &self.dvr_title),
            (',', "dvr_id", &self.dvr_id),
            (',', "query_engine_ver", &self.query_engine_ver),
            (',', "query_method_ver", &self.query_method_ver),
            (',', "query", &self.query),
        ] {
            out.push(separator);
            write_name(&mut out, name);
            json::write_string(&mut out, value);
        }
        out.push(',');
        write_name(&mut out, "user_data_requests");
        out.push('[');
        for (index, (tag, request)) in self.user_data_requests.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push('[');
            json::write_string(&mut out, tag);
            out.push(',');
            request.write_canonical(&mut out);
            out.push(']');
        }
        out.push_str("],");
        write_name(&mut out, "dvr_verifying_key");
        match &self.dvr_verifying_key {
            None => out.push_str("null"),
            Some(key) => key.write_canonical(&mut out),
        }
        self.write_own_fields(&mut out);
        out.push('}');
        out
    }

    fn write_own_fields(&self, out: &mut String) {
        let text = |out: &mut String, name, value: &Option<String>| {
            if let Some(value) = value {
                out.push(',');
                write_name(out, name);
                json::write_string(out, value);
            }
        };
        let number = |out: &mut String, name, value: Option<i64>| {
            if let Some(value) = value {
                out.push(',');
                write_name(out, name);
                out.push_str(&value.to_string());
            }
        };
        text(out, "nonce", &self.nonce);
        text(out, "audience", &self.audience);
        number(out, "expires_at", self.expires_at);
        number(out, "max_age_days", self.max_age_days.map(Into::into));
        text(out, "holder_binding", &self.holder_binding);
    }

    /// SHA-256 of the canonical text.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.canonical_json()).into()
    }
}

impl UserDataRequest {
    fn write_canonical(&self, out: &mut String) {
        out.push('{');
        write_name(out, "user_data_url");
        match &self.user_data_url {
            None => out.push_str("null"),
            Some(url) => json::write_string(out, url),
        }
        out.push(',');
        write_name(out, "user_data_verifying_key");
        self.user_data_verifying_key.write_canonical(out);
        if !is_default(&self.profile) {
            out.push(',');
            write_name(out, "profile");
            json::write_string(out, self.profile.as_str());
        }
        out.push('}');
    }
}

/// Checks the rules for tags.
pub fn check_tags<'a>(tags: impl IntoIterator<Item = &'a String>) -> Result<(), DvrError> {
    let tags: Vec<&String> = tags.into_iter().collect();
    if tags.is_empty() {
        return Err(DvrError::NoTags);
    }
    if tags.len() > MAX_DOCUMENTS {
        return Err(DvrError::TooManyTags);
    }
    for tag in &tags {
        if tag.is_empty() && tags.len() > 1 {
            return Err(DvrError::EmptyTag);
        }
        if tag.len() > MAX_TAG_BYTES {
            return Err(DvrError::TagTooLong);
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !tag.bytes().all(allowed) {
            return Err(DvrError::BadTag {
                tag: (*tag).clone(),
            });
        }
    }
    Ok(())
}

/// A key named by a key set is resolved, and so checked, by the verifier.
fn check_key(key: &IssuerKey) -> Result<(), KeyError> {
    match key.public_key() {
        Ok(_) | Err(KeyError::KeysetUnresolved) => Ok(()),
        Err(error) => Err(error),
    }
}

fn write_name(out: &mut String, name: &str) {
    json::write_string(out, name);
    out.push(':');
}

/// A DVR in a signed token: `{"data": DVR}`.
#[derive(Clone, Debug)]
pub struct DvrToken {
    compact: Compact,
    dvr: Dvr,
}

/// Why a DVR token is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DvrTokenError {
    /// The token is refused.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The DVR in it is refused.
    #[error(transparent)]
    Dvr(#[from] DvrError),
}

impl DvrTokenError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Token(error) => error.code(),
            Self::Dvr(error) => error.code(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    data: Dvr,
}

impl DvrToken {
    /// Reads a token and checks the DVR in it, but not the signature.
    pub fn parse(text: &str) -> Result<Self, DvrTokenError> {
        let compact = Compact::parse_within(text, MAX_DVR_TOKEN_BYTES)?;
        if !matches!(
            compact.header().typ.as_deref(),
            None | Some("JWT" | DVR_TYPE)
        ) {
            return Err(TokenError::WrongType { expected: DVR_TYPE }.into());
        }
        let payload: Payload = json::decode(compact.payload_text()?).map_err(TokenError::decode)?;
        payload.data.validate()?;
        Ok(Self {
            compact,
            dvr: payload.data,
        })
    }

    /// Checks a DVR and signs it.
    pub fn sign(dvr: &Dvr, key: &SigningKey, kid: Option<&str>) -> Result<String, DvrTokenError> {
        dvr.validate()?;
        let payload = serde_json::to_string(&serde_json::json!({ "data": dvr }))
            .map_err(|error| TokenError::BadPayload(error.to_string()))?;
        Ok(jws::sign(
            &Header::new(DVR_TYPE, kid),
            payload.as_bytes(),
            key,
        ))
    }

    /// Checks the signature.
    pub fn verify(&self, key: &PublicKey) -> Result<(), TokenError> {
        self.compact.verify(key)
    }

    /// The protected header.
    pub fn header(&self) -> &Header {
        self.compact.header()
    }

    /// The DVR. Trust it after [`DvrToken::verify`].
    pub fn dvr(&self) -> &Dvr {
        &self.dvr
    }

    /// Takes the DVR out.
    pub fn into_dvr(self) -> Dvr {
        self.dvr
    }
}

#[cfg(test)]
mod tests;
