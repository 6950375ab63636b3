//! The enclave: the one place where user data is open.
//!
//! A process that listens on one socket and does one thing: it opens a
//! sealed request, checks the tokens in it, evaluates the question, proves the
//! result, signs the proof, and seals the answer to whoever asked. It opens no
//! other connection but to what attests it, reads no file and no environment
//! variable, and writes nothing but the closed list of log lines in `events`.
//!
//! Where the platform can vouch for it (`evidence`), requests are sealed to its
//! measurement and clients ask for proof of that. Without such a platform it
//! calls itself `unattested-development`, and the SDK refuses it.
//!
//! The process holds itself to what it needs ([`hardening`]): no debugger, no
//! core dump, no privileges, no files, no new connections, a short list of
//! system calls. Keys are on locked pages, freed memory is wiped, and stacks
//! are scrubbed after each request.
//!
//! A request walks: `connection` (frames) -> `enclave` (open, deadline,
//! cancellation) -> `provers` (its turn) -> `job` (check, evaluate, prove,
//! sign) -> `publication` (waits for the next boundary) -> back. Once a request
//! is open every answer is sealed, also that it was cancelled or took too long.
//! Requests of existing clients walk through `compatible` instead.

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
mod compatible;
mod connection;
mod enclave;
mod events;
mod evidence;
pub mod hardening;
mod identity;
pub mod init;
mod job;
mod key_ring;
pub mod listen;
mod provers;
mod publication;
mod server;

use std::alloc::System;

pub use evidence::EvidenceSourceError;
pub use server::{RunError, run};
use zeroizing_alloc::ZeroAlloc;

/// Wipes every block of the heap when it is freed.
pub type Allocator = ZeroAlloc<System>;

/// The allocator of every program that calls [`run`], so that no user data stays on its heap:
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: zkpass_enclave::Allocator = zkpass_enclave::ALLOCATOR;
/// # fn main() {}
/// ```
pub const ALLOCATOR: Allocator = ZeroAlloc(System);
