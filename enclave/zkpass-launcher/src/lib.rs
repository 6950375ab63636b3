//! zkpass-launcher
