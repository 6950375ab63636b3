//! What the service costs on top of proving: sealing, HTTP, frames, opening,
//! checking, and the wait for the boundary at which the answer leaves. The aim
//! is less than 20 ms beyond that wait. And what attestation costs: under 150 ms
//! for the first request to a service, under 5 ms for later ones.
//!
//! Run it on a quiet machine:
//!
//! ```text
//! cargo build --release -p zkpass-service -p zkpass-enclave
//! cargo test --release -p zkpass-client --test overhead -- --ignored --nocapture
//! ```

mod stack;

use std::time::{Duration, Instant};

use stack::{Scene, Stack};
use zkpass_client::holder::{Holder, Progress, ProveError};

const PROOFS: usize = 7;
const REFUSALS: usize = 50;
const AIM: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, to be run alone"]
async fn overhead_on_top_of_proving() {
    let stack = Stack::start("");
    let holder = stack.holder().build().unwrap();
    let scene = Scene::new();
    // The first proof derives the circuit's keys.
    holder.prove(&scene.request()).await.unwrap();

    let mut overheads = Vec::new();
    for _ in 0..PROOFS {
        let request = scene.request();
        let from = stack.log().len();
        let start = Instant::now();
        holder.prove(&request).await.unwrap();
        let total = start.elapsed();
        let line = stack.wait_for_log("request answered in", from);
        let proving = line.split_whitespace().rev().nth(1).unwrap();
        // The enclave cuts off parts of a millisecond: the overhead is at most this.
        let proving = Duration::from_millis(proving.parse().unwrap());
        overheads.push(total - proving);
        println!("proof: {total:?}, of which enclave {proving:?}");
    }
    let overhead = median(&mut overheads);

    // From the beginning of a request until an enclave is accepted.
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for _ in 0..PROOFS {
        let holder = stack.holder().build().unwrap();
        first.push(attested(&holder).await);
        later.push(attested(&holder).await);
    }
    let (first, later) = (median(&mut first), median(&mut later));
    println!("attestation: median {first:?} for the first request, {later:?} for later ones");
    assert!(first < Duration::from_millis(150) && later < Duration::from_millis(5));

    // The whole way without proving: the data lacks a field.
    let scene = Scene::with_data("{}");
    let mut round_trips = Vec::new();
    for _ in 0..REFUSALS {
        let request = scene.request();
        let start = Instant::now();
        let refused = holder.prove(&request).await;
        round_trips.push(start.elapsed());
        assert!(matches!(refused, Err(ProveError::Refused(_))));
    }
    let round_trip = median(&mut round_trips);
    println!("overhead on top of proving: median {overhead:?} of {PROOFS}");
    println!("round trip that ends before proving: median {round_trip:?} of {REFUSALS}");
    assert!(overhead < AIM, "{overhead:?}");
}

async fn attested(holder: &Holder) -> Duration {
    let scene = Scene::with_data("{}");
    let request = scene.request();
    let start = Instant::now();
    let mut taken = None;
    let progress = |step| {
        if matches!(step, Progress::Attested { .. }) {
            taken = Some(start.elapsed());
        }
    };
    let refused = holder.prove_with_progress(&request, progress).await;
    assert!(matches!(refused, Err(ProveError::Refused(_))));
    taken.expect("an enclave was accepted")
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
