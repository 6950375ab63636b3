//! The walls around the process, put up before it has a second thread.
//!
//! The order is part of the design: first what costs nothing and needs nothing
//! ([`refuse_inspection`]), then the caller opens its doors (the socket it
//! listens on, the evidence source), then [`confine`] takes away everything
//! else: capabilities, the file system and the network (Landlock), and system
//! calls (seccomp). A start that cannot put up a wall fails.

mod file_access;
pub(crate) mod locked;
pub(crate) mod scrub;
mod system_calls;

use std::{io, path::Path};

use rustix::{
    process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit},
    thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs},
};

pub use file_access::FileAccessError;
pub use system_calls::SystemCallError;

/// What a confined process still uses besides what it holds open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs<'a> {
    /// No more.
    Nothing,
    /// Files and directories made, read, written and removed under this one.
    Directory(&'a Path),
    /// Requests to the Nitro Security Module.
    NsmDevice {
        /// The open device.
        descriptor: i32,
    },
}

/// Which wall could not be put up, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum HardeningError {
    /// The process could not be closed to debuggers.
    #[error("cannot turn off core dumps and debugging: {0}")]
    Inspection(#[source] io::Error),
    /// New privileges could not be ruled out.
    #[error("cannot rule out new privileges: {0}")]
    Privileges(#[source] io::Error),
    /// Capabilities could not be dropped.
    #[error("cannot drop capabilities: {0}")]
    Capabilities(#[source] io::Error),
    /// Landlock is missing or refused.
    #[error(transparent)]
    FileAccess(#[from] FileAccessError),
    /// Seccomp is missing or refused.
    #[error(transparent)]
    SystemCalls(#[from] SystemCallError),
}

/// Closes the process to debuggers and other processes of its user, and turns off core dumps.
pub fn refuse_inspection() -> Result<(), HardeningError> {
    let zero = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .and_then(|()| setrlimit(Resource::Core, zero))
        .map_err(|error| HardeningError::Inspection(error.into()))?;
    set_no_new_privs(true).map_err(|error| HardeningError::Privileges(error.into()))
}

/// Leaves the process what it holds open and what it needs, for good: a
/// forbidden system call ends it, and files are answered with `EACCES`.
///
/// Landlock holds for the calling thread and those it starts: there must be no other yet.
pub fn confine(needs: Needs<'_>) -> Result<(), HardeningError> {
    drop_capabilities()?;
    file_access::restrict(match needs {
        Needs::Directory(root) => Some(root),
        Needs::Nothing | Needs::NsmDevice { .. } => None,
    })?;
    Ok(system_calls::restrict(needs)?)
}

fn drop_capabilities() -> Result<(), HardeningError> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(|error| HardeningError::Capabilities(error.into()))
}
