//! The DVR query language: parse, check, evaluate.
pub mod ast;
