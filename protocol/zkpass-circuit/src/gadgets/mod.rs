//! Gadgets: each states the relation it enforces, has a native twin, attacks
//! beside the honest case, and a constraint count.

pub(crate) mod ecdsa;
pub(crate) mod sha256;
