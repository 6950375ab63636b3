//! What the benchmarks measure: the bank-loan proof at a number of blocks, and
//! beside it the proof system's own SHA-256 over as many blocks, with its own
//! gadget and nothing else.

pub mod baseline;
pub mod loan;

/// Block counts measured.
pub const BLOCKS: [u16; 4] = [8, 16, 32, 64];
