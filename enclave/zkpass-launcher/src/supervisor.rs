//! Keeps one enclave running.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{oneshot, watch};

use crate::{
    State, Status,
    child::{self, Child},
    tee::Tee,
};

/// An enclave that lived this long did not die of its start: pauses begin short again.
const SETTLED: Duration = Duration::from_secs(60);

pub(crate) struct Supervisor {
    pub(crate) tee: Arc<Tee>,
    pub(crate) status: watch::Sender<Status>,
}

impl Supervisor {
    pub(crate) async fn run(self, mut child: Child, mut stopped: oneshot::Receiver<()>) {
        let mut generation = 1;
        let mut pause = self.tee.options.first_pause;
        loop {
            let born = Instant::now();
            tokio::select! {
                _ = child.wait() => {}
                _ = &mut stopped => {
                    child.stop(self.tee.options.stop_timeout).await;
                    break;
                }
            }
            self.status.send_replace(Status {
                generation,
                state: State::Restarting,
            });
            if born.elapsed() >= SETTLED {
                pause = self.tee.options.first_pause;
            }
            // Before the next one starts: it removes the socket of its security module,
            // and the next one has its own at the same path.
            drop(child);
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
            *pause = pause.saturating_mul(2).min(self.tee.options.longest_pause);
            // The owner sees that it is still restarting; the enclave says why on its own log.
            if let Ok(child) = child::start(&self.tee).await {
                return child;
            }
        }
    }
}
