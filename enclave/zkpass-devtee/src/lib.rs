//! The development TEE's signing side: evidence in the vendors' own layouts,
//! under roots that are made at first start.
//!
//! Nothing here weakens a verifier: the vendors' roots refuse all of it, and
//! trusting a development root takes an explicit `danger` call with its
//! fingerprint. The crate is pure: keys, time and randomness are arguments.

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

pub mod nitro;
pub mod sev_snp;
pub mod tdx;

pub use p384::elliptic_curve::rand_core;
