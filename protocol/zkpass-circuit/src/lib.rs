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

use zkpass_core::statement::Statement;
use zkpass_core::user_data::Profile;

pub mod answer;
mod builder;
mod core;
mod counter;
mod field;
mod gadgets;
mod keys;
mod plan;
mod public;
mod query;
mod scan;
mod step;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod witness;

pub use keys::{CircuitError, KeyCache, Keys, ProofError, ProveError, export, verify};

/// The proof system's name in a DVR and in a statement.
pub const PROOF_SYSTEM: &str = "vega";
/// Version of the relation and its public values.
pub const VERSION: u32 = 1;

/// Shape of one token: all that the circuit knows of it beforehand.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenShape {
    /// The tag in the DVR.
    pub tag: String,
    /// Where the data stands in the payload.
    pub profile: Profile,
    /// Characters of the base64url protected header.
    pub header_len: usize,
    /// SHA-256 blocks, one of a few buckets.
    pub blocks: u16,
}

/// Shapes of all tokens of a proof, sorted by tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape {
    /// One for each tag.
    pub tokens: Vec<TokenShape>,
}

impl Shape {
    /// The shape a statement claims.
    pub fn of_statement(statement: &Statement) -> Shape {
        Shape {
            tokens: statement
                .tokens
                .iter()
                .map(|t| TokenShape {
                    tag: t.tag.clone(),
                    profile: t.profile,
                    header_len: t.header.len(),
                    blocks: t.blocks,
                })
                .collect(),
        }
    }
}
