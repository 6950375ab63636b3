//! zkpass-circuit
