//! SHA-256 compression.
