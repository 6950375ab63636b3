//! The wasm32 build of the crates that must work in a browser.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::shell;

/// What is built. A proof is checked in the browser by a verifier of its own,
/// because the proving library reads a clock that wasm32 does not have.
const PACKAGES: &[&str] = &[
    "zkpass-core",
    "zkpass-query",
    "zkpass-channel",
    "zkpass-attest",
];

const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's second toolchain, which comes with the source of `std`.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// Builds with the installed toolchain when it has the target; otherwise with
/// Debian's packages, which build `std` from source.
pub fn run() -> Result<()> {
    let mut command = if has_target()? {
        shell::command("cargo build --locked")
    } else if debian_has_source() {
        debian_build()?
    } else {
        bail!(
            "no {TARGET} target: run `rustup target add {TARGET}`, or on Debian \
             `apt-get install cargo-web rustc-web rust-web-src lld-19`"
        );
    };
    command.args(["--lib", "--target", TARGET]);
    for package in PACKAGES {
        command.args(["--package", package]);
    }
    shell::run(command)?;
    println!("wasm: {} build for {TARGET}", PACKAGES.join(", "));
    Ok(())
}

fn has_target() -> Result<bool> {
    let folder = shell::capture(shell::command(&format!(
        "rustc --print target-libdir --target {TARGET}"
    )))?;
    Ok(Path::new(folder.trim()).is_dir())
}

fn debian_has_source() -> bool {
    let mut sysroot = Command::new(DEBIAN_RUSTC);
    sysroot.args(["--print", "sysroot"]);
    shell::capture(sysroot).is_ok_and(|sysroot| {
        let source = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/std");
        source.is_dir() && Path::new(DEBIAN_CARGO).is_file()
    })
}

fn debian_build() -> Result<Command> {
    println!("wasm: no {TARGET} target here, building std with Debian's toolchain");
    let wrapper = shell::root().join("xtask/src/wasm/rustc-wrapper");
    let mut command = shell::command(DEBIAN_CARGO);
    command
        .args(["build", "--locked", "-Zbuild-std=std,panic_abort"])
        // Older than `rust-version`, which is about what we promise to users.
        .arg("--ignore-rust-version")
        .env("RUSTC", DEBIAN_RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC_WRAPPER", wrapper)
        .env("RUSTFLAGS", "-Clinker=wasm-ld-19")
        .env_remove("CARGO")
        .env_remove("RUSTUP_TOOLCHAIN");
    Ok(command)
}
