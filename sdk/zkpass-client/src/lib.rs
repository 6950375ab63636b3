//! zkpass-client
