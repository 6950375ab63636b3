//! A checked query and the shape of its tokens become circuits: witness, keys,
//! prove and verify.
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

mod builder;
mod field;
mod gadgets;
#[cfg(test)]
mod testing;
