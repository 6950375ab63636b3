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

use crate::{LaunchError, Options, State, Status};

/// How often a starting enclave is tried.
const PROBE_INTERVAL: Duration = Duration::from_millis(10);

/// A hello has about three kilobytes, two of them the HPKE key.
const MAX_HELLO_BYTES: usize = 16 * 1024;

/// A running enclave; it is killed when this is dropped.
pub(crate) struct Child {
    process: tokio::process::Child,
    process_id: u32,
    // Closing it tells the enclave to stop.
    stdin: Option<ChildStdin>,
}

/// Starts the enclave and waits until it says hello.
pub(crate) async fn start(options: &Options, socket: &Path) -> Result<Child, LaunchError> {
    let mut process = Command::new(&options.program)
        .args(&options.arguments)
        .arg("--socket")
        .arg(socket)
        .arg("--exit-with-stdin")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        // A Ctrl-C in a terminal goes to its foreground group: the owner drains
        // its jobs first and then stops the enclave.
        .process_group(0)
        .spawn()
        .map_err(|source| LaunchError::Spawn {
            program: options.program.clone(),
            source,
        })?;
    let mut child = Child {
        process_id: process.id().unwrap_or_default(),
        stdin: process.stdin.take(),
        process,
    };
    let after = options.start_timeout;
    tokio::select! {
        status = child.process.wait() => match status {
            Ok(status) => Err(LaunchError::Ended { status }),
            Err(source) => Err(LaunchError::Wait(source)),
        },
        ready = timeout(after, hello(socket)) => match ready {
            Ok(()) => Ok(child),
            Err(_) => Err(LaunchError::Timeout { after }),
        },
    }
}

impl Child {
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
