//! The zkPass SDK: what the three parties do, in one crate.
//!
//! - [`issuer`] signs user data.
//! - [`verifier`] writes a question, learns what answers can reveal, signs it,
//!   and checks the proofs it gets.
//! - [`holder`] answers a question with a proof: in an enclave behind a
//!   service, or on the own machine.
//!
//! What weakens the promises of zkPass is in [`danger`] and takes a call.
//!
//! ```no_run
//! use std::collections::BTreeMap;
//! use zkpass_client::{attestation::Policy, holder, holder::Holder};
//!
//! # async fn example(dvr_token: String, user_data_token: String) -> Result<(), Box<dyn std::error::Error>> {
//! let request = holder::Request::new(dvr_token, BTreeMap::from([(String::new(), user_data_token)]));
//! // Which builds may see the data; nothing is sent to any other.
//! let policy = Policy::from_toml(&std::fs::read_to_string("policy.toml")?)?;
//! let proof = Holder::builder("http://127.0.0.1:8080", policy)
//!     .build()?
//!     .prove(&request)
//!     .await?;
//! println!("{}", proof.token());
//! # Ok(())
//! # }
//! ```

pub mod attestation;
mod clock;
pub mod danger;
pub mod holder;
mod http;
pub mod issuer;
pub mod keys;
mod shown;
pub mod verifier;

pub use zkpass_circuit::KeyCache;
