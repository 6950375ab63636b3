//! Keeps one enclave running.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::sync::{oneshot, watch};

use crate::{
    Options, State, Status,
    child::{self, Child},
};

/// An enclave that lived this long did not die of its start: pauses begin short again.
const SETTLED: Duration = Duration::from_secs(60);

pub(crate) struct Supervisor {
    pub(crate) options: Options,
    pub(crate) socket: PathBuf,
    pub(crate) status: watch::Sender<Status>,
    // Held for its drop, which removes it.
    pub(crate) _directory: Option<TempDir>,
}

impl Supervisor {
    pub(crate) async fn run(self, mut child: Child, mut stopped: oneshot::Receiver<()>) {
        let mut generation = 1;
        let mut pause = self.options.first_pause;
        loop {
            let born = Instant::now();
            tokio::select! {
                _ = child.wait() => {}
                _ = &mut stopped => {
                    child.stop(self.options.stop_timeout).await;
                    break;
                }
            }
            self.status.send_replace(Status {
                generation,
                state: State::Restarting,
            });
            if born.elapsed() >= SETTLED {
                pause = self.options.first_pause;
            }
            child = tokio::select! {
                child = self.restart(&mut pause) => child,
                _ = &mut stopped => break,
            };
            generation += 1;
            self.status.send_replace(child.status(generation));
        }
        self.status.send_replace(Status {
            generation,
            state: State::Stopped,
        });
    }

    async fn restart(&self, pause: &mut Duration) -> Child {
        loop {
            tokio::time::sleep(*pause).await;
            *pause = pause.saturating_mul(2).min(self.options.longest_pause);
            // The owner sees that it is still restarting; the enclave says why on its own log.
            if let Ok(child) = child::start(&self.options, &self.socket).await {
                return child;
            }
        }
    }
}
