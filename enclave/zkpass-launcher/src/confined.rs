//! Confinement: how the enclave becomes a process that can reach nothing but its sockets.
//!
//! The launcher does not start the enclave itself. It starts a *stage* program,
//! which is any program that links this crate and calls [`is_asked_for`] and
//! [`run`] before anything else in `main`, while it has one thread: namespaces
//! and filters belong to threads. The stage runs twice.
//!
//! 1. The outer stage enters new user, mount, pid, network, IPC, UTS and cgroup
//!    namespaces, builds a root on tmpfs with a copy of the enclave program that
//!    it measures again, read-only library directories and the directory of the
//!    sockets, makes it the only root there is, drops the capability bounding
//!    set, starts the second stage and waits for its end.
//! 2. The inner stage is process 1 of the new pid namespace. It sets limits, Landlock
//!    and seccomp for itself and turns into the enclave.
//!
//! Nothing here is best effort but what newer kernels add to Landlock: a step
//! that fails is reported to the launcher, and no enclave starts.

mod error;
mod filter;
mod inner;
mod outer;

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

pub(crate) use error::{PROGRAM_CHANGED, REPORT_LIMIT};

use error::StageError;

/// The first argument that makes a program a stage.
const WORD: &str = "run-confined";

/// The second argument: which of the two.
const OUTER: &str = "outer";
const INNER: &str = "inner";

/// Paths inside the new root.
const PROGRAM: &str = "/enclave";
const STAGE: &str = "/stage";
const LOADER_CACHE: &str = "/etc/ld.so.cache";
pub(crate) const SOCKETS: &str = "/run/zkpass";

/// Where dynamic libraries are; those that exist are shown to the enclave.
const LIBRARIES: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];

/// What PCR2 is computed over. It names what a confined program can rely on;
/// a change of that is a new version.
pub(crate) const PROFILE: &str = "zkpass-launcher confinement v1: \
    user, mount, pid, network, ipc, uts and cgroup namespaces; read-only root; \
    no capabilities; no new privileges; no core dumps; landlock; seccomp";

/// What PCR2 is computed over when there is no confinement.
pub(crate) const NO_PROFILE: &str = "zkpass-launcher confinement v1: none";

/// The exit status of a stage that failed; the reason is on its standard output.
const FAILED: u8 = 125;

static EMBEDDED: AtomicBool = AtomicBool::new(false);

/// Whether the arguments ask this program to be a stage.
///
/// Calling it also tells the launcher that this program can be one.
pub fn is_asked_for() -> bool {
    EMBEDDED.store(true, Ordering::Relaxed);
    std::env::args_os().nth(1).as_deref() == Some(OsStr::new(WORD))
}

/// Whether the running program asked [`is_asked_for`].
pub(crate) fn is_embedded() -> bool {
    EMBEDDED.load(Ordering::Relaxed)
}

/// Runs the stage that the arguments name: confines this process and what it starts.
///
/// The second stage does not come back: it turns into the enclave.
pub fn run() -> ExitCode {
    let mut arguments = std::env::args_os().skip(2);
    let stage = arguments.next();
    let result = match stage.as_deref().and_then(OsStr::to_str) {
        Some(OUTER) => match Plan::read(&mut arguments) {
            Some(plan) => outer::run(&plan),
            None => Err(StageError::Arguments),
        },
        Some(INNER) => inner::run(arguments),
        _ => Err(StageError::Arguments),
    };
    result.unwrap_or_else(|error| {
        // The launcher reads it; if it is gone nobody has to know.
        let _ = write!(io::stdout(), "{}\n{error}", error.code());
        ExitCode::from(FAILED)
    })
}

/// What the first stage is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The enclave program.
    pub(crate) program: PathBuf,
    /// SHA-384 of that file, as the launcher measured it.
    pub(crate) digest: [u8; 48],
    /// The directory that becomes [`SOCKETS`].
    pub(crate) sockets: PathBuf,
    /// How long the enclave may take to end after its standard input ended.
    pub(crate) patience: Duration,
    /// The enclave's arguments.
    pub(crate) arguments: Vec<OsString>,
}

impl Plan {
    /// The arguments of the first stage.
    pub(crate) fn write(&self) -> Vec<OsString> {
        let digest: String = self.digest.iter().map(|b| format!("{b:02x}")).collect();
        let mut all: Vec<OsString> = vec![
            WORD.into(),
            OUTER.into(),
            self.program.clone().into(),
            digest.into(),
            self.sockets.clone().into(),
            self.patience.as_millis().to_string().into(),
        ];
        all.extend(self.arguments.iter().cloned());
        all
    }

    /// Reads what follows [`OUTER`].
    fn read(arguments: &mut impl Iterator<Item = OsString>) -> Option<Self> {
        Some(Self {
            program: arguments.next()?.into(),
            digest: digest(arguments.next()?.to_str()?)?,
            sockets: arguments.next()?.into(),
            patience: Duration::from_millis(arguments.next()?.to_str()?.parse().ok()?),
            arguments: arguments.collect(),
        })
    }
}

fn digest(text: &str) -> Option<[u8; 48]> {
    let mut bytes = [0; 48];
    let is_hex = text.len() == 96 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_its_way_through_arguments() {
        let plan = Plan {
            program: "/p".into(),
            digest: std::array::from_fn(|index| index as u8 * 5),
            sockets: "/s".into(),
            patience: Duration::from_millis(1234),
            arguments: vec!["--one".into(), "".into(), "run-confined".into()],
        };
        let written = plan.write();
        assert_eq!(written[0], WORD);
        assert_eq!(written[1], OUTER);
        let mut rest = written.into_iter().skip(2);
        assert_eq!(Plan::read(&mut rest), Some(plan));
    }

    #[test]
    fn incomplete_plans_are_refused() {
        let good = ["/p", &"0f".repeat(48), "/s", "5"];
        let read = |words: &[&str]| Plan::read(&mut words.iter().map(OsString::from));
        assert!(read(&good).is_some());
        for count in 0..good.len() {
            assert!(read(&good[..count]).is_none());
        }
        for wrong in ["0f", &"0g".repeat(48), &"+f".repeat(48)] {
            assert!(read(&["/p", wrong, "/s", "5"]).is_none());
        }
        assert!(read(&["/p", good[1], "/s", "-5"]).is_none());
    }
}
