//! Connections: a bounded number, a bounded time for headers, an orderly end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// How long a client may take from one response, or from connecting, to the
/// end of the headers of its next request. Idle connections end here too.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause after a failed accept: usually all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves connections until `close` completes; then lets open requests end
/// for at most `grace`.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    close: impl Future<Output = ()>,
    grace: Duration,
) {
    let places = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
    let open = GracefulShutdown::new();
    let accepting = async {
        // The semaphore is never closed.
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match accept(&listener).await {
                Ok(stream) => {
                    let service = TowerToHyperService::new(router.clone());
                    let connection = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEADER_TIMEOUT)
                        .serve_connection(TokioIo::new(stream), service);
                    let connection = open.watch(connection);
                    tokio::spawn(async move {
                        // Errors are those of clients: broken off, not HTTP.
                        let _ = connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = close => {}
    }
    drop(listener);
    // What is open after this ends with the process.
    let _ = timeout(grace, open.shutdown()).await;
}

async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    // Answers are single writes; waiting to fill a packet only delays them.
    stream.set_nodelay(true)?;
    Ok(stream)
}
