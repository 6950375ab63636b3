//! Landlock: no file, no directory, no TCP port, but what the evidence source needs.

use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, PathBeneath, PathFd,
    PathFdError, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus,
    Scope,
};

/// Why file access is not restricted, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum FileAccessError {
    /// The kernel has no Landlock, or it is turned off.
    #[error(
        "cannot restrict file access, which takes Linux 5.13 with Landlock (CONFIG_SECURITY_LANDLOCK, \
         and `landlock` in the boot option `lsm=`): {0}"
    )]
    Unsupported(#[from] RulesetError),
    /// The kernel took the rules and does not enforce them.
    #[error("the kernel does not enforce Landlock rules; boot it with `landlock` in `lsm=`")]
    NotEnforced,
    /// The directory that must stay reachable is not.
    #[error("cannot keep the directory of reports reachable: {0}")]
    Directory(#[from] PathFdError),
}

/// Denies this thread, and those it starts, everything outside `directory`.
pub(super) fn restrict(directory: Option<&Path>) -> Result<(), FileAccessError> {
    // The first version covers every way to read or change a file: without it no start.
    // Later ones add truncation, device control, TCP and signals where the kernel knows them.
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::from_all(ABI::V5))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?;
    if let Some(directory) = directory {
        let entries = AccessFs::ReadFile
            | AccessFs::WriteFile
            | AccessFs::ReadDir
            | AccessFs::MakeDir
            | AccessFs::RemoveDir
            | AccessFs::RemoveFile;
        rules = rules.add_rule(PathBeneath::new(PathFd::new(directory)?, entries))?;
    }
    match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        RulesetStatus::NotEnforced => Err(FileAccessError::NotEnforced),
    }
}
