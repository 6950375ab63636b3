//! The process: socket, signals, key rotation, end.

use std::{io, sync::Arc, time::Duration};

use rayon::ThreadPoolBuildError;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, oneshot},
    time::{MissedTickBehavior, interval},
};

use crate::{
    args::Options,
    connection,
    enclave::Enclave,
    events::{Event, log, silence_panics},
    listen::{ListenError, Listener},
};

/// A service needs one connection and a launcher a short one.
const MAX_CONNECTIONS: usize = 16;

/// How often keys are looked after; far below the shortest key life that makes sense.
const KEY_TICK: Duration = Duration::from_secs(1);

/// After a failed accept (no file descriptors left, say) nothing is gained by trying at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the enclave could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The asynchronous runtime could not be started.
    #[error("cannot start the runtime: {0}")]
    Runtime(#[source] io::Error),
    /// The threads for proofs could not be started.
    #[error("cannot start the prover threads: {0}")]
    Provers(#[from] ThreadPoolBuildError),
    /// There is no listening on the address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Signals could not be watched.
    #[error("cannot watch signals: {0}")]
    Signals(#[source] io::Error),
}

/// Runs the enclave until SIGTERM, SIGINT, or the end of standard input when that is asked for.
///
/// It does not wait for jobs in flight: draining is the work of the service, which knows who waits.
pub fn run(options: &Options) -> Result<(), RunError> {
    silence_panics();
    // Proofs run on threads of their own; frames and sealing need one.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?;
    let result = runtime.block_on(serve(options));
    // A proof in progress is abandoned with the process.
    runtime.shutdown_background();
    result
}

async fn serve(options: &Options) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
    let enclave = Arc::new(Enclave::new(options)?);
    let listener = Listener::bind(&options.socket).await?;
    {
        let info = enclave.info();
        let info = info.borrow();
        log(Event::Started {
            enclave_id: &info.enclave_id,
            key_id: &info.key_id,
        });
    }
    tokio::select! {
        () = accept(&listener, Arc::clone(&enclave)) => {}
        () = turn_keys(&enclave) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = stdin_end(options.exit_with_stdin) => {}
    }
    log(Event::Stopping);
    listener.close(&options.socket);
    Ok(())
}

async fn accept(listener: &Listener, enclave: Arc<Enclave>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((read, write)) => {
                let serving = connection::serve(Arc::clone(&enclave), read, write);
                tokio::spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn turn_keys(enclave: &Enclave) {
    let mut tick = interval(KEY_TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        enclave.turn_keys();
    }
}

/// Returns when standard input ends, if that is wanted; what comes in is not looked at.
async fn stdin_end(wanted: bool) {
    let (ended, end) = oneshot::channel();
    if !wanted {
        return std::future::pending().await;
    }
    // A thread of its own: a blocking read cannot be taken back from the runtime.
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = ended.send(());
    });
    let _ = end.await;
}
