//! The `zkpass` command, run as scripts run it.

mod attest;
mod bad_input;
mod commands;
mod examples;
mod help;
mod sandbox;
mod service;
