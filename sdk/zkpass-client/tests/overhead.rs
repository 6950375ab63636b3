//! What the service costs on top of proving: asking for the enclaves, sealing,
//! HTTP, frames, opening, checking. The aim is less than 20 ms.
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
use zkpass_client::holder::ProveError;

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

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
