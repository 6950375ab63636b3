//! zkpass-verify
