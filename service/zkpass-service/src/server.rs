//! The life of the service: start, serve, drain, stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use zkpass_launcher::TeeInfo;

use crate::app::App;
use crate::config::{Config, ConfigError};
use crate::fleet::{EnclaveStartError, Fleet};
use crate::listen;
use crate::routes::router;

/// How often a draining service looks whether it is empty.
const DRAIN_INTERVAL: Duration = Duration::from_millis(20);

/// How long the last responses may take to leave once all jobs have ended.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// A service that has its listener and its enclaves and can serve.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
}

/// Why the service did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address could not be bound.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// An enclave program did not start.
    #[error(transparent)]
    Enclave(#[from] EnclaveStartError),
}

impl Server {
    /// Binds the listener, then starts the enclaves.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        config.check()?;
        let address = config.listen;
        let listen = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = listen
            .await
            .map_err(|source| StartError::Listen { address, source })?;
        let fleet = Fleet::start(&config.enclaves, config.in_flight).await?;
        Ok(Self {
            app: Arc::new(App::new(config, fleet)),
            listener,
            address,
        })
    }

    /// The address it listens on, with the port the system chose.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// The development TEEs of the enclaves that this service starts, in their order.
    pub fn development_tees(&self) -> Vec<TeeInfo> {
        self.app.fleet.tees().to_vec()
    }

    /// Serves until `shutdown` completes, then drains and stops.
    ///
    /// Draining means: no new job is accepted, running ones may finish, and
    /// answers may be collected, for at most `drain_seconds`. What is left is
    /// cancelled, and the enclaves that were started are stopped.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let Self { app, listener, .. } = self;
        let router = router(Arc::clone(&app));
        let connections = app.config.max_connections;
        let close = async {
            shutdown.await;
            drain(&app).await;
        };
        listen::serve(listener, router, connections, close, CLOSE_GRACE).await;
        app.jobs.cancel_all();
        app.fleet.stop().await;
        tracing::info!("stopped");
    }
}

async fn drain(app: &App) {
    app.jobs.drain();
    tracing::info!(jobs = app.jobs.uncollected(), "draining");
    let end = Instant::now() + app.config.drain();
    while app.jobs.uncollected() > 0 && Instant::now() < end {
        sleep(DRAIN_INTERVAL).await;
    }
    app.jobs.cancel_all();
}
