//! One enclave process, from its start to its end.

use std::{io, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::AsyncReadExt as _,
    net::UnixStream,
    process::{ChildStdin, Command},
    time::{sleep, timeout},
};
use zkpass_core::{
    api::EnclaveInfo,
    frame::{Decoder, Frame, Message},
};

use crate::{
    LaunchError, State, Status,
    confined::{PROGRAM_CHANGED, REPORT_LIMIT},
    hardware::Hardware,
    tee::{Start, Tee},
};

/// How often a starting enclave is tried.
const PROBE_INTERVAL: Duration = Duration::from_millis(10);

/// A report is there when the stage ended.
const REPORT_PATIENCE: Duration = Duration::from_millis(500);

/// A hello has about three kilobytes, two of them the HPKE key.
const MAX_HELLO_BYTES: usize = 16 * 1024;

/// A running enclave; it is killed when this is dropped.
pub(crate) struct Child {
    process: tokio::process::Child,
    process_id: u32,
    // Closing it tells the enclave to stop.
    stdin: Option<ChildStdin>,
    // Its connections end with it.
    _hardware: Hardware,
}

/// Starts the enclave and waits until it says hello.
pub(crate) async fn start(tee: &Tee) -> Result<Child, LaunchError> {
    let hardware = tee.hardware()?;
    let Start { program, arguments } = tee.start();
    let mut process = Command::new(&program)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        // A stage that fails says why; the enclave itself has something else there.
        .stdout(if tee.info.confined {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stderr(if tee.options.log {
            Stdio::inherit()
        } else {
            Stdio::null()
        })
        .kill_on_drop(true)
        // A Ctrl-C in a terminal goes to its foreground group: the owner drains
        // its jobs first and then stops the enclave.
        .process_group(0)
        .spawn()
        .map_err(|source| LaunchError::Spawn { program, source })?;
    let mut child = Child {
        process_id: process.id().unwrap_or_default(),
        stdin: process.stdin.take(),
        process,
        _hardware: hardware,
    };
    let after = tee.options.start_timeout;
    tokio::select! {
        status = child.process.wait() => match status {
            Ok(status) => Err(match child.report().await {
                Some(report) => refused(tee, &report),
                None => LaunchError::Ended { status },
            }),
            Err(source) => Err(LaunchError::Wait(source)),
        },
        ready = timeout(after, hello(&tee.socket)) => match ready {
            Ok(()) => Ok(child),
            Err(_) => Err(LaunchError::Timeout { after }),
        },
    }
}

/// What a stage reported: a code, and for people the reason.
fn refused(tee: &Tee, report: &str) -> LaunchError {
    match report.split_once('\n') {
        Some((PROGRAM_CHANGED, _)) => LaunchError::ProgramChanged {
            program: tee.options.program.clone(),
        },
        Some((_, reason)) => LaunchError::NotConfined {
            reason: reason.to_owned(),
        },
        None => LaunchError::NotConfined {
            reason: report.to_owned(),
        },
    }
}

impl Child {
    /// What a stage that ended left on its standard output.
    async fn report(&mut self) -> Option<String> {
        let stdout = self.process.stdout.take()?;
        let mut bytes = Vec::new();
        // Something that still holds the pipe open must not hold up the launcher.
        let mut report = stdout.take(REPORT_LIMIT);
        let _ = timeout(REPORT_PATIENCE, report.read_to_end(&mut bytes)).await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Some(text).filter(|text| !text.is_empty())
    }

    pub(crate) fn status(&self, generation: u64) -> Status {
        Status {
            generation,
            state: State::Ready {
                process_id: self.process_id,
            },
        }
    }

    /// Returns when the process ended, however it ended.
    pub(crate) async fn wait(&mut self) {
        // An error means that it cannot be watched any more: take it for dead.
        let _ = self.process.wait().await;
    }

    pub(crate) async fn stop(mut self, patience: Duration) {
        drop(self.stdin.take());
        if timeout(patience, self.process.wait()).await.is_err() {
            // An error means that it ended just now.
            let _ = self.process.kill().await;
        }
    }
}

/// Returns when the enclave greets a connection.
async fn hello(socket: &Path) {
    // Any error means that it is not there yet.
    while !matches!(greeting(socket).await, Ok(Some(_))) {
        sleep(PROBE_INTERVAL).await;
    }
}

/// The first frame of a new connection, which is a hello.
async fn greeting(socket: &Path) -> io::Result<Option<EnclaveInfo>> {
    let mut stream = UnixStream::connect(socket).await?;
    let mut decoder = Decoder::new(MAX_HELLO_BYTES);
    let mut bytes = [0; 4096];
    loop {
        let count = stream.read(&mut bytes).await?;
        let Some(received) = bytes.get(..count).filter(|read| !read.is_empty()) else {
            return Ok(None);
        };
        decoder.push(received);
        match decoder.next_frame() {
            Ok(None) => {}
            Ok(Some(Frame {
                message: Message::Hello { info },
                ..
            })) => return Ok(Some(*info)),
            _ => return Ok(None),
        }
    }
}
