//! zkpass-service
