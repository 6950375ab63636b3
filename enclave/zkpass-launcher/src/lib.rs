//! Starts the enclave process, watches it, and starts it again when it dies.
//!
//! **There is no confinement yet.** The enclave runs as an ordinary child
//! process of the same user: whoever controls that user or the machine can
//! read its memory, and nothing measures the program that is started. That is
//! why the enclave calls itself `unattested-development` and why the SDK
//! refuses it without an explicit `danger` call. Namespaces, Landlock, seccomp,
//! measurement and signed evidence come with the development TEE.
//!
//! What is built: the child gets an empty environment, its standard input is a
//! pipe whose end means "stop" (so it also stops when the launcher is killed),
//! and its standard output is closed. Each life of the enclave is a
//! *generation*: it has new keys, and jobs of an earlier one are lost. The
//! owner follows generations through [`Launcher::status`].

#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod child;
pub mod confined;
mod find;
mod supervisor;

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

pub use find::{ENCLAVE_PROGRAM, FindError, find_enclave};

/// What to start, and how patiently.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program to run; [`find_enclave`] finds the one that was installed with us.
    pub program: PathBuf,
    /// Arguments before the ones that the launcher adds (`--socket PATH --exit-with-stdin`).
    pub arguments: Vec<OsString>,
    /// Where the enclave listens; without a path, a socket in a new directory that only this user can enter.
    pub socket: Option<PathBuf>,
    /// How long one start may take until the enclave says hello.
    pub start_timeout: Duration,
    /// How long the enclave may take to stop by itself before it is killed.
    pub stop_timeout: Duration,
    /// The pause before the first restart; it doubles with each start that fails.
    pub first_pause: Duration,
    /// The longest pause between restarts.
    pub longest_pause: Duration,
}

impl Options {
    /// Options with the usual times: 20 s to start, 5 s to stop, pauses from 100 ms to 10 s.
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            arguments: Vec::new(),
            socket: None,
            start_timeout: Duration::from_secs(20),
            stop_timeout: Duration::from_secs(5),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(10),
        }
    }
}

/// Which life of the enclave this is, and whether it can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Counts the enclaves that came up, from 1; a new number means new keys and lost jobs.
    pub generation: u64,
    /// Whether that enclave can be used.
    pub state: State,
}

/// What the enclave is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It said hello; the process has this id.
    Ready {
        /// The process id.
        process_id: u32,
    },
    /// It died, or a restart failed; the launcher is trying again.
    Restarting,
    /// The launcher was told to stop, and the enclave is gone.
    Stopped,
}

/// Why the first start failed; later starts are retried and show in [`Launcher::status`].
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The program could not be started.
    #[error("cannot start `{}`", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// No directory for the socket could be made.
    #[error("cannot make a directory for the enclave's socket")]
    Directory(#[source] io::Error),
    /// The program ended before it said hello.
    #[error("the enclave ended before it was ready ({status})")]
    Ended {
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// The program did not say hello in time.
    #[error("the enclave was not ready after {} s", after.as_secs_f32())]
    Timeout {
        /// How long it had.
        after: Duration,
    },
    /// The process could not be watched.
    #[error("cannot watch the enclave process")]
    Wait(#[source] io::Error),
}

/// A running enclave and the task that keeps it running.
///
/// Dropping it kills the enclave at once; [`Launcher::shutdown`] asks it first.
#[derive(Debug)]
pub struct Launcher {
    socket: PathBuf,
    status: watch::Receiver<Status>,
    stop: oneshot::Sender<()>,
    supervisor: JoinHandle<()>,
}

impl Launcher {
    /// Starts the enclave and returns when it said hello.
    pub async fn start(options: Options) -> Result<Self, LaunchError> {
        let (socket, directory) = match &options.socket {
            Some(path) => (path.clone(), None),
            None => {
                let directory = tempfile::Builder::new()
                    .prefix("zkpass-")
                    .tempdir()
                    .map_err(LaunchError::Directory)?;
                (directory.path().join("enclave.sock"), Some(directory))
            }
        };
        let child = child::start(&options, &socket).await?;
        let (stop, stopped) = oneshot::channel();
        let (sender, status) = watch::channel(child.status(1));
        let supervisor = supervisor::Supervisor {
            options,
            socket: socket.clone(),
            status: sender,
            _directory: directory,
        };
        Ok(Self {
            socket,
            status,
            stop,
            supervisor: tokio::spawn(supervisor.run(child, stopped)),
        })
    }

    /// The socket on which every generation listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The current generation and state, and a way to wait for changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Asks the enclave to stop, kills it when it does not, and returns when it is gone.
    pub async fn shutdown(mut self) {
        let (unused, _) = oneshot::channel();
        // An error means that the supervisor is gone already.
        let _ = std::mem::replace(&mut self.stop, unused).send(());
        let _ = (&mut self.supervisor).await;
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        // The child is killed when the task that owns it is dropped.
        self.supervisor.abort();
    }
}
