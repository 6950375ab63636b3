//! Seccomp: the system calls of a working enclave, and the end of the process for all others.

use std::{collections::BTreeMap, env};

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

use super::Needs;

/// Why system calls are not restricted, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum SystemCallError {
    /// There is no table for this processor.
    #[error("system calls cannot be restricted on this processor: {0}")]
    Architecture(#[from] BackendError),
    /// The kernel refused the filter.
    #[error(
        "cannot restrict system calls, which takes Linux with CONFIG_SECCOMP_FILTER and a host \
         that allows seccomp: {0}"
    )]
    Refused(#[from] seccompiler::Error),
}

/// Reading and writing what is open, and waiting for it.
const STREAMS: &[libc::c_long] = &[
    libc::SYS_accept4,
    libc::SYS_close,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_fcntl,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    // No delay on TCP.
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Memory, for the allocator and for locked keys.
const MEMORY: &[libc::c_long] = &[
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munlock,
    libc::SYS_munmap,
];

/// Threads, locks, signals and the end.
const THREADS: &[libc::c_long] = &[
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_membarrier,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sigaltstack,
    // `abort`, after a panic inside a panic; the second is that of musl.
    libc::SYS_tgkill,
    libc::SYS_tkill,
];

/// Time, randomness and properties of the machine.
const MACHINE: &[libc::c_long] = &[
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getcpu,
    libc::SYS_getrandom,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_sysinfo,
    libc::SYS_uname,
];

#[cfg(target_arch = "x86_64")]
const OLD_STREAMS: &[libc::c_long] = &[libc::SYS_epoll_wait, libc::SYS_poll];
#[cfg(not(target_arch = "x86_64"))]
const OLD_STREAMS: &[libc::c_long] = &[];

/// What names a file. The C library asks for some at odd moments (its allocator
/// looks at `/proc/sys/vm/overcommit_memory`) and lives well without.
const FILES: &[libc::c_long] = &[
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_readlinkat,
    libc::SYS_statx,
    libc::SYS_unlinkat,
];

#[cfg(target_arch = "x86_64")]
const OLD_FILES: &[libc::c_long] = &[
    libc::SYS_access,
    libc::SYS_lstat,
    libc::SYS_open,
    libc::SYS_readlink,
    libc::SYS_stat,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_FILES: &[libc::c_long] = &[];

/// What entries of configfs take.
const DIRECTORIES: &[libc::c_long] = &[
    libc::SYS_fstat,
    libc::SYS_getdents64,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
];

#[cfg(target_arch = "x86_64")]
const OLD_DIRECTORIES: &[libc::c_long] = &[libc::SYS_mkdir, libc::SYS_rmdir];
#[cfg(not(target_arch = "x86_64"))]
const OLD_DIRECTORIES: &[libc::c_long] = &[];

/// `_IOWR(0x0a, 0, struct nsm_raw)`, whose two `iovec` have 32 bytes.
const NSM_REQUEST: u64 = 0xc020_0a00;

/// What `mprotect` and `mmap` must not be asked for: memory that runs as a program.
const EXECUTABLE: u64 = libc::PROT_EXEC.cast_unsigned() as u64;

/// Restricts this process for good.
///
/// What names a file is answered with `EACCES`, unless it is needed; every
/// other call outside the list kills the process, whichever thread makes it.
pub(super) fn restrict(needs: Needs<'_>) -> Result<(), SystemCallError> {
    // The kernel takes the strictest answer of all filters. The one that kills
    // comes last, because it does not let another one in.
    if !matches!(needs, Needs::Directory(_)) {
        deny(&[FILES, OLD_FILES].concat(), libc::EACCES)?;
    }
    // It hides behind a pointer whether it makes a thread or a process. Without
    // it the C library takes `clone`, which shows it.
    deny(&[libc::SYS_clone3], libc::ENOSYS)?;
    let allowed = allowed(needs)?;
    let filter = compile(allowed, SeccompAction::KillProcess, SeccompAction::Allow)?;
    Ok(apply_filter_all_threads(&filter)?)
}

fn deny(calls: &[libc::c_long], error: libc::c_int) -> Result<(), SystemCallError> {
    let calls = calls.iter().map(|call| (*call, Vec::new())).collect();
    let denial = SeccompAction::Errno(error.cast_unsigned());
    let filter = compile(calls, SeccompAction::Allow, denial)?;
    Ok(apply_filter_all_threads(&filter)?)
}

type Rules = BTreeMap<libc::c_long, Vec<SeccompRule>>;

fn allowed(needs: Needs<'_>) -> Result<Rules, BackendError> {
    let mut calls = [
        STREAMS,
        OLD_STREAMS,
        MEMORY,
        THREADS,
        MACHINE,
        FILES,
        OLD_FILES,
    ]
    .concat();
    calls.push(libc::SYS_clone3);
    if matches!(needs, Needs::Directory(_)) {
        calls.extend([DIRECTORIES, OLD_DIRECTORIES].concat());
    }
    let mut rules: Rules = calls.into_iter().map(|call| (call, Vec::new())).collect();

    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        let data_only = argument(2, SeccompCmpOp::MaskedEq(EXECUTABLE), 0)?;
        rules.insert(call, vec![SeccompRule::new(vec![data_only])?]);
    }
    let own_name = argument(
        0,
        SeccompCmpOp::Eq,
        libc::PR_SET_NAME.cast_unsigned().into(),
    )?;
    // glibc and the kernel call mappings by name where they know how.
    let map_name = argument(0, SeccompCmpOp::Eq, libc::PR_SET_VMA.cast_unsigned().into())?;
    let names = vec![
        SeccompRule::new(vec![own_name])?,
        SeccompRule::new(vec![map_name])?,
    ];
    rules.insert(libc::SYS_prctl, names);
    // Threads only, never processes.
    let thread = libc::CLONE_THREAD.cast_unsigned().into();
    let new_thread = argument(0, SeccompCmpOp::MaskedEq(thread), thread)?;
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![new_thread])?]);
    // Its own limits, to read: the C library sizes stacks by them.
    let no_new_limit = argument64(2, SeccompCmpOp::Eq, 0)?;
    rules.insert(
        libc::SYS_prlimit64,
        vec![SeccompRule::new(vec![no_new_limit])?],
    );
    // What makes an accepted connection of vsock not block.
    let not_blocking = argument(1, SeccompCmpOp::Eq, libc::FIONBIO)?;
    let mut requests = vec![SeccompRule::new(vec![not_blocking])?];
    if let Needs::NsmDevice { descriptor } = needs {
        let device = u64::from(descriptor.cast_unsigned());
        let request = vec![
            argument(0, SeccompCmpOp::Eq, device)?,
            argument(1, SeccompCmpOp::Eq, NSM_REQUEST)?,
        ];
        requests.push(SeccompRule::new(request)?);
    }
    rules.insert(libc::SYS_ioctl, requests);
    Ok(rules)
}

fn argument(
    index: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
}

fn argument64(
    index: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Qword, operator, value)
}

fn compile(
    rules: Rules,
    otherwise: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let architecture = TargetArch::try_from(env::consts::ARCH)?;
    SeccompFilter::new(rules, otherwise, listed, architecture)?.try_into()
}
