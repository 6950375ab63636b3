//! `cargo xtask ci`: every check, with its time, and one verdict.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{image, microvm, shell, tour, wasm, words, zones};

/// Which checks to run.
#[derive(clap::Args)]
pub struct Options {
    /// Run only these checks; `microvm` and `image` run in no other way
    #[arg(long, value_delimiter = ',', value_name = "STEP")]
    only: Vec<String>,
    /// Leave these checks out; the summary says so
    #[arg(long, value_delimiter = ',', value_name = "STEP")]
    skip: Vec<String>,
}

struct Step {
    name: &'static str,
    run: fn(&mut Vec<String>) -> Result<()>,
}

/// Cheap checks first; the tests last, so that their summary ends the output.
const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        run: |_| shell::run(shell::command("cargo fmt --all --check")),
    },
    Step {
        name: "words",
        run: |_| words::run(),
    },
    Step {
        name: "zones",
        run: |_| zones::run(),
    },
    Step {
        name: "deny",
        run: |_| deny(),
    },
    Step {
        name: "clippy",
        run: |_| clippy(),
    },
    Step {
        name: "doc",
        run: |_| doc(),
    },
    Step {
        name: "wasm",
        run: |_| wasm::run(),
    },
    Step {
        name: "demo",
        run: |_| demo(),
    },
    Step {
        name: "tour",
        run: |_| tour::run(),
    },
    Step {
        name: "fuzz",
        run: |_| fuzz(),
    },
    Step {
        name: "test",
        run: test,
    },
];

/// Checks that run only when they are asked for: they take long, or need programs
/// that `.ci/run` does not bring.
const OPTIONAL_STEPS: &[Step] = &[
    Step {
        name: "microvm",
        run: |_| microvm::run(&microvm::Options::default()),
    },
    Step {
        name: "image",
        run: |_| image::check_reproducible(&image::KernelSource::default()),
    },
];

/// The command the README gives for the demonstration.
const DEMO_COMMAND: &str = "cargo run --release -p zkpass-cli --bin zkpass -- demo";

/// The command the README gives for the tests.
const TEST_COMMAND: &str = "cargo test --workspace";

/// How long the smoke run spends on each fuzz target.
const FUZZ_SECONDS: &str = "10";

