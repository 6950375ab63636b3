//! The second stage: limits, Landlock, seccomp, and then the enclave in its place.

use std::{
    convert::Infallible,
    ffi::OsString,
    fs::File,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath,
    PathFd, Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetStatus,
    Scope,
};
use nix::{
    sys::{
        prctl::{set_no_new_privs, set_pdeathsig},
        resource::{Resource, setrlimit},
        signal::Signal,
    },
    unistd::setsid,
};

use super::{
    LIBRARIES, LOADER_CACHE, PROGRAM, SOCKETS, error::StageError, filter, outer::has_hung_up,
};

/// Turns into the enclave; returns only with an error.
pub(super) fn run(arguments: impl Iterator<Item = OsString>) -> Result<ExitCode, StageError> {
    match become_enclave(arguments) {
        Err(error) => Err(error),
        Ok(never) => match never {},
    }
}

fn become_enclave(arguments: impl Iterator<Item = OsString>) -> Result<Infallible, StageError> {
    let limits = |error: nix::errno::Errno| StageError::Limits(error.into());
    // Killing the first stage kills the enclave, and all that is in its pid namespace.
    set_pdeathsig(Signal::SIGKILL).map_err(limits)?;
    if has_hung_up(Duration::ZERO).map_err(StageError::Watch)? {
        return Err(StageError::Orphan);
    }
    // Gives up the terminal, into whose input a program can write otherwise.
    setsid().map_err(limits)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(limits)?;
    set_no_new_privs().map_err(limits)?;
    // Not closed, because the Rust runtime wants something there, and not a
    // pipe, because nobody reads it: what is written to a read-only file is lost.
    let nowhere = File::open(PROGRAM).map_err(StageError::Execute)?;
    restrict_files().map_err(StageError::Landlock)?;
    filter::apply().map_err(StageError::Seccomp)?;
    let error = Command::new(PROGRAM)
        .args(arguments)
        .env_clear()
        .stdout(Stdio::from(nowhere))
        .exec();
    Err(StageError::Execute(error))
}

/// Two layers: what every kernel with Landlock can do must be enforced in full,
/// what later kernels added is enforced where it is known.
fn restrict_files() -> Result<(), String> {
    let enforced = first_layer().map_err(|error| error.to_string())?;
    if enforced != RulesetStatus::FullyEnforced {
        return Err("the kernel enforces it in part only".to_owned());
    }
    second_layer().map_err(|error| error.to_string())
}

fn first_layer() -> Result<RulesetStatus, landlock::RulesetError> {
    let execute = AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir;
    let sockets = AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::MakeSock
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .create()?;
    for directory in LIBRARIES {
        rules = allow(rules, directory, execute)?;
    }
    rules = allow(rules, PROGRAM, AccessFs::Execute | AccessFs::ReadFile)?;
    rules = allow(rules, LOADER_CACHE, AccessFs::ReadFile.into())?;
    rules = allow(rules, SOCKETS, sockets)?;
    Ok(rules.restrict_self()?.ruleset)
}

fn second_layer() -> Result<(), landlock::RulesetError> {
    let new = AccessFs::from_all(ABI::V5) & !AccessFs::from_all(ABI::V1);
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(new)?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?;
    allow(rules, SOCKETS, AccessFs::Truncate.into())?.restrict_self()?;
    Ok(())
}

/// Allows access at and below a path, if there is something.
fn allow(
    rules: RulesetCreated,
    path: &str,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, landlock::RulesetError> {
    if Path::new(path).exists() {
        match PathFd::new(path) {
            Ok(path) => rules.add_rule(PathBeneath::new(path, access)),
            // What cannot be opened cannot be used either.
            Err(_) => Ok(rules),
        }
    } else {
        Ok(rules)
    }
}
