//! Overwrites what finished work left on the stacks of threads that live on.
//!
//! The heap needs nothing of the kind: [`Allocator`](crate::Allocator) wipes
//! each block when it is freed.

use std::hint::black_box;

use rayon::ThreadPool;

/// More than sealing, JSON and signatures need, and well below what the smallest
/// of our threads have (2 MiB).
const SHALLOW_BYTES: usize = 1024 * 1024;

/// Deeper than a prover goes, and below the 8 MiB that its threads have.
const DEEP_BYTES: usize = 6 * 1024 * 1024;

/// Scrubs the stack below the caller's frame, on a thread that does no proofs itself.
pub(crate) fn this_thread() {
    overwrite::<SHALLOW_BYTES>();
}

/// Scrubs every thread of a pool that works on nothing.
pub(crate) fn provers(pool: &ThreadPool) {
    pool.broadcast(|_| overwrite::<DEEP_BYTES>());
}

/// Scrubs the caller's stack when it is dropped, however the caller ends.
#[derive(Debug)]
pub(crate) struct ScrubOnDrop;

impl Drop for ScrubOnDrop {
    fn drop(&mut self) {
        this_thread();
    }
}

/// Not inlined: its frame must lie where the frames of earlier calls lay.
#[inline(never)]
fn overwrite<const BYTES: usize>() {
    let mut zeros = [0_u8; BYTES];
    // The compiler must believe that somebody reads them.
    black_box(&mut zeros);
}
