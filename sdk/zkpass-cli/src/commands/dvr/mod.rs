//! `zkpass dvr`

pub mod check;
pub mod eval;
pub mod write;
