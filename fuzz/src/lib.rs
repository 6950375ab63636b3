//! Every reader of bytes that a stranger can send, as a fuzz target.
//!
//! A target is plain code: `cargo test` runs each for a moment on the stable
//! toolchain, `zkpass-fuzz run` as long as wanted, and `libfuzzer/` drives
//! the same functions with coverage.

pub mod mutate;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

pub use targets::TARGETS;

/// A reader and the properties it must have.
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Inputs that the reader accepts: where mutation starts.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Reads the input and says whether it was accepted. Panics when the
    /// reader breaks a property.
    pub run: fn(&[u8]) -> bool,
    /// Runs in the short test; fewer where one run is expensive.
    pub runs: u64,
}

/// How long to go on.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    /// A number of inputs.
    Runs(u64),
    /// A time.
    Time(Duration),
}

/// No input may keep a reader busy longer, on any machine.
const TOO_LONG: Duration = Duration::from_secs(60);

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Mutations that were read.
    pub runs: u64,
    /// Those among them that were accepted.
    pub accepted: u64,
}

/// Feeds a target its seeds and then mutations of them.
///
/// The same `seed` gives the same inputs. A panic names the input that causes
/// it, in hexadecimal.
///
/// # Panics
///
/// When a seed is refused, or an input breaks a property.
pub fn run(target: &Target, budget: Budget, seed: u64) -> Tally {
    let seeds = (target.seeds)();
    for (index, input) in seeds.iter().enumerate() {
        let accepted = run_one(target, input);
        assert!(accepted, "{}: seed {index} is refused", target.name);
    }
    let mut rng = fastrand::Rng::with_seed(seed);
    let start = Instant::now();
    let mut tally = Tally::default();
    while match budget {
        Budget::Runs(most) => tally.runs < most,
        Budget::Time(most) => start.elapsed() < most,
    } {
        let accepted = run_one(target, &mutate::mutation(&seeds, &mut rng));
        tally.runs += 1;
        tally.accepted += u64::from(accepted);
    }
    tally
}

fn run_one(target: &Target, input: &[u8]) -> bool {
    let start = Instant::now();
    let accepted = catch_unwind(AssertUnwindSafe(|| (target.run)(input))).unwrap_or_else(|_| {
        let hex = zkpass_core::encoding::hex(input);
        panic!("{}: a property is broken by the input {hex}", target.name)
    });
    let name = target.name;
    assert!(
        start.elapsed() < TOO_LONG,
        "{name}: an input takes too long"
    );
    accepted
}
