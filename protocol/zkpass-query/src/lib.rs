//! The DVR query language: parse, check, evaluate, and report what is
//! disclosed.
//!
//! ```text
//! script text --parse--> Script --check--> ast::Program --evaluate--> outputs
//!                                               |
//!                                               +--leakage--> LeakageReport
//! ```
//!
//! The program that [`check`] accepts is exactly what a proof can be made
//! for. [`evaluate`] is the native twin of the circuit: it fails where no
//! proof exists, and says why.

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

pub mod ast;
mod check;
mod date_text;
mod document;
mod error;
mod eval;
mod fold;
mod leakage;
mod parse;
mod path;
mod pinned;
mod pointer;
mod script;

pub use check::{CheckError, check};
pub use document::Documents;
pub use error::QueryError;
pub use eval::{EvalError, evaluate};
pub use leakage::{
    BranchLeakage, Condition, LeakageReport, OutputLeakage, PinnedValues, Revealed, leakage,
};
pub use parse::{ParseError, parse};
pub use script::Script;

/// Parses and checks a script; `tags` are the DVR's user data tags.
pub fn compile(script: &str, tags: &[&str]) -> Result<ast::Program, QueryError> {
    Ok(check(&parse(script)?, tags)?)
}
