//! The sealed channel between a client and one enclave.
//!
//! A client seals its request to the HPKE key of one enclave; nobody between
//! them learns more than its size in steps of one kibibyte. Everything the
//! enclave answers after it opened the request, errors included, comes back
//! sealed under a key that both sides export from the same HPKE context.
//!
//! ```text
//! request = encapsulation (1120 bytes) || AEAD(pad(request body))
//! answer  = answer nonce  (32 bytes)   || AEAD(pad(answer body))
//! pad(b)  = length of b (4 bytes, big-endian) || b || zeros to a multiple of 1024
//! info    = "zkpass/channel/v1" || len(key id) || key id || len(measurement id) || measurement id
//! ```
//!
//! The suite is X-Wing (ML-KEM-768 with X25519), HKDF-SHA256 and
//! ChaCha20-Poly1305: HPKE of RFC 9180 in base mode, with the X-Wing code
//! point of draft-ietf-hpke-pq. ChaCha20-Poly1305 runs in constant time also
//! where there are no AES instructions, as in WebAssembly. Lengths in `info`
//! are four bytes, big-endian.
//!
//! Existing clients seal in another way, which is weaker: see [`jwe`].
//!
//! The crate opens no socket, reads no clock and takes its randomness as an
//! argument. Refusing a request that was sealed once and sent twice is the
//! work of whoever holds the private key: see [`encapsulation`].

#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod answer;
mod body;
pub mod jwe;
mod keys;
mod padding;
mod request;
#[cfg(test)]
mod tests;

pub use answer::{AnswerOpener, AnswerSealer, OpenAnswerError, SealAnswerError};
pub use body::{BodyError, Refusal, ResponseFormat, SealedAnswerBody, SealedRequestBody};
pub use hpke::rand_core;
pub use keys::{KeyError, PrivateKey, PublicKey};
pub use padding::STEP;
pub use request::{
    Binding, ENCAPSULATION_BYTES, OpenError, Opened, SealError, encapsulation, open, seal,
};
