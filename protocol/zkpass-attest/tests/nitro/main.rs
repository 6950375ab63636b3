//! Nitro attestation documents: genuine ones at their own time, and forged
//! ones that are right but for one thing.

mod chain;
mod cose;
mod genuine;
mod mutations;
mod payload;
mod policy;
mod support;
