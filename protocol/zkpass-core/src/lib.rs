//! The zkPass data model and its encodings.
//!
//! Everything here is pure: no sockets, no clock, no environment, no
//! operating-system randomness. Time, keys and limits are arguments.

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

pub mod api;
pub mod code;
pub mod date;
pub mod dvr;
pub mod encoding;
pub mod evidence;
pub mod frame;
pub mod json;
pub mod jws;
pub mod keys;
pub mod limits;
pub mod proof;
pub mod statement;
pub mod user_data;
