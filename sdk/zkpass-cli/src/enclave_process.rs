//! The enclave is a process of its own: this program, started again with a word that is not in
//! the help. So one binary is all that `serve` and `demo` need.

use std::ffi::OsStr;
use std::process::ExitCode;

use zkpass_enclave::args::{self, Command};

/// The first argument that makes this program an enclave.
pub const WORD: &str = "run-enclave";

/// Whether the arguments ask for an enclave.
pub fn is_asked_for() -> bool {
    std::env::args_os().nth(1).as_deref() == Some(OsStr::new(WORD))
}

/// Runs the enclave until it is told to stop.
pub fn run() -> ExitCode {
    let arguments = std::env::args_os().skip(2);
    let result = match args::parse(arguments) {
        Ok(Command::Run(options)) => zkpass_enclave::run(&options).map_err(|e| e.to_string()),
        // The launcher, the only caller, asks for neither.
        Ok(Command::Help | Command::Version) => Err("this is for the launcher".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{WORD}: {error}");
            ExitCode::from(2)
        }
    }
}
