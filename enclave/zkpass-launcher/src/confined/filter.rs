//! The seccomp filter: system calls that no confined program has a use for end it.
//!
//! It is a list of what is denied, because it has to suit every program that is
//! started so; the enclave adds a list of what it needs for itself.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

/// Denied whatever the arguments are.
const DENIED: &[c_long] = &[
    // The tree of mounts.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    // Namespaces.
    libc::SYS_unshare,
    libc::SYS_setns,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Parts of the kernel with a history of errors.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_fanotify_init,
    // The machine.
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_nfsservctl,
    // Files by other means than paths, and files that are devices.
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_mknodat,
];

/// Those that only some architectures have.
#[cfg(target_arch = "x86_64")]
const ALSO_DENIED: &[c_long] = &[
    libc::SYS_mknod,
    libc::SYS_kexec_file_load,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
];
#[cfg(not(target_arch = "x86_64"))]
const ALSO_DENIED: &[c_long] = &[];

/// Namespaces that clone(2) can make.
const NEW_NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// Puts characters into the input of a terminal.
const TERMINAL_INPUT: [libc::c_ulong; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Installs the filter for this thread and what it starts.
pub(super) fn apply() -> Result<(), String> {
    // clone3(2) has its flags in memory, where no filter looks. Without it the
    // C library takes clone(2).
    let absent = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    install(absent, SeccompAction::Errno(libc::ENOSYS.cast_unsigned()))?;
    let denied = denied().map_err(|error| error.to_string())?;
    install(denied, SeccompAction::KillProcess)
}

fn install(rules: Rules, action: SeccompAction) -> Result<(), String> {
    let architecture =
        TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, architecture)
        .map_err(|error| error.to_string())?;
    let program = filter
        .try_into()
        .map_err(|error: BackendError| error.to_string())?;
    let program: seccompiler::BpfProgram = program;
    apply_filter(&program).map_err(|error| error.to_string())
}

fn denied() -> Result<Rules, BackendError> {
    let mut rules: Rules = DENIED
        .iter()
        .chain(ALSO_DENIED)
        .map(|call| (*call, Vec::new()))
        .collect();
    let not_unix = argument(0, SeccompCmpOp::Ne, libc::AF_UNIX.unsigned_abs().into())?;
    rules.insert(libc::SYS_socket, vec![not_unix.clone()]);
    rules.insert(libc::SYS_socketpair, vec![not_unix]);
    let namespaces = NEW_NAMESPACES.iter().map(|flag| {
        let flag = u64::from(flag.unsigned_abs());
        argument(0, SeccompCmpOp::MaskedEq(flag), flag)
    });
    rules.insert(libc::SYS_clone, namespaces.collect::<Result<_, _>>()?);
    let terminal = TERMINAL_INPUT
        .iter()
        .map(|request| argument(1, SeccompCmpOp::Eq, *request));
    rules.insert(libc::SYS_ioctl, terminal.collect::<Result<_, _>>()?);
    rules.extend(other_numbers(&rules));
    Ok(rules)
}

/// Kernels with the x32 ABI answer to every number a second time, and to some
/// of its own: a list of what is denied has to know them.
#[cfg(target_arch = "x86_64")]
fn other_numbers(rules: &Rules) -> Rules {
    const X32: i64 = 0x4000_0000;
    let own = 512..=547;
    rules
        .iter()
        .map(|(call, conditions)| (call | X32, conditions.clone()))
        .chain(own.map(|call| (call | X32, Vec::new())))
        .chain([(libc::SYS_clone3 | X32, Vec::new())])
        .collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn other_numbers(_: &Rules) -> Rules {
    Rules::new()
}

fn argument(index: u8, compare: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    let condition = SeccompCondition::new(index, SeccompCmpArgLen::Dword, compare, value)?;
    SeccompRule::new(vec![condition])
}
