//! Verifies what a trusted execution environment says of itself.
//!
//! [`verify`] takes evidence as it came, a [`Policy`] of the relying party, the
//! [`Binding`] that the evidence must carry, and the time. It reads no clock,
//! opens no file or socket, draws no random number and does not panic; what it
//! returns says what was checked. [`inspect`] shows what evidence says without
//! judging it.
//!
//! A policy cannot be built without a measurement. All-zero measurements and
//! debug builds never pass. Roots are pinned; trusting another root takes a
//! call in [`danger`].

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

pub mod danger;
mod error;
mod evidence;
mod format;
pub mod nitro;
pub mod policy;
pub mod sev_snp;
pub mod tdx;

pub use error::EvidenceError;
pub use evidence::{Binding, Claims, Evidence, Facts, Platform, inspect, verify};
pub use policy::{Measurement, Policy, PolicyError};