/// Runs the checks and fails when one of them did.
pub fn run(options: &Options) -> Result<()> {
    for name in options.only.iter().chain(&options.skip) {
        if !STEPS
            .iter()
            .chain(OPTIONAL_STEPS)
            .any(|step| step.name == name)
        {
            bail!("no step is called `{name}`");
        }
    }
    let mut rows = Vec::new();
    let mut failed = Vec::new();
    let mut results = Vec::new();
    let start = Instant::now();
    let optional = OPTIONAL_STEPS
        .iter()
        .filter(|step| options.only.iter().any(|name| name == step.name));
    for step in STEPS.iter().chain(optional) {
        let chosen = options.only.is_empty() || options.only.iter().any(|name| name == step.name);
        if !chosen || options.skip.iter().any(|name| name == step.name) {
            rows.push(format!("{:8} skipped", step.name));
            continue;
        }
        println!("\n=== {} ===", step.name);
        let begin = Instant::now();
        let verdict = match (step.run)(&mut results) {
            Ok(()) => "ok",
            Err(error) => {
                eprintln!("{}: {error:#}", step.name);
                failed.push(step.name);
                "FAILED"
            }
        };
        let row = format!("{:8} {verdict:7} {}", step.name, clock(begin.elapsed()));
        println!("=== {row} ===");
        rows.push(row);
    }

    println!("\n=== summary ===");
    rows.iter().for_each(|row| println!("{row}"));
    println!("{:16} {}", "total", clock(start.elapsed()));
    results.iter().for_each(|line| println!("{line}"));
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn clock(time: Duration) -> String {
    format!("{:>3}m{:02}s", time.as_secs() / 60, time.as_secs() % 60)
}

fn clippy() -> Result<()> {
    let line = "cargo clippy --locked --workspace --all-targets -- -D warnings";
    shell::run(shell::command(line))
}

fn doc() -> Result<()> {
    let mut command = shell::command("cargo doc --locked --workspace --no-deps");
    command.env("RUSTDOCFLAGS", "-Dwarnings");
    shell::run(command)
}

/// The advisory database comes from the network; without it the other three
/// checks still run, and the output says what did not.
fn deny() -> Result<()> {
    if !shell::succeeds(shell::command("cargo deny --version")) {
        bail!("cargo-deny is missing: `cargo install --locked cargo-deny`");
    }
    let fetched = shell::succeeds(shell::command("timeout 120 cargo deny fetch db"));
    let checks = if fetched {
        "advisories bans licenses sources"
    } else {
        println!("deny: advisories NOT checked, the database cannot be fetched here");
        "bans licenses sources"
    };
    shell::run(shell::command(&format!(
        "cargo deny --locked check {checks}"
    )))
}

fn demo() -> Result<()> {
    readme_says(DEMO_COMMAND)?;
    let answer = shell::capture(shell::command(&format!("{DEMO_COMMAND} --json")))?;
    println!("{answer}");
    let answer: serde_json::Value =
        serde_json::from_str(&answer).context("the demo printed no JSON object")?;
    if answer["verified"] != true {
        bail!("the demo does not say \"verified\": true");
    }
    Ok(())
}

fn fuzz() -> Result<()> {
    let mut command = shell::command("cargo test --locked --workspace --test fuzz_smoke");
    command.env("ZKPASS_FUZZ_SECONDS", FUZZ_SECONDS);
    shell::run(command)
}

/// Runs the tests as the README says and keeps the runner's result lines.
fn test(results: &mut Vec<String>) -> Result<()> {
    readme_says(TEST_COMMAND)?;
    let mut child = shell::command(TEST_COMMAND)
        .arg("--no-fail-fast")
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().context("no output")?;
    let mut total = Total::default();
    for line in BufReader::new(output).lines() {
        let line = line?;
        println!("{line}");
        if line.starts_with("test result:") {
            total.add(&line);
        } else if line.starts_with("test ") && line.ends_with("FAILED") {
            results.push(line);
        }
    }
    let status = child.wait()?;
    results.push(total.line());
    if !status.success() {
        bail!("{TEST_COMMAND}: {status}");
    }
    if total.passed == 0 {
        bail!("{TEST_COMMAND} ran no test");
    }
    Ok(())
}

fn readme_says(line: &str) -> Result<()> {
    let readme = std::fs::read_to_string(shell::root().join("README.md"))?;
    if !readme.lines().any(|written| written.trim() == line) {
        bail!("the README no longer has the line `{line}`");
    }
    Ok(())
}

/// Sum of the result lines of all test programs.
#[derive(Default)]
struct Total {
    programs: u32,
    passed: u32,
    failed: u32,
    ignored: u32,
}

impl Total {
    /// Adds `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
    fn add(&mut self, line: &str) {
        let words: Vec<_> = line.split([' ', ';']).collect();
        let count = |what| {
            let at = words.iter().position(|word| *word == what);
            at.and_then(|at| words.get(at.checked_sub(1)?)?.parse().ok())
                .unwrap_or(0)
        };
        self.programs += 1;
        self.passed += count("passed");
        self.failed += count("failed");
        self.ignored += count("ignored");
    }

    fn line(&self) -> String {
        let verdict = if self.failed == 0 { "ok" } else { "FAILED" };
        format!(
            "test result: {verdict}. {} passed; {} failed; {} ignored; in {} test programs",
            self.passed, self.failed, self.ignored, self.programs
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_add_up() {
        let mut total = Total::default();
        total.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        total.add("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured");
        let expected = "test result: FAILED. 5 passed; 1 failed; 1 ignored; in 2 test programs";
        assert_eq!(total.line(), expected);
    }

    #[test]
    fn the_readme_has_both_commands() {
        assert!(readme_says(DEMO_COMMAND).is_ok());
        assert!(readme_says(TEST_COMMAND).is_ok());
        assert!(readme_says("cargo something-else").is_err());
    }
}
