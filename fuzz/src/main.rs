//! Long fuzz runs on the stable toolchain, and seeds for other fuzzers.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use zkpass_fuzz::{Budget, TARGETS, Tally, Target, run, target};

/// Fuzzing for zkPass.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run one target, or all
    Run {
        /// The target; all of them unless given
        #[arg(value_parser = parse_target)]
        target: Option<&'static Target>,
        /// How long to run each target
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Repeat the inputs of an earlier run
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Write the seeds of each target into a folder of its name
    Seeds {
        /// The corpus folder
        folder: PathBuf,
    },
}

fn parse_target(name: &str) -> Result<&'static Target, String> {
    target(name).ok_or_else(|| {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        format!("the targets are {}", names.join(", "))
    })
}

fn main() -> std::io::Result<()> {
    match Arguments::parse().task {
        Task::Run {
            target: one,
            seconds,
            seed,
        } => {
            let seed = seed.unwrap_or_else(|| fastrand::u64(..));
            let budget = Budget::Time(Duration::from_secs(seconds));
            for target in TARGETS
                .iter()
                .filter(|target| one.is_none_or(|one| one.name == target.name))
            {
                let Tally { runs, accepted } = run(target, budget, seed);
                println!(
                    "{}: {runs} inputs, {accepted} accepted, seed {seed}",
                    target.name
                );
            }
        }
        Task::Seeds { folder } => {
            for target in TARGETS {
                let folder = folder.join(target.name);
                std::fs::create_dir_all(&folder)?;
                for (index, seed) in (target.seeds)().iter().enumerate() {
                    std::fs::write(folder.join(format!("seed-{index}")), seed)?;
                }
            }
        }
    }
    Ok(())
}
