//! The table of proof jobs: in memory, bounded, gone with the process.
//!
//! A job holds no request: the sealed bytes belong to the task that forwards
//! them and are dropped once the enclave has them. What stays is an id, a
//! state and, for a while, a sealed answer.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use zkpass_core::code::Code;

/// Where a job stands; the last two are final.
#[derive(Clone)]
pub(crate) enum State {
    /// Accepted, waits for a free slot of its enclave.
    Queued,
    /// The enclave has it.
    Running,
    /// The enclave answered; only the client can open the answer.
    Done(Arc<str>),
    /// It ended without an answer.
    Failed(Code),
}

impl State {
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Failed(_))
    }
}

/// One accepted request for a proof.
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) deadline: Instant,
    idempotency: Option<Idempotency>,
    state: watch::Sender<State>,
}

impl Job {
    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Waits until the job has ended and returns how.
    pub(crate) async fn ended(&self) -> State {
        let mut states = self.state.subscribe();
        match states.wait_for(State::is_final).await {
            Ok(state) => state.clone(),
            // The sender lives in `self`, which is borrowed here.
            Err(_) => State::Failed(Code::Internal),
        }
    }

    /// The state after the job has ended or `wait` has passed.
    pub(crate) async fn state_within(&self, wait: Duration) -> State {
        match tokio::time::timeout(wait, self.ended()).await {
            Ok(state) => state,
            Err(_) => self.state(),
        }
    }

    /// Notes that the enclave is about to get the job.
    pub(crate) fn start(&self) {
        self.state.send_if_modified(|state| {
            let queued = matches!(state, State::Queued);
            if queued {
                *state = State::Running;
            }
            queued
        });
    }

    pub(crate) fn has_idempotency_key(&self) -> bool {
        self.idempotency.is_some()
    }
}

/// The `Idempotency-Key` of a request and the digest of the body it came with.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Idempotency {
    pub(crate) key: String,
    pub(crate) body_sha256: [u8; 32],
}

/// What became of a request to admit a job.
pub(crate) enum Admission {
    /// A new job; the caller sees to it that it ends.
    New(Arc<Job>),
    /// The same request was admitted before.
    Known(Arc<Job>),
}

/// Why a job was not admitted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// `queue_length` jobs are unfinished.
    QueueFull,
    /// The idempotency key belongs to another body.
    KeyReused,
    /// The service is shutting down.
    Draining,
    /// The system gave no randomness for the job id.
    NoRandomness,
}

/// Bounds of the table.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) unfinished: usize,
    pub(crate) finished: usize,
    pub(crate) finished_ttl: Duration,
    pub(crate) deadline: Duration,
}

/// All jobs of this process.
pub(crate) struct Jobs {
    bounds: Bounds,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    jobs: HashMap<String, Entry>,
    by_key: HashMap<String, String>,
    /// Finished jobs, oldest first; removed ones may still be listed.
    finished: VecDeque<(Instant, String)>,
    unfinished: usize,
    draining: bool,
}

struct Entry {
    job: Arc<Job>,
    collected: bool,
}

