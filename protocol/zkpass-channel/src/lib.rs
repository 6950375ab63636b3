//! zkpass-channel
