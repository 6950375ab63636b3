//! The development TEE: plays the hypervisor for an enclave process on an ordinary machine.
//!
//! The launcher measures the enclave program and its configuration
//! ([`measure()`]), owns a development root ([`DevRoots`]), gives the enclave
//! hardware that signs evidence in a vendor's genuine layout under that root (a
//! security module, [`nsm`], or a configfs-tsm), starts the enclave confined ([`confined`]), watches it, and
//! starts it again when it dies.
//!
//! **What this is worth.** A verifier with the vendors' roots refuses the
//! evidence; trusting a development root takes an explicit `danger` call with
//! its fingerprint. The enclave cannot forge its measurement and reaches
//! nothing but its sockets, so its operator is protected from it. It is *not*
//! protected from its operator: whoever controls the user that runs the
//! launcher, or the machine, can read its memory and the root's key.
//!
//! The child gets an empty environment, its standard input is a pipe whose end
//! means "stop" (so it also stops when the launcher is killed), and its
//! standard output leads nowhere. Each life of the enclave is a *generation*:
//! it has new keys, and jobs of an earlier one are lost. The owner follows
//! generations through [`Launcher::status`].

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
mod hardware;
mod measure;
pub mod nsm;
mod roots;
mod supervisor;
mod tee;
mod tsm;

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

pub use find::{ENCLAVE_PROGRAM, FindError, find_enclave};
pub use measure::{Measurements, measure};
pub use roots::{DevPlatform, DevRoots, RootError};
pub use tee::TeeInfo;

use tee::Tee;

/// Whether the enclave is shut in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Confinement {
    /// As [`confined`] says, or no enclave at all.
    #[default]
    Full,
    /// An ordinary child process, which can do what this user can. PCR2 shows it.
    DangerNone,
}

/// What to start, and how patiently.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program to run; [`find_enclave`] finds the one that was installed with us.
    pub program: PathBuf,
    /// Arguments before the ones that the launcher adds (`--socket PATH --exit-with-stdin` and
    /// where evidence comes from).
    pub arguments: Vec<OsString>,
    /// Where the enclave listens; without a path, a socket in a new directory that only this user can enter.
    ///
    /// A confined enclave sees the whole directory. So it must hold nothing else and be closed to
    /// writing by others; it is made if it is missing. The file must be called `enclave.sock`.
    pub socket: Option<PathBuf>,
    /// Whether the enclave is confined.
    pub confinement: Confinement,
    /// The program that becomes the stage, see [`confined`]: without a path, the running one if it
    /// can be, or `zkpass-launcher` beside it.
    pub stage: Option<PathBuf>,
    /// The platform to play.
    pub platform: DevPlatform,
    /// Where the development root is kept.
    pub roots: DevRoots,
    /// Whether the enclave's log goes to standard error.
    pub log: bool,
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
    /// A confined enclave of Nitro under a root of its own, with the usual times: 20 s to start,
    /// 5 s to stop, pauses from 100 ms to 10 s.
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            arguments: Vec::new(),
            socket: None,
            confinement: Confinement::Full,
            stage: None,
            platform: DevPlatform::default(),
            roots: DevRoots::ephemeral(),
            log: true,
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
    #[error("cannot use the directory of the enclave's socket")]
    Directory(#[source] io::Error),
    /// The directory of the socket is not the enclave's alone.
    #[error(
        "`{}` must belong to this user, be closed to writing by others, and hold nothing but the \
         enclave's sockets: a confined enclave sees all of it",
        .0.display()
    )]
    SharedDirectory(PathBuf),
    /// The socket has another name than inside of the confinement.
    #[error("the socket of a confined enclave is called `enclave.sock`, not `{}`", .0.display())]
    SocketName(PathBuf),
    /// There is no program that can be the stage.
    #[error(
        "no program confines the enclave: this one cannot, and there is no `zkpass-launcher` beside it"
    )]
    NoStage,
    /// There is no development root.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The simulated hardware could not be offered.
    #[error("cannot offer simulated hardware to the enclave")]
    Hardware(#[source] io::Error),
    /// The enclave could not be confined; it was not started.
    #[error("the enclave was not started, because it cannot be confined: {reason}")]
    NotConfined {
        /// What is missing, and how to get it.
        reason: String,
    },
    /// The program is not the one that was measured; it was not started.
    #[error("`{}` has changed since it was measured", program.display())]
    ProgramChanged {
        /// The program.
        program: PathBuf,
    },
    /// The work before the start was interrupted.
    #[error("the start was interrupted")]
    Interrupted,
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
    tee: Arc<Tee>,
    status: watch::Receiver<Status>,
    stop: oneshot::Sender<()>,
    supervisor: JoinHandle<()>,
}

impl Launcher {
    /// Measures the enclave, starts it and returns when it said hello.
    pub async fn start(options: Options) -> Result<Self, LaunchError> {
        let tee = tokio::task::spawn_blocking(|| Tee::new(options)).await;
        let tee = Arc::new(tee.map_err(|_| LaunchError::Interrupted)??);
        let child = child::start(&tee).await?;
        let (stop, stopped) = oneshot::channel();
        let (sender, status) = watch::channel(child.status(1));
        let supervisor = supervisor::Supervisor {
            tee: Arc::clone(&tee),
            status: sender,
        };
        Ok(Self {
            tee,
            status,
            stop,
            supervisor: tokio::spawn(supervisor.run(child, stopped)),
        })
    }

    /// What the launcher simulates and measured.
    pub fn tee(&self) -> &TeeInfo {
        &self.tee.info
    }

    /// The socket on which every generation listens.
    pub fn socket(&self) -> &Path {
        &self.tee.socket
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
