//! What weakens attestation; each takes an explicit call.

use crate::policy::{Policy, Roots};

/// Trusts one development root **instead of** the vendors' roots.
///
/// The development TEE signs evidence in the vendors' own layouts under a root
/// that it made itself, so whoever runs it can sign anything: such evidence
/// shows which build an honest machine runs and protects from nobody who owns
/// the machine. `sha256` is the SHA-256 fingerprint of the root certificate in
/// DER. A policy with a development root accepts no production evidence.
pub fn trust_development_root(policy: Policy, sha256: [u8; 32]) -> Policy {
    policy.with_roots(Roots::Development { sha256 })
}
