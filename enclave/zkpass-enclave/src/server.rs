//! The process: socket, signals, key rotation, end.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::{UnixListener as StdUnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rayon::ThreadPoolBuildError;
use tokio::{
    net::UnixListener,
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
    /// Another process listens on the socket.
    #[error("`{}` is in use", .0.display())]
    InUse(PathBuf),
    /// There is something at the socket's path that is not a socket.
    #[error("`{}` exists and is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// The socket could not be opened.
    #[error("cannot listen on `{}`: {source}", path.display())]
    Listen {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
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
    listener: StdUnixListener,
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
            listener: listen(&options.socket)?,
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
    let listener = UnixListener::from_std(doors.listener).map_err(|source| RunError::Listen {
        path: options.socket.clone(),
        source,
    })?;
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
        () = accept(listener, Arc::clone(&enclave)) => {}
        () = turn_keys(&enclave) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = stdin_end(options.exit_with_stdin) => {}
    }
    log(Event::Stopping);
    Ok(())
}

async fn accept(listener: UnixListener, enclave: Arc<Enclave>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let serving = connection::serve(Arc::clone(&enclave), stream);
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

/// Listens on a path that only this user may open; the file of a dead process is replaced.
fn listen(path: &Path) -> Result<StdUnixListener, RunError> {
    let failed = |source| RunError::Listen {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(RunError::NotASocket(path.to_owned()));
        }
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => return Err(RunError::InUse(path.to_owned())),
            Err(_) => fs::remove_file(path).map_err(failed)?,
        },
    }
    let listener = StdUnixListener::bind(path).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}
