//! Verification of a zkPass proof: the one way from a proof token to [`Claims`].
//!
//! The relying party states in a [`Policy`] what it asked (the DVR), which
//! issuers it trusts, and how old an answer may be. Time is an argument;
//! nothing here reads a clock, the network or the environment.
//!
//! # Steps
//!
//! Each step has its own [`VerifyError`]. A token is accepted when all pass,
//! so their order decides only which error a bad token meets first. The cheap
//! steps run before the costly ones, which derive a circuit of a shape that
//! the statement chooses and verify the zero-knowledge proof: a token that is
//! stale, for another request or from another issuer costs microseconds.
//!
//! 1. the policy itself is complete and its DVR valid;
//! 2. the token parses, strictly;
//! 3. proof system and version are allowed;
//! 4. the statement has the DVR's documents, in its profiles;
//! 5. the DVR digest is that of the DVR;
//! 6. the issuer key of each tag is the trusted one, and the one the DVR names;
//! 7. each token header follows the strict JWS rules;
//! 8. nonce and audience are those of the request;
//! 9. the reference date is within bounds;
//! 10. the time stamp is neither too old nor in the future;
//! 11. the DVR has not expired;
//! 12. claims beside the statement agree with it and with the DVR;
//! 13. an accepted enclave signed the token, unless the policy ignores that;
//! 14. the circuit derived from the DVR and the shape has the stated digest;
//! 15. the zero-knowledge proof verifies, and
//! 16. every public value in it is that of the statement.
//!
//! Steps 5 to 9 judge the statement as written; steps 15 and 16 make it true.
//! The time stamp is no part of the statement: it is worth what the enclave
//! signature is worth.

#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod claims;
mod error;
mod policy;

pub use claims::Claims;
pub use error::VerifyError;
pub use policy::{DEFAULT_MAX_SKEW_SECONDS, Policy};
