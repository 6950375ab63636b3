//! The `zkpass-launcher` program: keeps one enclave running in the foreground.

use std::{error::Error, ffi::OsString, path::PathBuf, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};
use zkpass_core::encoding::hex;
use zkpass_launcher::{
    Confinement, DevPlatform, DevRoots, Launcher, Measurements, Options, State, Status, confined,
    find_enclave, measure,
};

const USAGE: &str = "\
usage: zkpass-launcher --socket DIR/enclave.sock [options] [-- ENCLAVE-ARGUMENT...]
       zkpass-launcher --measure [options] [-- ENCLAVE-ARGUMENT...]

Plays the hypervisor of an enclave on an ordinary machine, for development:
measures it, gives it evidence under a root of its own, starts it confined,
starts it again when it dies, and stops it on SIGTERM or SIGINT. Verifiers
refuse that evidence unless they are told to trust this root. The enclave is
protected from nobody who controls this user or this machine.

  --socket PATH          Unix socket on which the enclave listens; it is called
                         enclave.sock and has a directory of its own
  --enclave PROGRAM      the enclave program (zkpass-enclave beside this one)
  --simulate PLATFORM    nitro, sev-snp or tdx (nitro)
  --state DIR            keeps the development root; without it each start has
                         a new one
  --danger-unconfined    start the enclave as an ordinary process
  --measure              print what evidence will say as JSON, and exit
  --version, --help
";

fn main() -> ExitCode {
    if confined::is_asked_for() {
        return confined::run();
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            eprintln!("zkpass-launcher: {text}");
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
    let mut platform = DevPlatform::default();
    let mut roots = DevRoots::ephemeral();
    let mut confinement = Confinement::Full;
    let mut only_measure = false;
    let mut arguments: Vec<OsString> = Vec::new();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("socket") => socket = Some(PathBuf::from(parser.value()?)),
            Long("enclave") => program = Some(PathBuf::from(parser.value()?)),
            Long("simulate") => {
                let name = parser.value()?.string()?;
                platform = DevPlatform::from_name(&name)
                    .ok_or("`--simulate` must be nitro, sev-snp or tdx")?;
            }
            Long("state") => roots = DevRoots::at(parser.value()?),
            Long("danger-unconfined") => confinement = Confinement::DangerNone,
            Long("measure") => only_measure = true,
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
    if only_measure {
        let measured = measure(&program, &arguments, platform, confinement)?;
        println!("{}", json(&measured));
        return Ok(None);
    }
    Ok(Some(Options {
        arguments,
        socket: Some(socket.ok_or("`--socket PATH` is missing")?),
        confinement,
        platform,
        roots,
        ..Options::new(program)
    }))
}

async fn supervise(options: Options) -> Result<(), Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let launcher = Launcher::start(options).await?;
    let tee = launcher.tee();
    eprintln!(
        "zkpass-launcher: simulates {} under the development root {}, {}",
        tee.platform.name(),
        hex(&tee.root_fingerprint),
        if tee.confined {
            "enclave confined"
        } else {
            "ENCLAVE NOT CONFINED"
        },
    );
    eprintln!("zkpass-launcher: measured {}", json(&tee.measurements));
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

fn json(measured: &Measurements) -> String {
    let Measurements { pcr0, pcr1, pcr2 } = measured;
    let [pcr0, pcr1, pcr2] = [pcr0, pcr1, pcr2].map(|pcr| hex(pcr));
    format!(r#"{{"pcr0":"{pcr0}","pcr1":"{pcr1}","pcr2":"{pcr2}"}}"#)
}
