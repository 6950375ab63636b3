//! What weakens the promises of zkPass; each takes an explicit call.

pub use zkpass_attest::danger::trust_development_root;
