//! The process: socket, signals, key rotation, end.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rayon::ThreadPoolBuildError;
use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
    sync::{Semaphore, oneshot},
    time::{MissedTickBehavior, interval},
};

use crate::{
    args::Options,
    connection,
    enclave::{Enclave, ThreadsError},
    events::{Event, log, silence_panics},
    evidence::{self, EvidenceSource, EvidenceSourceError},
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

impl From<ThreadsError> for RunError {
    fn from(error: ThreadsError) -> Self {
        match error {
            ThreadsError::Provers(error) => Self::Provers(error),
            ThreadsError::Attester(error) => Self::Attester(error),
        }
    }
}

/// Runs the enclave until SIGTERM, SIGINT, or the end of standard input when that is asked for.
///
/// It does not wait for jobs in flight: draining is the work of the service, which knows who waits.
pub fn run(options: &Options) -> Result<(), RunError> {
    silence_panics();
    let source = evidence::open(options)?;
    // Proofs run on threads of their own; frames and sealing need one.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?;
    let result = runtime.block_on(serve(options, source));
    // A proof in progress is abandoned with the process.
    runtime.shutdown_background();
    result
}

async fn serve(options: &Options, source: Option<Box<dyn EvidenceSource>>) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
    let enclave = Arc::new(Enclave::new(options, source)?);
    let listener = listen(&options.socket)?;
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
    // If it is gone already, that is as good.
    let _ = fs::remove_file(&options.socket);
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
fn listen(path: &Path) -> Result<UnixListener, RunError> {
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
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(RunError::InUse(path.to_owned())),
            Err(_) => fs::remove_file(path).map_err(failed)?,
        },
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}
