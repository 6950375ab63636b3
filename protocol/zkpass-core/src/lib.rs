//! zkpass-core
