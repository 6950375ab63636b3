//! The `zkpass-service` program: reads its configuration, starts, serves until
//! SIGTERM or SIGINT, drains.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use zkpass_service::{Config, ConfigError, EnclaveConfig, Server, StartError, confined};

/// HTTP front of zkPass: queues sealed requests and relays them to enclaves.
///
/// It has no API keys yet: whoever reaches the listener may use the enclaves.
#[derive(Parser)]
#[command(name = "zkpass-service", version)]
struct Arguments {
    /// Configuration file; zkpass-service.example.toml shows every field
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,

    /// Address to listen on, instead of the configured one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,

    /// Start this enclave program, in addition to configured enclaves
    #[arg(long, value_name = "PROGRAM")]
    enclave: Option<PathBuf>,

    /// Connect to the enclave on this Unix socket, in addition to configured ones
    #[arg(long, value_name = "SOCKET")]
    enclave_socket: Option<PathBuf>,

    /// Read the configuration, say whether it is good, and exit
    #[arg(long)]
    check: bool,

    /// Form of the log on standard error
    #[arg(long, value_enum, default_value_t = LogForm::Text)]
    log: LogForm,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogForm {
    Text,
    Json,
}

#[derive(Debug, Error)]
enum MainError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
}

fn main() -> ExitCode {
    if confined::is_asked_for() {
        return confined::run();
    }
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            eprintln!("zkpass-service: {text}");
            // As for a wrong argument: the operator has to act.
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Arguments) -> Result<(), MainError> {
    let config = configuration(&arguments)?;
    config.check()?;
    if arguments.check {
        println!("configuration is good");
        return Ok(());
    }
    start_log(arguments.log);
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(MainError::Runtime)?
        .block_on(serve(config))
}

fn configuration(arguments: &Arguments) -> Result<Config, ConfigError> {
    let mut config = match &arguments.config {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    if let Some(listen) = arguments.listen {
        config.listen = listen;
    }
    if let Some(program) = &arguments.enclave {
        config
            .enclaves
            .push(EnclaveConfig::launched("enclave", program));
    }
    if let Some(socket) = &arguments.enclave_socket {
        config
            .enclaves
            .push(EnclaveConfig::connected("enclave-socket", socket));
    }
    Ok(config)
}

async fn serve(config: Config) -> Result<(), MainError> {
    // Before anything is started, so that no early signal kills it half-done.
    let mut terminate = signal(SignalKind::terminate()).map_err(MainError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(MainError::Signals)?;
    let enclaves = config.enclaves.len();
    let server = Server::start(config).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        revision = option_env!("ZKPASS_REVISION").unwrap_or("unknown"),
        address = %server.local_address(),
        enclaves,
        "zkpass-service started"
    );
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    server.serve(shutdown).await;
    Ok(())
}

fn start_log(form: LogForm) {
    let builder = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    match form {
        LogForm::Text => builder.init(),
        LogForm::Json => builder.json().init(),
    }
}
