//! The process: socket, signals, key rotation, end.

use std::{io, sync::Arc, time::Duration};

use rayon::ThreadPoolBuildError;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{Semaphore, oneshot},
    time::{MissedTickBehavior, interval},
};

use crate::{
    args::Options,
    connection,
    enclave::{Enclave, NewError},
    events::{Event, log, silence_panics},
    evidence::{self, EvidenceSource, EvidenceSourceError},
    hardening::{self, HardeningError, Needs, locked::LockError},
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
    Provers(#[source] ThreadPoolBuildError),
    /// The thread for evidence could not be started.
    #[error("cannot start the evidence thread: {0}")]
    Attester(#[source] io::Error),
    /// The evidence that was asked for is not to be had.
    #[error(transparent)]
    Evidence(#[from] EvidenceSourceError),
    /// A wall around the process could not be put up.
    #[error(transparent)]
    Hardening(#[from] HardeningError),
    /// Keys could not be locked in memory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is no listening on the address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Signals could not be watched.
    #[error("cannot watch signals: {0}")]
    Signals(#[source] io::Error),
}

impl From<NewError> for RunError {
    fn from(error: NewError) -> Self {
        match error {
            NewError::Provers(error) => Self::Provers(error),
            NewError::Attester(error) => Self::Attester(error),
            NewError::Lock(error) => Self::Lock(error),
        }
    }
}

/// The doors of the process, opened before it is confined.
struct Doors {
    listener: Listener,
    source: Option<Box<dyn EvidenceSource>>,
    terminate: Signal,
    interrupt: Signal,
}

/// Runs the enclave until SIGTERM, SIGINT, or the end of standard input when that is asked for.
///
/// It does not wait for jobs in flight: draining is the work of the service, which knows who waits.
///
/// There must be no other thread yet: the process is confined for good. The file of the socket
/// stays when it ends, because a confined process removes none; the next start replaces it.
pub fn run(options: &Options) -> Result<(), RunError> {
    silence_panics();
    if options.danger_unhardened {
        log(Event::Unhardened);
    } else {
        hardening::refuse_inspection()?;
    }
    // Proofs run on threads of their own; frames and sealing need one.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?;
    let doors = {
        let _context = runtime.enter();
        Doors {
            source: evidence::open(options)?,
            terminate: signal(SignalKind::terminate()).map_err(RunError::Signals)?,
            interrupt: signal(SignalKind::interrupt()).map_err(RunError::Signals)?,
            listener: Listener::bind(&options.socket)?,
        }
    };
    if !options.danger_unhardened {
        let needs = doors.source.as_ref().map(|source| source.needs());
        hardening::confine(needs.unwrap_or(Needs::Nothing))?;
    }
    let result = runtime.block_on(serve(options, doors));
    // A proof in progress is abandoned with the process.
    runtime.shutdown_background();
    result
}

async fn serve(options: &Options, doors: Doors) -> Result<(), RunError> {
    let mut terminate = doors.terminate;
    let mut interrupt = doors.interrupt;
    let enclave = Arc::new(Enclave::new(options, doors.source)?);
    {
        let info = enclave.info();
        let info = info.borrow();
        log(Event::Started {
            measurement_id: &info.measurement_id,
            enclave_id: &info.enclave_id,
            key_id: &info.key_id,
        });
    }
    tokio::select! {
        () = accept(&doors.listener, Arc::clone(&enclave)) => {}
        () = turn_keys(&enclave) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = stdin_end(options.exit_with_stdin) => {}
    }
    log(Event::Stopping);
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
