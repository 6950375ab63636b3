//! zkpass-enclave
