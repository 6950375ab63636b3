//! The enclave: the one place where user data is open.
//!
//! A process that listens on one socket and does one thing: it opens a
//! sealed request, checks the tokens in it, evaluates the question, proves the
//! result, signs the proof, and seals the answer to whoever asked. It opens no
//! other connection, reads no file and no environment variable, and writes
//! nothing but the closed list of log lines in `events`.
//!
//! The process is **not confined and not attested yet**: it calls itself
//! `unattested-development`, and the SDK refuses it without an explicit
//! `danger` call.
//!
//! A request walks: `connection` (frames) -> `enclave` (open, deadline,
//! cancellation) -> `provers` (its turn) -> `job` (check, evaluate, prove,
//! sign) -> back. Once a request is open every answer is sealed, also that it
//! was cancelled or took too long.

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

pub mod args;
mod connection;
mod enclave;
mod events;
mod identity;
pub mod init;
mod job;
mod key_ring;
pub mod listen;
mod provers;
mod server;

pub use server::{RunError, run};
