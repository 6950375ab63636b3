//! The untrusted front of zkPass: an HTTP API that takes sealed requests,
//! queues them and relays them to enclaves.
//!
//! It sees ciphertext only. It depends neither on the query language nor on
//! circuits nor on any code that could open a request; `cargo xtask zones`
//! proves that. Its logs hold names, codes and numbers, never bodies.
//!
//! Jobs live in memory, bounded in number and time: a restart forgets them,
//! and clients seal and send again. There are no API keys and no quotas yet,
//! so whoever reaches the listener may use the enclaves: keep it on loopback,
//! or behind a proxy that decides who gets through.
//!
//! ```text
//! GET    /v1/enclaves      enclaves that are ready, with the keys to seal to
//! POST   /v1/proofs        takes a sealed request: 200 within `Prefer: wait=N`, else 202
//! GET    /v1/proofs/{id}   the job; `?wait=N` waits for its end
//! DELETE /v1/proofs/{id}   cancels and forgets the job
//! GET    /livez, /readyz   for whoever runs it
//! ```
//!
//! Until a client has been given the id of a job, only the request that made
//! the job can lead to it. When that request is dropped, because its client
//! closed the connection, the job is cancelled, unless it came with an
//! `Idempotency-Key`: with the same key and body the client can ask again and
//! gets the same job. A job whose id was given out, with 202, goes on whether
//! or not somebody waits for it.
//!
//! A failed job is still a job: whoever asks for it gets 200 and the state
//! `failed` with the problem inside. Problem documents of their own (RFC 9457)
//! answer requests that were themselves refused.

mod app;
pub mod config;
mod fleet;
mod jobs;
mod listen;
mod problem;
mod routes;
mod server;
mod session;
mod wait;

pub use config::{Config, ConfigError, EnclaveConfig, Simulate};
pub use fleet::EnclaveStartError;
pub use server::{Server, StartError};
/// A program that starts enclaves calls this first in `main`, see there.
pub use zkpass_launcher::confined;
