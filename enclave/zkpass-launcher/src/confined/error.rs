//! Why a stage failed, and what an administrator can do about it.

use std::{fs, io, path::PathBuf};

/// Tells the launcher that the program is not the measured one.
pub(crate) const PROGRAM_CHANGED: &str = "program-changed";

/// A report is a line and a sentence.
pub(crate) const REPORT_LIMIT: u64 = 4096;

/// Why there is no confined enclave.
#[derive(Debug, thiserror::Error)]
pub(super) enum StageError {
    #[error("the arguments of the stage are not the launcher's")]
    Arguments,
    #[error("user namespaces are not available ({0}){hint}", hint = hint(.0))]
    UserNamespace(#[source] io::Error),
    #[error("the user and group of the namespace cannot be set ({0}){hint}", hint = hint(.0))]
    Identity(#[source] io::Error),
    #[error("mount, pid, network, ipc, uts or cgroup namespaces are not available ({0}){hint}", hint = hint(.0))]
    Namespaces(#[source] io::Error),
    #[error("`{}` cannot be {action} for the enclave ({source}){hint}", path.display(), hint = hint(source))]
    Root {
        path: PathBuf,
        action: &'static str,
        source: io::Error,
    },
    #[error("the program `{}` cannot be copied ({source})", path.display())]
    Copy { path: PathBuf, source: io::Error },
    #[error("the program `{}` is not the one that was measured", .0.display())]
    ProgramChanged(PathBuf),
    #[error("capabilities cannot be dropped ({0})")]
    Capabilities(#[source] io::Error),
    #[error("the second stage cannot be started ({0})")]
    Stage(#[source] io::Error),
    #[error("the enclave cannot be watched ({0})")]
    Watch(#[source] io::Error),
    #[error("limits of the process cannot be set ({0})")]
    Limits(#[source] io::Error),
    #[error(
        "Landlock is not available ({0}); it needs Linux 5.13 with CONFIG_SECURITY_LANDLOCK=y \
         and `landlock` in the list of the kernel parameter `lsm=`"
    )]
    Landlock(String),
    #[error(
        "seccomp filters are not available ({0}); they need Linux with CONFIG_SECCOMP_FILTER=y \
         on x86_64, aarch64 or riscv64"
    )]
    Seccomp(String),
    #[error(
        "the program cannot be executed in its root ({0}); its libraries must be in /lib, /lib64, \
         /usr/lib or /usr/lib64, or linked into it"
    )]
    Execute(#[source] io::Error),
    #[error("the launcher is gone")]
    Orphan,
}

impl StageError {
    /// The first line of a report.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::ProgramChanged(_) => PROGRAM_CHANGED,
            _ => "not-confined",
        }
    }
}

/// The switches that forbid namespaces on this machine, as far as they can be read.
fn hint(error: &io::Error) -> String {
    // A limit of zero namespaces is ENOSPC.
    let is_policy = [libc::EPERM, libc::EACCES, libc::ENOSPC];
    if !error
        .raw_os_error()
        .is_some_and(|code| is_policy.contains(&code))
    {
        return String::new();
    }
    let switches = [
        (
            "/proc/sys/kernel/unprivileged_userns_clone",
            "0",
            "sysctl kernel.unprivileged_userns_clone=1",
        ),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile \
             with `userns,` for this program",
        ),
        (
            "/proc/sys/user/max_user_namespaces",
            "0",
            "sysctl user.max_user_namespaces=1024",
        ),
    ];
    let found: Vec<_> = switches
        .iter()
        .filter(|(path, closed, _)| {
            fs::read_to_string(path).is_ok_and(|value| value.trim() == *closed)
        })
        .map(|(.., remedy)| *remedy)
        .collect();
    if found.is_empty() {
        "; a container needs a policy that allows them".to_owned()
    } else {
        format!("; allow them with {}", found.join(" and "))
    }
}
