//! The one list of stable error codes.
//!
//! A code joins response body, log line, metric label and SDK error. Codes of
//! query errors are the names of the query language; all others are in kebab
//! case. A code is never renamed or given another meaning.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// Defines the enum and its tables from one row per code:
/// `Variant "code" status "meaning";`, with `retry` before the meaning where
/// the same request may succeed later.
macro_rules! codes {
    ($($variant:ident $name:literal $status:literal $($retry:ident)? $doc:literal;)+) => {
        /// A stable error code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $doc] $variant,)+
        }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as it appears outside.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What the code means, in one plain fragment.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $doc,)+
                }
            }

            /// The HTTP status of a response with this code.
            pub fn http_status(self) -> u16 {
                match self {
                    $(Self::$variant => $status,)+
                }
            }

            /// Whether the same request may succeed when sent again.
            pub fn retryable(self) -> bool {
                match self {
                    $(Self::$variant => codes!(@retry $($retry)?),)+
                }
            }
        }
    };
    (@retry retry) => { true };
    (@retry) => { false };
}

codes! {
    // Query: parse.
    NotJson "NotJson" 422 "the script is not strict JSON";
    NotAnArray "NotAnArray" 422 "a script is not an array";
    UnknownStatement "UnknownStatement" 422 "a statement is not one the language has";
    UnknownOperator "UnknownOperator" 422 "an operator is not one the language has";
    WrongOperandCount "WrongOperandCount" 422 "an operator has too few or too many operands";
    BadOperand "BadOperand" 422 "an operand has a form its operator does not take";
    BadPath "BadPath" 422 "a data path is malformed";
    NumberOutOfRange "NumberOutOfRange" 422 "a number in the script is not a 64-bit integer";
    TooDeep "TooDeep" 422 "the script is nested too deeply";
    TooLarge "TooLarge" 422 "the script exceeds a size limit";
    // Query: check.
    TypeMismatch "TypeMismatch" 422 "operands have types that do not go together";
    DuplicateAssignment "DuplicateAssignment" 422 "a variable is assigned twice on one path";
    UnassignedVariable "UnassignedVariable" 422 "a variable may be read before it is assigned";
    DuplicateOutput "DuplicateOutput" 422 "an output name is used twice on one path";
    UnsupportedPath "UnsupportedPath" 422 "a data path uses a form that is not supported";
    UnsupportedCaseFold "UnsupportedCaseFold" 422 "case of non-ASCII text cannot be ignored in a proof";
    UnknownTag "UnknownTag" 422 "a path starts with a tag that is not requested";
    // Query: evaluate.
    MissingField "MissingField" 422 "a field that is needed is absent or null";
    NotAnInteger "NotAnInteger" 422 "a number in the data is not a 64-bit integer";
    WrongType "WrongType" 422 "a value in the data has another type than the query needs";
    InvalidDate "InvalidDate" 422 "a text in the data is not a date of the stated format";
    DateInFuture "DateInFuture" 422 "a date is later than the reference date";
    NotPublic "NotPublic" 422 "the issuer has not marked the value as public";
    DuplicateKey "DuplicateKey" 422 "a member name stands twice in one object of the data";
    ValueTooLong "ValueTooLong" 422 "a string in the data is longer than can be proven";
    EscapedKey "EscapedKey" 422 "a member name that is needed is written with an escape";
    EscapedValue "EscapedValue" 422 "a string that is needed is written with an escape";
    TooManyElements "TooManyElements" 422 "an array in the data has too many elements";
    // Tokens and keys.
    TokenTooLarge "token-too-large" 413 "a token exceeds its size limit";
    TokenMalformed "token-malformed" 422 "a token is not a compact JWS with canonical base64url and strict JSON";
    TokenDuplicateKey "token-duplicate-key" 422 "a member name stands twice in a token";
    TokenTrailingBytes "token-trailing-bytes" 422 "something follows the JSON in a token";
    TokenUnknownHeader "token-unknown-header" 422 "a token header has a member that is not allowed";
    TokenCriticalHeader "token-critical-header" 422 "a token header has `crit`";
    TokenUnencodedPayload "token-unencoded-payload" 422 "a token header has `b64`";
    TokenWrongAlgorithm "token-wrong-algorithm" 422 "a token is not signed with ES256";
    TokenWrongType "token-wrong-type" 422 "a token has another `typ` than is wanted here";
    TokenBadSignature "token-bad-signature" 422 "the signature of a token does not verify";
    TokenBadPayload "token-bad-payload" 422 "the payload of a token has not the form its profile wants";
    BadKey "bad-key" 422 "a key is not a P-256 key in PEM, JWK or legacy form";
    KeysetUnresolved "keyset-unresolved" 422 "a key is named by a key set that has not been fetched";
    // DVR.
    DvrMalformed "dvr-malformed" 422 "the DVR has not the form of a DVR";
    DvrTags "dvr-tags" 422 "the tags of the DVR break a rule";
    DvrTooLarge "dvr-too-large" 413 "the DVR exceeds a size limit";
    DvrExpired "dvr-expired" 422 "the DVR has expired";
    UnsupportedProofSystem "unsupported-proof-system" 422 "the proof system is not supported";
    UnsupportedHolderBinding "unsupported-holder-binding" 422 "the holder binding is not supported";
    // Proving.
    MissingToken "missing-token" 422 "no token is given for a tag of the DVR";
    UnexpectedToken "unexpected-token" 422 "a token is given for a tag that the DVR does not have";
    TokensTooLarge "tokens-too-large" 413 "the tokens together exceed the size limit";
    QueryTooLarge "query-too-large" 422 "the query needs a larger circuit than is supported";
    // Verification.
    ProofMalformed "proof-malformed" 422 "the proof has not the form of a proof";
    ProofTooLarge "proof-too-large" 413 "the proof exceeds the size limit";
    UnsupportedVersion "unsupported-version" 422 "the version of the proof system is not accepted";
    WrongShape "wrong-shape" 422 "the statement has not the shape that the DVR asks for";
    CircuitDigestMismatch "circuit-digest-mismatch" 422 "the circuit is not the one the DVR leads to";
    ProofInvalid "proof-invalid" 422 "the zero-knowledge proof does not verify";
    PublicValueMismatch "public-value-mismatch" 422 "a public value of the proof is not that of the statement";
    DvrDigestMismatch "dvr-digest-mismatch" 422 "the proof answers another DVR";
    IssuerKeyMismatch "issuer-key-mismatch" 422 "an issuer key is not the one that is trusted";
    HeaderRefused "header-refused" 422 "a token header in the statement breaks the header rules";
    NonceMismatch "nonce-mismatch" 422 "the nonce is not the one that was asked for";
    AudienceMismatch "audience-mismatch" 422 "the proof is for another audience";
    AsOfOutOfBounds "as-of-out-of-bounds" 422 "the reference date is outside the accepted days";
    TimeStampExpired "time-stamp-expired" 422 "the proof is older than is accepted";
    TimeStampInFuture "time-stamp-in-future" 422 "the proof is dated in the future";
    ClaimsMismatch "claims-mismatch" 422 "a claim beside the statement contradicts it or the DVR";
    EnclaveSignatureInvalid "enclave-signature-invalid" 422 "the signature on the proof is not that of an accepted enclave";
    EnclavePolicyMissing "enclave-policy-missing" 422 "the policy does not say how to treat the enclave signature";
    // Service and enclave.
    InvalidRequest "invalid-request" 400 "the request is malformed";
    Unauthorized "unauthorized" 401 "a valid API key is needed";
    Forbidden "forbidden" 403 "the API key does not allow this";
    NotFound "not-found" 404 "there is nothing here";
    MethodNotAllowed "method-not-allowed" 405 "the resource does not know this method";
    IdempotencyConflict "idempotency-conflict" 409 "the idempotency key was used for another request";
    BodyTooLarge "body-too-large" 413 "the request body exceeds the size limit";
    UnsupportedMediaType "unsupported-media-type" 415 "the request body has another media type than is wanted";
    RateLimited "rate-limited" 429 retry "too many requests";
    SealedRequestRejected "sealed-request-rejected" 400 "the enclave cannot open the sealed request";
    ReAttest "re-attest" 409 "the enclave key is unknown or expired: fetch the enclaves again and seal anew";
    UnattestedEnclave "unattested-enclave" 403 "the enclave offers no evidence that the policy accepts";
    EvidenceUnavailable "evidence-unavailable" 503 retry "the enclave could not obtain evidence";
    EnclaveUnavailable "enclave-unavailable" 503 retry "no enclave is ready";
    EnclaveLost "enclave-lost" 503 retry "the enclave ended before it answered";
    QueueFull "queue-full" 503 retry "too many requests are waiting";
    ShuttingDown "shutting-down" 503 retry "the service is going down";
    DeadlineExceeded "deadline-exceeded" 504 "no answer within the time allowed";
    Cancelled "cancelled" 409 "the request was cancelled";
    Internal "internal" 500 "an unexpected failure";
}

/// A text that is no code.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("unknown error code")]
pub struct UnknownCode;

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == text)
            .ok_or(UnknownCode)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_distinct_and_read_back() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
            let json = serde_json::to_string(code).unwrap();
            assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), *code);
        }
        assert_eq!("no-such-code".parse::<Code>(), Err(UnknownCode));
    }

    #[test]
    fn names_are_pascal_or_kebab_case() {
        for code in Code::ALL {
            let name = code.as_str();
            let kebab = name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            assert!(kebab || name == format!("{code:?}"), "{name}");
        }
    }

    #[test]
    fn retryable_codes_and_statuses() {
        for (code, retryable, status) in [
            (Code::EnclaveLost, true, 503),
            (Code::QueueFull, true, 503),
            (Code::MissingField, false, 422),
            (Code::ReAttest, false, 409),
            (Code::SealedRequestRejected, false, 400),
            (Code::Internal, false, 500),
        ] {
            assert_eq!(
                (code.retryable(), code.http_status()),
                (retryable, status),
                "{code}"
            );
        }
        for code in Code::ALL {
            assert!((400..600).contains(&code.http_status()), "{code}");
        }
    }
}
