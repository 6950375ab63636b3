//! `zkpass serve`

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use zkpass_core::api::UNATTESTED_DEVELOPMENT;

use crate::args::Serve;
use crate::failure::Failure;
use crate::local_service;
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
    let server = local_service::start(args.listen, !screen.quiet).await?;
    let url = local_service::url(&server);
    screen.answer(&Answer {
        text: format!(
            "serving on {url}\n\
             The enclave is {UNATTESTED_DEVELOPMENT}: whoever runs this machine can read what is \
             sent to it.\n\
             Prove with: zkpass prove --url {url} --danger-accept-unattested ..."
        ),
        json: json!({"url": url, "enclave": UNATTESTED_DEVELOPMENT}),
    })?;
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
