//! When an answer leaves: at fixed times counted from the arrival of its request.
//!
//! How long a proof takes may depend on the data. The service is not trusted,
//! so it is the enclave that keeps the time: an answer that is ready waits for
//! the next of a few boundaries, and whoever watches learns which one it was.
//!
//! Below a second the boundaries are 50 ms apart, which hides what a refusal
//! depends on and is hardly felt. From one second on each doubling is cut into
//! sixteen steps, so that a step is 3 to 6 % of the time passed: a wait costs
//! half of that on average. In the longest time there is, an hour, there are
//! 209 boundaries; what a client sees of one kind of proof are a few of them.
//!
//! A deadline is moved back to a boundary, because who may choose deadlines
//! freely could measure with them. A cancellation is answered at once and in
//! one way, whether the answer was ready or not.

use std::{future::Future, time::Duration};

use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The distance of boundaries in the first second.
const FIRST_STEP: u64 = 50_000_000;

/// How many steps a doubling of the time has after that.
const STEPS_PER_DOUBLING: u64 = 16;

/// Why work was not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unpublished {
    Cancelled,
    DeadlineExceeded,
}

/// Waits for work and then for the next boundary after `accepted`.
///
/// Work is dropped when told through `cancel`, or when its boundary would lie
/// beyond `patience`.
pub(crate) async fn publish<T>(
    accepted: Instant,
    patience: Duration,
    cancel: oneshot::Receiver<()>,
    work: impl Future<Output = T>,
) -> Result<T, Unpublished> {
    let published = async {
        let done = work.await;
        sleep_until(accepted + boundary_after(accepted.elapsed())).await;
        done
    };
    tokio::select! {
        biased;
        _ = cancel => Err(Unpublished::Cancelled),
        done = published => Ok(done),
        () = sleep_until(accepted + boundary_before(patience)) => Err(Unpublished::DeadlineExceeded),
    }
}

/// The first boundary at or after a time, none of which is zero.
fn boundary_after(elapsed: Duration) -> Duration {
    let nanos = nanos(elapsed);
    let step = step(nanos);
    Duration::from_nanos(nanos.div_ceil(step).max(1).saturating_mul(step))
}

/// The last boundary at or before a time, or zero.
fn boundary_before(elapsed: Duration) -> Duration {
    let nanos = nanos(elapsed);
    Duration::from_nanos(nanos - nanos % step(nanos))
}

/// The distance of boundaries around a time. It divides the ends of each
/// stretch in which it holds, so that the stretches meet at a boundary.
fn step(nanos: u64) -> u64 {
    match (nanos / NANOS_PER_SECOND).checked_ilog2() {
        None => FIRST_STEP,
        Some(doublings) => (NANOS_PER_SECOND << doublings) / STEPS_PER_DOUBLING,
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokio::time::{advance, sleep};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn boundaries_are_where_they_are_said_to_be() {
        for (elapsed, before, after) in [
            (0, 0, 50),
            (1, 0, 50),
            (50, 50, 50),
            (51, 50, 100),
            (999, 950, 1000),
            (1000, 1000, 1000),
            (2000, 2000, 2000),
            (2001, 2000, 2125),
            (3999, 3875, 4000),
            (60_000, 60_000, 60_000),
            (120_001, 120_000, 124_000),
        ] {
            let elapsed = millis(elapsed);
            assert_eq!(boundary_before(elapsed), millis(before), "{elapsed:?}");
            assert_eq!(boundary_after(elapsed), millis(after), "{elapsed:?}");
        }
        let half = Duration::from_micros(1_062_500);
        assert_eq!(boundary_after(millis(1001)), half);
        assert_eq!(boundary_before(half), half);
        // Nothing overflows, whatever a service asks for.
        assert!(boundary_before(Duration::MAX) <= Duration::MAX);
        assert!(boundary_after(Duration::MAX) <= Duration::MAX);
    }

    #[test]
    fn a_wait_is_short_and_boundaries_are_few() {
        let mut seen = BTreeSet::new();
        let mut elapsed = Duration::ZERO;
        while elapsed <= LONG {
            let (before, after) = (boundary_before(elapsed), boundary_after(elapsed));
            assert!(before <= elapsed && elapsed <= after, "{elapsed:?}");
            assert_eq!(boundary_after(after), after);
            assert_eq!(boundary_before(after), after);
            let wait = after - elapsed;
            assert!(wait <= millis(50).max(elapsed / 16), "{elapsed:?}");
            seen.insert(after);
            elapsed += millis(7);
        }
        assert_eq!(seen.len(), 209);
    }

    /// What comes of work that takes so long, and when.
    async fn outcome(
        takes: Duration,
        patience: Duration,
        cancelled_at: Option<Duration>,
    ) -> (Result<u8, Unpublished>, Duration) {
        let accepted = Instant::now();
        let (cancel, cancelled) = oneshot::channel();
        let canceller = async move {
            sleep(cancelled_at.unwrap_or(2 * LONG)).await;
            cancel.send(())
        };
        let work = async {
            sleep(takes).await;
            7
        };
        let publishing = publish(accepted, patience, cancelled, work);
        tokio::select! {
            outcome = publishing => (outcome, accepted.elapsed()),
            _ = async { let _ = canceller.await; std::future::pending::<()>().await } => unreachable!("it ends"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answers_leave_at_boundaries() {
        for (takes, leaves) in [(0, 50), (3, 50), (50, 50), (120, 150), (2300, 2375)] {
            let (outcome, at) = outcome(millis(takes), LONG, None).await;
            assert_eq!((outcome, at), (Ok(7), millis(leaves)), "{takes}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_before_the_work_begins_counts() {
        let accepted = Instant::now();
        advance(millis(60)).await;
        let (_cancel, cancelled) = oneshot::channel();
        let outcome = publish(accepted, LONG, cancelled, async { 7 }).await;
        assert_eq!((outcome, accepted.elapsed()), (Ok(7), millis(100)));
    }

    #[tokio::test(start_paused = true)]
    async fn deadlines_are_boundaries_too() {
        let late = Err(Unpublished::DeadlineExceeded);
        for (takes, patience, expected) in [
            (200, 100, (late, millis(100))),
            // Ready at 110, but neither its boundary nor the deadline may tell.
            (110, 149, (late, millis(100))),
            (90, 149, (Ok(7), millis(100))),
            (100, 100, (Ok(7), millis(100))),
            (0, 49, (late, millis(0))),
            (0, 0, (late, millis(0))),
        ] {
            let got = outcome(millis(takes), millis(patience), None).await;
            assert_eq!(got, expected, "{takes} of {patience}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancellation_does_not_tell_whether_the_answer_was_ready() {
        let cancelled = Err(Unpublished::Cancelled);
        for takes in [10, 110, 500] {
            let got = outcome(millis(takes), LONG, Some(millis(130))).await;
            let expected = match takes {
                10 => (Ok(7), millis(50)),
                _ => (cancelled, millis(130)),
            };
            assert_eq!(got, expected, "{takes}");
        }
    }
}
