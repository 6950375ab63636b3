//! Where proofs are made: a few at a time, each on threads of its own.

use std::{
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use tokio::sync::Semaphore;

use crate::hardening::scrub;

/// As much as the main thread of a process has; provers recurse deeper than usual threads.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// Places for jobs, with a pool of threads each.
///
/// Pools are not shared: a thread that waits for a part of its own job would
/// begin another job meanwhile, and wait forever if that one needs what the
/// first is just making. The global pool is not used because it takes its
/// size from the environment.
#[derive(Debug)]
pub(crate) struct Provers {
    places: usize,
    free: Arc<Semaphore>,
    pools: Arc<Mutex<Vec<ThreadPool>>>,
}

/// Tells a running job that nobody waits for it any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

/// The job panicked; others go on.
#[derive(Debug)]
pub(crate) struct Panicked;

impl Provers {
    pub(crate) fn new(
        places: NonZero<usize>,
        threads: NonZero<usize>,
    ) -> Result<Self, ThreadPoolBuildError> {
        let pool = |place| {
            ThreadPoolBuilder::new()
                .num_threads(threads.get())
                .stack_size(STACK_BYTES)
                .thread_name(move |thread| format!("prover-{place}-{thread}"))
                .build()
        };
        let pools = (0..places.get()).map(pool).collect::<Result<_, _>>()?;
        Ok(Self {
            places: places.get(),
            free: Arc::new(Semaphore::new(places.get())),
            pools: Arc::new(Mutex::new(pools)),
        })
    }

    /// How many jobs can run at a time.
    pub(crate) fn places(&self) -> usize {
        self.places
    }

    /// Runs a job when its turn comes, first come first served.
    ///
    /// Dropping the future takes the job out of the line, or tells it to stop
    /// when it runs; its place is free when it did.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Stop) -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let place = Arc::clone(&self.free).acquire_owned().await;
        let pools = Arc::clone(&self.pools);
        let stop = Stop::default();
        let _guard = StopOnDrop(stop.clone());
        let running = tokio::task::spawn_blocking(move || {
            // There is a pool for each place, and it is put back before the place is.
            let pool = lock(&pools).pop().ok_or(Panicked)?;
            // Not the end of the process: one odd request must not take the others with it.
            let result = catch_unwind(AssertUnwindSafe(|| pool.install(|| job(&stop))));
            scrub::provers(&pool);
            scrub::this_thread();
            lock(&pools).push(pool);
            drop(place);
            // The payload may hold data of the job: it is dropped unseen.
            result.map_err(|_| Panicked)
        });
        running.await.unwrap_or(Err(Panicked))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stop {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use super::*;

    fn one_place() -> Provers {
        Provers::new(NonZero::<usize>::MIN, NonZero::new(2).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_panic_takes_only_its_own_job() {
        let provers = one_place();
        let panicked = provers
            .run(|_| -> u8 { panic!("wanted by the test") })
            .await;
        assert!(panicked.is_err());
        assert_eq!(provers.run(|_| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_panic_inside_the_pool_takes_only_its_own_job() {
        let provers = one_place();
        let panicked = provers
            .run(|_| rayon::join(|| (), || panic!("wanted by the test")))
            .await;
        assert!(panicked.is_err());
        assert_eq!(provers.run(|_| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_dropped_job_is_told_to_stop_and_frees_its_place() {
        let provers = one_place();
        let (started, has_started) = mpsc::channel();
        let job = provers.run(move |stop| {
            started.send(()).unwrap();
            while !stop.is_set() {
                thread::sleep(Duration::from_millis(1));
            }
        });
        assert!(
            tokio::time::timeout(Duration::from_millis(200), job)
                .await
                .is_err()
        );
        has_started.recv().unwrap();
        assert_eq!(provers.run(|_| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_job_dropped_in_the_line_never_runs() {
        let provers = one_place();
        let (let_go, may_go) = mpsc::channel::<()>();
        let first = provers.run(move |_| may_go.recv().unwrap());
        let second = async {
            let waiting = provers.run(|_| unreachable!("it was dropped before its turn"));
            let waited = tokio::time::timeout(Duration::from_millis(50), waiting).await;
            assert!(waited.is_err());
            let_go.send(()).unwrap();
        };
        let (first, ()) = tokio::join!(first, second);
        assert!(first.is_ok());
    }
}
