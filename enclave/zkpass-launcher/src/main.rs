//! The `zkpass-launcher` program: keeps one enclave running in the foreground.

use std::{error::Error, ffi::OsString, path::PathBuf, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};
use zkpass_launcher::{Launcher, Options, State, Status, find_enclave};

const USAGE: &str = "\
usage: zkpass-launcher --socket PATH [--enclave PROGRAM] [-- ENCLAVE-ARGUMENT...]

Starts the enclave, starts it again when it dies, and stops it on SIGTERM or
SIGINT. The enclave is NOT confined and NOT measured: for development only.

  --socket PATH          Unix socket on which the enclave listens
  --enclave PROGRAM      the enclave program (zkpass-enclave beside this one)
  --version, --help
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zkpass-launcher: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let Some(options) = options()? else {
        return Ok(());
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(supervise(options))
}

/// The options, or `None` when help or version was printed instead.
fn options() -> Result<Option<Options>, Box<dyn Error>> {
    use lexopt::prelude::*;

    let mut socket = None;
    let mut program = None;
    let mut arguments: Vec<OsString> = Vec::new();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("socket") => socket = Some(PathBuf::from(parser.value()?)),
            Long("enclave") => program = Some(PathBuf::from(parser.value()?)),
            Long("help") => {
                print!("{USAGE}");
                return Ok(None);
            }
            Long("version") => {
                println!("zkpass-launcher {}", env!("CARGO_PKG_VERSION"));
                return Ok(None);
            }
            // Only what follows `--` reaches the enclave.
            Value(value) => arguments.push(value),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let program = match program {
        Some(program) => program,
        None => find_enclave()?,
    };
    Ok(Some(Options {
        arguments,
        socket: Some(socket.ok_or("`--socket PATH` is missing")?),
        ..Options::new(program)
    }))
}

async fn supervise(options: Options) -> Result<(), Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let launcher = Launcher::start(options).await?;
    let mut status = launcher.status();
    report(*status.borrow_and_update());
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            Ok(()) = status.changed() => report(*status.borrow_and_update()),
        }
    }
    launcher.shutdown().await;
    Ok(())
}

fn report(Status { generation, state }: Status) {
    match state {
        State::Ready { process_id } => {
            eprintln!("zkpass-launcher: enclave {generation} is ready, process {process_id}");
        }
        State::Restarting => eprintln!("zkpass-launcher: enclave {generation} is gone, restarting"),
        State::Stopped => eprintln!("zkpass-launcher: stopped"),
    }
}
