//! What the routes share, and the way of one job through the service.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::TaskTracker;
use zkpass_core::code::Code;

use crate::config::Config;
use crate::fleet::Fleet;
use crate::jobs::{Bounds, Job, Jobs, State};
use crate::session::{Reply, Sealed, Session};

/// How long the slot of a job that nobody wants any more stays taken while
/// its enclave has not said that it stopped.
const CANCEL_GRACE: Duration = Duration::from_secs(30);

/// State of the running service.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) jobs: Jobs,
    pub(crate) fleet: Fleet,
    /// The tasks that accompany jobs.
    tasks: TaskTracker,
}

impl App {
    pub(crate) fn new(config: Config, fleet: Fleet) -> Self {
        let bounds = Bounds {
            unfinished: config.queue_length,
            finished: config.finished_jobs,
            finished_ttl: Duration::from_secs(config.finished_ttl_seconds),
            deadline: config.job_deadline(),
        };
        Self {
            config,
            jobs: Jobs::new(bounds),
            fleet,
            tasks: TaskTracker::new(),
        }
    }

    /// Sees to it that the job ends, one way or another.
    pub(crate) fn run(self: &Arc<Self>, job: Arc<Job>, session: Arc<Session>, sealed: Sealed) {
        let app = Arc::clone(self);
        self.tasks
            .spawn(async move { app.accompany(&job, &session, sealed).await });
    }

    async fn accompany(&self, job: &Job, session: &Arc<Session>, sealed: Sealed) {
        let slot = tokio::select! {
            slot = session.slot() => slot,
            end = overdue(job) => return self.jobs.finish(job, end),
        };
        let Some(_slot) = slot else {
            // It never reached the enclave, and its key is gone with it.
            return self.jobs.finish(job, State::Failed(Code::ReAttest));
        };
        job.start();
        let time_left = job.deadline.saturating_duration_since(Instant::now());
        let mut pending = session.prove(sealed, time_left);
        let end = tokio::select! {
            reply = pending.reply() => match reply {
                Reply::Answer(sealed) => State::Done(sealed),
                Reply::Failed(code) => State::Failed(code),
                // Not what was asked for.
                Reply::Evidence(_) => State::Failed(Code::Internal),
                Reply::Lost => State::Failed(Code::EnclaveLost),
            },
            end = overdue(job) => {
                self.jobs.finish(job, end);
                pending.cancel();
                // The slot is free when the enclave has stopped, not before.
                let _ = timeout(CANCEL_GRACE, pending.reply()).await;
                return;
            }
        };
        self.jobs.finish(job, end);
    }
}

/// Returns when nobody wants the job any more: it was cancelled (and has
/// ended already), or its time is over.
async fn overdue(job: &Job) -> State {
    tokio::select! {
        end = job.ended() => end,
        () = sleep_until(job.deadline) => State::Failed(Code::DeadlineExceeded),
    }
}
