//! Verification against one real proof: what is accepted, and which change of
//! which field is refused by which step.

mod claims;
mod fixture;
mod hostile;
mod policy;
mod statement;
