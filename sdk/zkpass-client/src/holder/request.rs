//! The question and the data, checked before anything leaves the machine.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;
use zeroize::Zeroize;
use zkpass_core::code::Code;
use zkpass_core::dvr::{Dvr, DvrToken, DvrTokenError};
use zkpass_core::jws::{Compact, TokenError};
use zkpass_core::keys::{KeyError, PublicKey};
use zkpass_core::limits::MAX_TOTAL_TOKEN_BYTES;
use zkpass_query::QueryError;

/// A verifier's signed question and the holder's signed data.
///
/// `Debug` shows neither; the data is wiped when it is no longer used.
pub struct Request {
    dvr_token: String,
    tokens: Arc<Tokens>,
    verifier_key: Option<PublicKey>,
}

impl Request {
    /// A DVR token, and user data tokens by the tags it gives them; the tag of
    /// a single document may be empty.
    pub fn new(dvr_token: impl Into<String>, tokens: BTreeMap<String, String>) -> Self {
        Self {
            dvr_token: dvr_token.into(),
            tokens: Arc::new(Tokens(tokens)),
            verifier_key: None,
        }
    }

    /// Accepts the question only if this key signed it.
    ///
    /// Without it the key that the question itself names must have signed it,
    /// which shows no more than that it was not altered on its way.
    pub fn from_verifier(mut self, key: PublicKey) -> Self {
        self.verifier_key = Some(key);
        self
    }

    /// Checks everything that can be checked without evaluating the query.
    pub(crate) fn check(&self, now: i64) -> Result<Checked<'_>, RequestError> {
        let token = DvrToken::parse(&self.dvr_token)?;
        if let Some(key) = self.signer(token.dvr())? {
            token.verify(&key).map_err(RequestError::DvrSignature)?;
        }
        let dvr = token.into_dvr();
        // Like `exp` of RFC 7519, section 4.1.4: not at that second or after it.
        if dvr.expires_at.is_some_and(|expiry| now >= expiry) {
            return Err(RequestError::DvrExpired);
        }
        zkpass_query::compile(&dvr.query, &dvr.tags())?;
        let headers = self.check_tokens(&dvr)?;
        Ok(Checked {
            dvr_token: &self.dvr_token,
            tokens: &self.tokens,
            dvr,
            headers,
        })
    }

    fn signer(&self, dvr: &Dvr) -> Result<Option<PublicKey>, RequestError> {
        if self.verifier_key.is_some() {
            return Ok(self.verifier_key);
        }
        match dvr.dvr_verifying_key.as_ref().map(|key| key.public_key()) {
            // A key set is not fetched on the word of the question itself.
            None | Some(Err(KeyError::KeysetUnresolved)) => Ok(None),
            Some(Ok(key)) => Ok(Some(key)),
            Some(Err(error)) => Err(RequestError::DvrKey(error)),
        }
    }

    /// Checks the tokens; returns their protected headers by tag.
    fn check_tokens(&self, dvr: &Dvr) -> Result<BTreeMap<String, String>, RequestError> {
        let unexpected = |tag: &&String| !dvr.user_data_requests.contains_key(*tag);
        let tokens = &self.tokens.0;
        if let Some(tag) = tokens.keys().find(unexpected) {
            return Err(RequestError::UnexpectedToken { tag: tag.clone() });
        }
        if tokens.values().map(String::len).sum::<usize>() > MAX_TOTAL_TOKEN_BYTES {
            return Err(RequestError::TokensTooLarge);
        }
        let mut headers = BTreeMap::new();
        for (tag, wanted) in &dvr.user_data_requests {
            let text = tokens
                .get(tag)
                .ok_or_else(|| RequestError::MissingToken { tag: tag.clone() })?;
            let refuse = |error| RequestError::Token {
                tag: tag.clone(),
                error,
            };
            let token = Compact::parse(text).map_err(refuse)?;
            let key = wanted.user_data_verifying_key.public_key();
            let key = key.map_err(|error| RequestError::IssuerKey {
                tag: tag.clone(),
                error,
            })?;
            token.verify(&key).map_err(refuse)?;
            headers.insert(tag.clone(), token.header_b64().to_owned());
        }
        Ok(headers)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("tokens", &self.tokens.0.len())
            .finish_non_exhaustive()
    }
}

/// User data tokens by tag, wiped when they are dropped.
pub(crate) struct Tokens(pub(crate) BTreeMap<String, String>);

impl Drop for Tokens {
    fn drop(&mut self) {
        self.0.values_mut().for_each(Zeroize::zeroize);
    }
}

/// A request that was checked, and what its answer will be compared with.
pub(crate) struct Checked<'a> {
    pub(crate) dvr_token: &'a str,
    pub(crate) tokens: &'a Arc<Tokens>,
    pub(crate) dvr: Dvr,
    /// The protected header of each token, which the proof shows.
    pub(crate) headers: BTreeMap<String, String>,
}

/// Why a request cannot be answered; found before anything is sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequestError {
    /// The DVR token is malformed, or its DVR breaks a rule.
    #[error("DVR token: {0}")]
    DvrToken(#[from] DvrTokenError),
    /// The verifier's key in the DVR is no key.
    #[error("the verifier's key in the DVR: {0}")]
    DvrKey(KeyError),
    /// The DVR is not signed by the verifier.
    #[error("DVR token: {0}")]
    DvrSignature(TokenError),
    /// The DVR has expired.
    #[error("the DVR has expired")]
    DvrExpired,
    /// The query does not compile.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The DVR asks for a document that is not given.
    #[error("no token is given for `{tag}`")]
    MissingToken {
        /// Its tag.
        tag: String,
    },
    /// A document is given that the DVR does not ask for.
    #[error("a token is given for `{tag}`, which the DVR does not ask for")]
    UnexpectedToken {
        /// Its tag.
        tag: String,
    },
    /// The documents together are too large.
    #[error("the tokens are larger than {MAX_TOTAL_TOKEN_BYTES} bytes together")]
    TokensTooLarge,
    /// A document is malformed, too large, or not signed by the issuer.
    #[error("token for `{tag}`: {error}")]
    Token {
        /// Its tag.
        tag: String,
        /// The cause.
        error: TokenError,
    },
    /// The DVR does not hold the issuer's key itself.
    #[error("issuer key for `{tag}`: {error}")]
    IssuerKey {
        /// The document's tag.
        tag: String,
        /// The cause.
        error: KeyError,
    },
}

impl RequestError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::DvrToken(error) => error.code(),
            Self::DvrKey(error) | Self::IssuerKey { error, .. } => error.code(),
            Self::DvrSignature(error) | Self::Token { error, .. } => error.code(),
            Self::DvrExpired => Code::DvrExpired,
            Self::Query(error) => error.code(),
            Self::MissingToken { .. } => Code::MissingToken,
            Self::UnexpectedToken { .. } => Code::UnexpectedToken,
            Self::TokensTooLarge => Code::TokensTooLarge,
        }
    }

    /// JSON pointer into the query, where the cause has a place there.
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Self::Query(error) => Some(error.pointer()),
            _ => None,
        }
    }
}
