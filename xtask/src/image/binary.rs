//! The static program.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell;

/// Named explicitly, so that the flags below do not reach build scripts.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds `zkpass-enclave` from a source folder; returns its path.
pub fn build(source: &Path, target: &Path) -> Result<PathBuf> {
    let mut command = Command::new("cargo");
    command
        .args([
            "build",
            "--locked",
            "--profile",
            "image",
            "--target",
            TARGET,
        ])
        .args(["--package", "zkpass-enclave", "--bin", "zkpass-enclave"])
        .current_dir(source)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(source)?)
        .env("CARGO_INCREMENTAL", "0")
        // No tool of the build looks at the clock; this is for those that may come.
        .env("SOURCE_DATE_EPOCH", "0")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("CARGO_MANIFEST_DIR");
    shell::run(command)?;
    let program = target.join(TARGET).join("image").join("zkpass-enclave");
    anyhow::ensure!(program.is_file(), "no program at `{}`", program.display());
    Ok(program)
}

/// Flags of the compiler, in the form of `CARGO_ENCODED_RUSTFLAGS`.
fn flags(source: &Path) -> Result<OsString> {
    let source = source.canonicalize()?;
    let mut flags = OsString::from("-Ctarget-feature=+crt-static");
    for (from, to) in [(source, "/zkpass"), (cargo_home()?, "/cargo")] {
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    Ok(flags)
}

/// Where cargo keeps the sources of dependencies.
fn cargo_home() -> Result<PathBuf> {
    std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))
        .context("no home folder")
}

/// Says what the bytes depend on beside the source.
pub fn print_environment() -> Result<()> {
    let first = |line: &str| -> Result<String> {
        let output = shell::capture(shell::command(line))?;
        Ok(output.lines().next().unwrap_or_default().to_owned())
    };
    println!("built with {}", first("rustc --version")?);
    println!("       and {}", first("cc --version")?);
    println!("       and {}", first("ld --version")?);
    if shell::succeeds(shell::command("dpkg-query --version")) {
        let version = first("dpkg-query --show libc6-dev")?;
        println!("       and {}", version.replace('\t', " "));
    }
    Ok(())
}
