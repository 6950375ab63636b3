//! `cargo xtask`: every check CI runs, runnable by hand.

mod ci;
mod graph;
mod image;
mod microvm;
mod shell;
mod tour;
mod wasm;
mod words;
mod zones;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Repository automation for zkPass.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check that dependencies follow the trust zones
    Zones,
    /// Check that no tracked file names a private path or host
    Words,
    /// Build the crates that must work in a browser for wasm32
    Wasm,
    /// Run the commands of the README's tour
    Tour,
    /// Build what runs in a Nitro Enclave or a confidential virtual machine
    Image(image::Options),
    /// Boot the enclave as the first process of an emulated machine and talk to it
    Microvm(microvm::Options),
    /// Run all checks, in the order of their cost
    Ci(ci::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Zones => zones::run(),
        Task::Words => words::run(),
        Task::Wasm => wasm::run(),
        Task::Tour => tour::run(),
        Task::Image(options) => image::run(&options),
        Task::Microvm(options) => microvm::run(&options),
        Task::Ci(options) => ci::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
