//! The `zkpass` command: keys, tokens, requests, proofs, a local service and a demonstration.

mod args;
mod clock;
mod commands;
mod documents;
mod draft;
mod enclave_key;
mod enclave_process;
mod failure;
mod files;
mod keys;
mod local_service;
mod parse;
mod query;
mod screen;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use serde_json::json;
use zkpass_service::confined;

use crate::args::attest::Attest;
use crate::args::{Cli, Command, Dvr, Token};
use crate::failure::Failure;
use crate::files::Output;
use crate::screen::{Answer, Screen};

/// This program can be an enclave, and proves by itself too: both leave nothing on the heap.
#[global_allocator]
static ALLOCATOR: zkpass_enclave::Allocator = zkpass_enclave::ALLOCATOR;

fn main() -> ExitCode {
    if confined::is_asked_for() {
        return confined::run();
    }
    if enclave_process::is_asked_for() {
        return enclave_process::run();
    }
    let cli = Cli::parse();
    let screen = Screen {
        json: cli.json,
        quiet: cli.quiet,
    };
    let result = run(&cli.command, screen).and_then(|answer| match cli.command.output() {
        // Standard output holds the result itself.
        Some(Output::Stdout) => Ok(()),
        _ => screen.answer(&answer),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure, &cli);
            ExitCode::from(failure.exit_status())
        }
    }
}

fn run(command: &Command, screen: Screen) -> Result<Answer, Failure> {
    if screen.json && command.output() == Some(&Output::Stdout) {
        return Err(Failure::usage(
            "--json answers on standard output; name a file after --out".to_owned(),
        ));
    }
    match command {
        Command::Keygen(args) => commands::keygen::run(args),
        Command::Token(Token::Sign(args)) => commands::token::sign(args),
        Command::Dvr(Dvr::New(args)) => commands::dvr::write::new(args),
        Command::Dvr(Dvr::Check(args)) => commands::dvr::check::run(args),
        Command::Dvr(Dvr::Sign(args)) => commands::dvr::write::sign(args),
        Command::Dvr(Dvr::Eval(args)) => commands::dvr::eval::run(args),
        Command::Prove(args) => commands::prove::run(args, screen),
        Command::Verify(args) => commands::verify::run(args, screen),
        Command::Serve(args) => commands::serve::run(args, screen),
        Command::Attest(Attest::Verify(args)) => commands::attest::verify_evidence(args),
        Command::Attest(Attest::Inspect(args)) => commands::attest::inspect_evidence(args),
        Command::Attest(Attest::Show(args)) => commands::attest::show(args),
        Command::Attest(Attest::Policy(args)) => commands::attest::policy(args),
        Command::Attest(Attest::Measure(args)) => commands::attest::measure(args),
        Command::Attest(Attest::Fetch(args)) => commands::attest::fetch(args, screen),
        Command::Inspect(args) => commands::inspect::run(args),
        Command::Completions(args) => commands::pages::completions(args),
        Command::Man(args) => commands::pages::man(args),
        Command::Demo(args) => commands::demo::run(args, screen),
    }
}

/// Says why on standard error, or as the JSON answer. If nobody reads, the exit status still tells.
fn report(failure: &Failure, cli: &Cli) {
    let error = failure.to_json();
    let _ = match (cli.json, &cli.command) {
        (false, _) => writeln!(io::stderr(), "error: {failure}"),
        (true, Command::Verify(_) | Command::Demo(_) | Command::Attest(Attest::Verify(_))) => {
            writeln!(
                io::stdout(),
                "{}",
                json!({"verified": false, "error": error})
            )
        }
        (true, _) => writeln!(io::stdout(), "{}", json!({ "error": error })),
    };
}
