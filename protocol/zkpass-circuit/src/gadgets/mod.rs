//! Gadgets: each states the relation it enforces, has a native twin, attacks
//! beside the honest case, and a constraint count.

pub(crate) mod base64;
pub(crate) mod date;
pub(crate) mod ecdsa;
pub(crate) mod scanner;
pub(crate) mod sha256;
pub(crate) mod values;
