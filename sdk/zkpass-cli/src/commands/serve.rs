//! `zkpass serve`

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use zkpass_core::encoding::hex;
use zkpass_launcher::TeeInfo;

use crate::args::Serve;
use crate::failure::Failure;
use crate::files::{Access, make_folder, write_file};
use crate::local_service::{self, Local};
use crate::screen::{Answer, Screen};

/// Serves until interrupted or terminated.
pub fn run(args: &Serve, screen: Screen) -> Result<Answer, Failure> {
    if !screen.quiet {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .init();
    }
    local_service::block_on(serve(args, screen))?;
    // All was said when the service was ready.
    Ok(Answer {
        json: Value::Null,
        text: String::new(),
    })
}

async fn serve(args: &Serve, screen: Screen) -> Result<(), Failure> {
    let failed = |error| Failure::system(format!("cannot listen for signals: {error}"));
    // Before anything is started, so that no early signal leaves something behind.
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let state = match &args.state {
        Some(state) => state.clone(),
        None => default_state()?,
    };
    let local = Local {
        listen: args.listen,
        program: &local_service::own_program()?,
        tee: args.tee,
        state: &state,
        enclave_log: !screen.quiet,
    };
    let (server, tee) = local.start().await?;
    let policy = state.join("policy.toml");
    make_folder(&state)?;
    let text = local_service::policy_text(&tee.measurements, args.tee.simulate, "zkpass serve");
    write_file(&policy, text.as_bytes(), Access::Shared)?;
    let url = local_service::url(&server);
    screen.answer(&ready(&url, &tee, &policy))?;
    server
        .serve(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await;
    Ok(())
}

fn ready(url: &str, tee: &TeeInfo, policy: &std::path::Path) -> Answer {
    let root = hex(&tee.root_fingerprint);
    let confinement = match tee.confined {
        true => "confined",
        false => "NOT confined",
    };
    let pcrs = [
        &tee.measurements.pcr0,
        &tee.measurements.pcr1,
        &tee.measurements.pcr2,
    ]
    .map(|pcr| hex(pcr));
    let policy = policy.display();
    Answer {
        text: format!(
            "serving on {url}\n\
             enclave: development TEE that plays {}, {confinement}; PCR0 {}\n\
             Whoever runs this machine can read what is sent to it.\n\
             Prove with:\n  \
             zkpass prove --url {url} --policy {policy} \\\n      \
             --danger-development-root {root} ...",
            tee.platform.name(),
            pcrs[0]
        ),
        json: json!({
            "url": url,
            "platform": tee.platform.name(),
            "confined": tee.confined,
            "development_root": root,
            "pcrs": pcrs,
            "policy": policy.to_string(),
        }),
    }
}

/// Where a user's programs keep state (XDG Base Directory Specification).
fn default_state() -> Result<PathBuf, Failure> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_STATE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/state")))
        .map(|state| state.join("zkpass"))
        .ok_or_else(|| Failure::usage("there is no home directory; name a directory with --state"))
}