impl Jobs {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            table: Mutex::default(),
        }
    }

    /// Finds the job of a request that was sent before.
    pub(crate) fn known(&self, wanted: &Idempotency) -> Option<Result<Arc<Job>, Refusal>> {
        let mut table = self.table();
        table.forget_expired(Instant::now());
        table.known(wanted)
    }

    /// Admits a job or says why not; a known idempotency key finds its job.
    pub(crate) fn admit(&self, idempotency: Option<Idempotency>) -> Result<Admission, Refusal> {
        let now = Instant::now();
        let mut table = self.table();
        table.forget_expired(now);
        if let Some(known) = idempotency.as_ref().and_then(|wanted| table.known(wanted)) {
            return known.map(Admission::Known);
        }
        if table.draining {
            return Err(Refusal::Draining);
        }
        if table.unfinished >= self.bounds.unfinished {
            return Err(Refusal::QueueFull);
        }
        let id = random_id().ok_or(Refusal::NoRandomness)?;
        let job = Arc::new(Job {
            id: id.clone(),
            deadline: now + self.bounds.deadline,
            idempotency,
            state: watch::Sender::new(State::Queued),
        });
        if let Some(Idempotency { key, .. }) = &job.idempotency {
            table.by_key.insert(key.clone(), id.clone());
        }
        let entry = Entry {
            job: Arc::clone(&job),
            collected: false,
        };
        table.jobs.insert(id, entry);
        table.unfinished += 1;
        Ok(Admission::New(job))
    }

    /// Finds a job by its id.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Job>> {
        let mut table = self.table();
        table.forget_expired(Instant::now());
        table.jobs.get(id).map(|entry| Arc::clone(&entry.job))
    }

    /// Ends a job, unless it has ended already.
    pub(crate) fn finish(&self, job: &Job, end: State) {
        let mut table = self.table();
        let ended = job.state.send_if_modified(|state| {
            let open = !state.is_final();
            if open {
                *state = end;
            }
            open
        });
        if !ended {
            return;
        }
        table.unfinished = table.unfinished.saturating_sub(1);
        let expiry = Instant::now() + self.bounds.finished_ttl;
        table.finished.push_back((expiry, job.id.clone()));
        while table.finished.len() > self.bounds.finished {
            table.forget_oldest();
        }
    }

    /// Notes that a client is being told how the job ended.
    pub(crate) fn collected(&self, job: &Job) {
        if let Some(entry) = self.table().jobs.get_mut(&job.id) {
            entry.collected = true;
        }
    }

    /// Ends the job as cancelled if it runs, and forgets it in any case.
    pub(crate) fn remove(&self, id: &str) -> bool {
        let Some(job) = self.get(id) else {
            return false;
        };
        self.finish(&job, State::Failed(Code::Cancelled));
        self.table().forget(id);
        true
    }

    /// Refuses new jobs from now on.
    pub(crate) fn drain(&self) {
        self.table().draining = true;
    }

    /// Whether new jobs are refused.
    pub(crate) fn is_draining(&self) -> bool {
        self.table().draining
    }

    /// Jobs whose end no client has been told yet.
    pub(crate) fn uncollected(&self) -> usize {
        let mut table = self.table();
        table.forget_expired(Instant::now());
        table.jobs.values().filter(|entry| !entry.collected).count()
    }

    /// Ends every unfinished job as cancelled.
    pub(crate) fn cancel_all(&self) {
        let jobs: Vec<_> = self
            .table()
            .jobs
            .values()
            .map(|entry| Arc::clone(&entry.job))
            .collect();
        for job in jobs {
            self.finish(&job, State::Failed(Code::Cancelled));
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics between the steps of a change, so a poisoned table
        // is still consistent.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn known(&self, wanted: &Idempotency) -> Option<Result<Arc<Job>, Refusal>> {
        let job = &self.jobs.get(self.by_key.get(&wanted.key)?)?.job;
        Some(match job.idempotency.as_ref() == Some(wanted) {
            true => Ok(Arc::clone(job)),
            false => Err(Refusal::KeyReused),
        })
    }

    fn forget(&mut self, id: &str) {
        if let Some(entry) = self.jobs.remove(id)
            && let Some(Idempotency { key, .. }) = &entry.job.idempotency
        {
            self.by_key.remove(key);
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.finished.pop_front() {
            self.forget(&id);
        }
    }

    fn forget_expired(&mut self, now: Instant) {
        while self
            .finished
            .front()
            .is_some_and(|(expiry, _)| *expiry <= now)
        {
            self.forget_oldest();
        }
    }
}

/// 144 random bits: whoever knows the id may read and delete the job.
fn random_id() -> Option<String> {
    use base64ct::{Base64UrlUnpadded, Encoding};
    let mut bytes = [0; 18];
    getrandom::fill(&mut bytes).ok()?;
    Some(Base64UrlUnpadded::encode_string(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(unfinished: usize, finished: usize) -> Jobs {
        Jobs::new(Bounds {
            unfinished,
            finished,
            finished_ttl: Duration::from_secs(10),
            deadline: Duration::from_secs(5),
        })
    }

    fn admit(jobs: &Jobs) -> Arc<Job> {
        let Ok(Admission::New(job)) = jobs.admit(None) else {
            panic!("not admitted");
        };
        job
    }

    fn key(key: &str, body: u8) -> Option<Idempotency> {
        Some(Idempotency {
            key: key.to_owned(),
            body_sha256: [body; 32],
        })
    }

    fn done() -> State {
        State::Done("sealed".into())
    }

    #[tokio::test(start_paused = true)]
    async fn unfinished_jobs_are_bounded() {
        let jobs = jobs(2, 10);
        let first = admit(&jobs);
        admit(&jobs);
        assert!(matches!(jobs.admit(None), Err(Refusal::QueueFull)));
        jobs.finish(&first, done());
        jobs.finish(&first, State::Failed(Code::Internal)); // counts once
        admit(&jobs);
        assert!(matches!(jobs.admit(None), Err(Refusal::QueueFull)));
        assert!(matches!(first.state(), State::Done(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn finished_jobs_are_bounded_in_number_and_time() {
        let jobs = jobs(10, 2);
        let all: Vec<_> = (0..3).map(|_| admit(&jobs)).collect();
        for job in &all {
            jobs.finish(job, done());
        }
        assert!(jobs.get(&all[0].id).is_none());
        assert!(jobs.get(&all[1].id).is_some());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(jobs.get(&all[1].id).is_none());
        assert_eq!(jobs.uncollected(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn idempotency_key_finds_the_job_and_binds_the_body() {
        let jobs = jobs(1, 10);
        let Ok(Admission::New(job)) = jobs.admit(key("k", 1)) else {
            panic!("not admitted");
        };
        // Known requests are answered even when the queue is full or closed.
        jobs.drain();
        let Ok(Admission::Known(again)) = jobs.admit(key("k", 1)) else {
            panic!("not found");
        };
        assert_eq!(job.id, again.id);
        assert!(matches!(jobs.admit(key("k", 2)), Err(Refusal::KeyReused)));
        assert!(matches!(jobs.admit(key("l", 1)), Err(Refusal::Draining)));
        assert!(jobs.remove(&job.id));
        assert!(matches!(jobs.admit(key("k", 1)), Err(Refusal::Draining)));
    }

    #[tokio::test(start_paused = true)]
    async fn removing_a_job_wakes_those_who_wait_for_it() {
        let jobs = jobs(1, 10);
        let job = admit(&jobs);
        job.start();
        let waiter = tokio::spawn({
            let job = Arc::clone(&job);
            async move { job.ended().await }
        });
        tokio::task::yield_now().await;
        assert!(jobs.remove(&job.id));
        assert!(!jobs.remove(&job.id));
        assert!(matches!(waiter.await, Ok(State::Failed(Code::Cancelled))));
        admit(&jobs);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_the_job_or_with_the_time() {
        let jobs = jobs(1, 10);
        let job = admit(&jobs);
        let state = job.state_within(Duration::from_secs(1)).await;
        assert!(matches!(state, State::Queued));
        job.start();
        assert!(matches!(job.state(), State::Running));
        jobs.finish(&job, done());
        job.start(); // too late to matter
        let state = job.state_within(Duration::ZERO).await;
        assert!(matches!(state, State::Done(_)));
        assert_eq!(jobs.uncollected(), 1);
        jobs.collected(&job);
        assert_eq!(jobs.uncollected(), 0);
    }

    #[test]
    fn ids_are_long_and_differ() {
        let ids: std::collections::HashSet<_> = (0..100).map(|_| random_id().unwrap()).collect();
        assert_eq!(ids.len(), 100);
        assert!(ids.iter().all(|id| id.len() == 24));
    }
}
