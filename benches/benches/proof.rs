//! Criterion benchmarks: the bank-loan proof beside the proof system's SHA-256
//! alone, in one run. `RAYON_NUM_THREADS` sets the threads.

#![allow(missing_docs, reason = "the harness's macro makes a public function")]

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use zkpass_bench::{BLOCKS, baseline::Baseline, loan::Loan};
use zkpass_circuit::Shape;

fn proofs(c: &mut Criterion) {
    let mut group = c.benchmark_group("proof");
    group.sample_size(10);
    for blocks in BLOCKS {
        let b = Baseline::new(blocks);
        let id = |what| BenchmarkId::new(what, blocks);
        group.bench_function(id("sha256/prepare"), |x| x.iter(|| b.prepare()));
        group.bench_function(id("sha256/prove"), |x| {
            x.iter_batched(|| b.prepare(), |p| b.prove(p), BatchSize::PerIteration);
        });
        let proof = b.prove(b.prepare());
        group.bench_function(id("sha256/verify"), |x| x.iter(|| b.verify(&proof)));
        drop(b);
        let loan = Loan::new(blocks);
        let (answer, _) = loan.prove();
        group.bench_function(id("loan/prepare"), |x| {
            x.iter_custom(|n| (0..n).map(|_| loan.prove().1.prepare).sum());
        });
        group.bench_function(id("loan/prove"), |x| {
            x.iter_custom(|n| (0..n).map(|_| loan.prove().1.prove).sum());
        });
        group.bench_function(id("loan/verify"), |x| x.iter(|| loan.verify(&answer)));
        let shape = Shape::of_statement(&answer.statement);
        group.bench_function(id("loan/keys"), |x| x.iter(|| loan.derive(&shape)));
    }
    group.finish();
}

criterion_group!(benches, proofs);
criterion_main!(benches);
