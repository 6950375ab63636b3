//! A service and an enclave process on this machine.

use std::net::SocketAddr;

use zkpass_service::{Config, EnclaveConfig, Server};

use crate::enclave_process::{SILENT, WORD};
use crate::failure::{Failure, with_causes};

/// Starts the enclave and binds the listener.
pub async fn start(listen: SocketAddr, enclave_log: bool) -> Result<Server, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::system(format!("cannot tell where this program is: {error}")))?;
    let mut enclave = EnclaveConfig::launched("enclave", program);
    enclave.arguments.push(WORD.to_owned());
    if !enclave_log {
        enclave.arguments.push(SILENT.to_owned());
    }
    let config = Config {
        listen,
        enclaves: vec![enclave],
        ..Config::default()
    };
    Server::start(config).await.map_err(|error| {
        let error = with_causes(&error);
        Failure::system(format!("cannot start the service: {error}"))
    })
}

/// The address that clients use.
pub fn url(server: &Server) -> String {
    format!("http://{}", server.local_address())
}

/// Runs a future that does network work.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system(format!("cannot start the runtime: {error}")))?
        .block_on(work)
}
