//! Prints the table of the benchmark: for each block count the proof system's
//! SHA-256 alone, and the bank-loan proof. Each row runs in its own process, so
//! that the peak memory is its own. Medians of five runs.
//!
//! ```text
//! RAYON_NUM_THREADS=2 cargo run --release -p zkpass-bench
//! ```

use std::process::Command;
use std::time::{Duration, Instant};
use zkpass_bench::{BLOCKS, baseline, baseline::Baseline, loan::Loan};
use zkpass_circuit::Shape;

const RUNS: usize = 5;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [] => table(),
        [kind, blocks] => row(kind, blocks.parse().expect("a block count")),
        _ => eprintln!("usage: zkpass-bench"),
    }
}

fn table() {
    println!(
        "what      blocks  keys     prep     prove    total    verify   proof    memory   step/core"
    );
    let this = std::env::current_exe().expect("own path");
    for blocks in BLOCKS {
        for kind in ["sha256", "loan"] {
            let status = Command::new(&this)
                .args([kind, &blocks.to_string()])
                .status()
                .expect("a row");
            assert!(status.success());
        }
    }
}

fn row(kind: &str, blocks: u16) {
    let mut times: [Vec<Duration>; 4] = Default::default();
    let mut keys = Duration::ZERO;
    let mut bytes = 0;
    let mut constraints = String::new();
    let mut note = |i: usize, from: Instant| times[i].push(from.elapsed());
    if kind == "sha256" {
        let t = Instant::now();
        let b = Baseline::new(blocks);
        keys = t.elapsed();
        for _ in 0..RUNS {
            let start = Instant::now();
            let prepared = b.prepare();
            note(0, start);
            let t = Instant::now();
            let proof = b.prove(prepared);
            note(1, t);
            note(2, start);
            let t = Instant::now();
            b.verify(&proof);
            note(3, t);
            bytes = baseline::size(&proof);
        }
    } else {
        let loan = Loan::new(blocks);
        for run in 0..=RUNS {
            let (answer, phases) = loan.prove();
            if run == 0 {
                let t = Instant::now();
                loan.derive(&Shape::of_statement(&answer.statement));
                keys = t.elapsed();
                continue;
            }
            times[0].push(phases.prepare);
            times[1].push(phases.prove);
            times[2].push(phases.check + phases.prepare + phases.prove);
            let t = Instant::now();
            loan.verify(&answer);
            times[3].push(t.elapsed());
            bytes = answer.proof.len();
            let (step, core) = loan.constraints(&answer);
            constraints = format!("{step}/{core}");
        }
    }
    let median = |v: &mut Vec<Duration>| {
        v.sort();
        v[v.len() / 2].as_secs_f64()
    };
    let [prep, prove, total, verify] = &mut times;
    println!(
        "{kind:<8} {blocks:>6} {:>7.3}s {:>7.3}s {:>7.3}s {:>7.3}s {:>7.3}s {:>6.1}KB {:>5}MB {constraints}",
        keys.as_secs_f64(),
        median(prep),
        median(prove),
        median(total),
        median(verify),
        bytes as f64 / 1000.0,
        peak_memory() / 1000,
    );
}

/// Peak resident set in kB (Linux), else 0.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .and_then(|l| l.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
