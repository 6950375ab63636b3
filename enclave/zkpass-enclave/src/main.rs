//! The `zkpass-enclave` program.

use std::process::ExitCode;

use zkpass_enclave::{
    args::{self, Command, USAGE},
    init, run,
};

#[global_allocator]
static ALLOCATOR: zkpass_enclave::Allocator = zkpass_enclave::ALLOCATOR;

fn main() -> ExitCode {
    if init::is_wanted() {
        return init::run();
    }
    match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run(options)) => match run(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        },
        Ok(Command::Help) => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Ok(Command::Version) => {
            println!("zkpass-enclave {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("zkpass-enclave: {error}");
    ExitCode::from(2)
}
