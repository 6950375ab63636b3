//! The first stage: namespaces, a root of its own, and the wait for the enclave's end.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::{
            fs::{OpenOptionsExt as _, symlink},
            process::ExitStatusExt as _,
        },
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitCode, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sched::{CloneFlags, unshare},
    sys::{
        resource::{Resource, setrlimit},
        signal::{Signal, raise},
    },
    unistd::{chdir, getegid, geteuid, pivot_root, sethostname},
};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};
use sha2::{Digest as _, Sha384};

use super::{
    INNER, LIBRARIES, LOADER_CACHE, PROGRAM, Plan, SOCKETS, STAGE, WORD, error::StageError,
};

/// Where the new root is put together. Any directory outside of what is shown
/// would do: the mount is seen by this process only.
const SITE: &str = "/sys";

/// The enclave's user and group inside. Not 0: then executing a program gives up all capabilities.
const INNER_ID: u32 = 1000;

/// What the root needs beside the program: directories and their names.
const SLACK_BYTES: u64 = 1 << 20;

/// How often a process that is about to end is looked at.
const TICK: Duration = Duration::from_millis(5);

/// Builds the confinement, starts the enclave in it and returns with its status.
pub(super) fn run(plan: &Plan) -> Result<ExitCode, StageError> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(|error| StageError::Limits(error.into()))?;
    enter_namespaces()?;
    build_root(plan)?;
    move_in()?;
    drop_capabilities()?;
    let child = Command::new(STAGE)
        .args([WORD, INNER])
        .args(&plan.arguments)
        .env_clear()
        // A pipe of our own: the enclave sees its end also when we are killed.
        .stdin(Stdio::piped())
        .spawn()
        .map_err(StageError::Stage)?;
    let status = accompany(child, plan.patience).map_err(StageError::Watch)?;
    Ok(end_like(status))
}

fn enter_namespaces() -> Result<(), StageError> {
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|error| StageError::UserNamespace(error.into()))?;
    // Without it an unprivileged process must not map a group.
    fs::write("/proc/self/setgroups", "deny").map_err(StageError::Identity)?;
    fs::write("/proc/self/uid_map", format!("{INNER_ID} {user} 1"))
        .map_err(StageError::Identity)?;
    fs::write("/proc/self/gid_map", format!("{INNER_ID} {group} 1"))
        .map_err(StageError::Identity)?;
    let all = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    unshare(all).map_err(|error| StageError::Namespaces(error.into()))?;
    sethostname("enclave").map_err(|error| StageError::Namespaces(error.into()))
}

/// Puts together at [`SITE`] what the enclave will see.
fn build_root(plan: &Plan) -> Result<(), StageError> {
    let none = None::<&str>;
    // Otherwise mounts would appear outside.
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(failed("/", "made private"))?;

    let mut program = File::open(&plan.program).map_err(copy_failed(plan))?;
    let bytes = program.metadata().map_err(copy_failed(plan))?.len();
    let options = format!("mode=755,size={}", bytes.saturating_add(SLACK_BYTES));
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("zkpass"),
        SITE,
        Some("tmpfs"),
        flags,
        Some(options.as_str()),
    )
    .map_err(failed(SITE, "mounted"))?;

    copy_program(&mut program, plan)?;
    for directory in LIBRARIES {
        show_libraries(Path::new(directory))?;
    }
    if Path::new(LOADER_CACHE).is_file() {
        show_file(Path::new(LOADER_CACHE), LOADER_CACHE)?;
    }
    let stage = std::env::current_exe().map_err(StageError::Stage)?;
    show_file(&stage, STAGE)?;

    let sockets = at_site(SOCKETS);
    make_directory(&sockets)?;
    bind(&plan.sockets, &sockets, MsFlags::empty())?;
    make_read_only()?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    remount(&sockets, flags)
}

/// Copies the program and hashes what was copied: whatever happens to the file
/// meanwhile, what runs is what was measured.
fn copy_program(from: &mut File, plan: &Plan) -> Result<(), StageError> {
    let mut to = File::options()
        .write(true)
        .create_new(true)
        .mode(0o555)
        .open(at_site(PROGRAM))
        .map_err(copy_failed(plan))?;
    let mut hash = Sha384::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = from.read(&mut buffer).map_err(copy_failed(plan))?;
        let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else {
            break;
        };
        hash.update(read);
        to.write_all(read).map_err(copy_failed(plan))?;
    }
    if <[u8; 48]>::from(hash.finalize()) == plan.digest {
        Ok(())
    } else {
        Err(StageError::ProgramChanged(plan.program.clone()))
    }
}

/// Shows a directory at its own path; a symbolic link is made again.
fn show_libraries(directory: &Path) -> Result<(), StageError> {
    let Ok(metadata) = fs::symlink_metadata(directory) else {
        return Ok(());
    };
    let site = at_site(directory);
    if let Some(parent) = site.parent() {
        make_directory(parent)?;
    }
    if metadata.is_symlink() {
        return fs::read_link(directory)
            .and_then(|target| symlink(target, &site))
            .map_err(|source| root(directory, "linked", source));
    }
    make_directory(&site)?;
    // A part of a tree cannot be shown where something was mounted over the rest.
    bind(directory, &site, MsFlags::MS_REC)
}

fn show_file(file: &Path, inside: &str) -> Result<(), StageError> {
    let site = at_site(inside);
    if let Some(parent) = site.parent() {
        make_directory(parent)?;
    }
    File::create_new(&site).map_err(|source| root(&site, "made", source))?;
    bind(file, &site, MsFlags::empty())
}

fn make_directory(path: &Path) -> Result<(), StageError> {
    fs::create_dir_all(path).map_err(|source| root(path, "made", source))
}

fn bind(from: &Path, to: &Path, also: MsFlags) -> Result<(), StageError> {
    let none = None::<&str>;
    mount(Some(from), to, none, MsFlags::MS_BIND | also, none).map_err(failed(from, "shown"))
}

fn remount(path: &Path, flags: MsFlags) -> Result<(), StageError> {
    let none = None::<&str>;
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | flags;
    mount(none, path, none, flags, none).map_err(failed(path, "protected"))
}

/// Makes every mount that is shown read-only, also those below it.
fn make_read_only() -> Result<(), StageError> {
    let shown: Vec<_> = LIBRARIES
        .iter()
        .chain(&[LOADER_CACHE, STAGE])
        .map(at_site)
        .collect();
    let table = "/proc/self/mountinfo";
    let mounts = fs::read_to_string(table).map_err(|source| root(table, "read", source))?;
    for (path, flags) in mounts.lines().filter_map(mounted) {
        if shown.iter().any(|shown| path.starts_with(shown)) {
            remount(&path, flags | MsFlags::MS_RDONLY)?;
        }
    }
    Ok(())
}

/// The path and the flags of a line of mountinfo, proc_pid_mountinfo(5). Flags
/// that were set outside must stay: they cannot be taken away in here.
fn mounted(line: &str) -> Option<(PathBuf, MsFlags)> {
    let mut fields = line.split(' ').skip(4);
    let path = unescape(fields.next()?);
    let flags = fields.next()?.split(',').map(|option| match option {
        "ro" => MsFlags::MS_RDONLY,
        "nosuid" => MsFlags::MS_NOSUID,
        "nodev" => MsFlags::MS_NODEV,
        "noexec" => MsFlags::MS_NOEXEC,
        "noatime" => MsFlags::MS_NOATIME,
        "nodiratime" => MsFlags::MS_NODIRATIME,
        "relatime" => MsFlags::MS_RELATIME,
        _ => MsFlags::empty(),
    });
    Some((path.into(), flags.collect()))
}

/// Four characters are written as a backslash and three octal digits.
fn unescape(path: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(path.to_owned(), |path, (code, text)| {
        path.replace(code, text)
    })
}

/// Makes the new root the only one.
fn move_in() -> Result<(), StageError> {
    chdir(SITE).map_err(failed(SITE, "entered"))?;
    // The old root ends up on top of the new one, from where it is taken away: pivot_root(2), NOTES.
    pivot_root(".", ".").map_err(failed(SITE, "made the root"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(failed("/", "left"))?;
    chdir("/").map_err(failed("/", "entered"))?;
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    remount(Path::new("/"), flags)
}

/// Empties the bounding set: no program that is started from here on can have a capability.
fn drop_capabilities() -> Result<(), StageError> {
    for capability in CapabilitySet::all().iter() {
        match remove_capability_from_bounding_set(capability) {
            // The kernel does not know this one.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(StageError::Capabilities(error.into())),
        }
    }
    Ok(())
}

/// Waits for the end of the enclave, and brings it about some time after our standard input ended.
fn accompany(mut child: Child, patience: Duration) -> io::Result<ExitStatus> {
    if let Some(pipe) = child.stdin.take() {
        wait_for_an_end(&pipe)?;
        // Its end asks the enclave to stop.
        drop(pipe);
    }
    let mut kill_at = None;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        // An enclave that closed its standard input runs on until ours ends.
        if kill_at.is_none() && has_hung_up(TICK)? {
            kill_at = Some(Instant::now() + patience);
        }
        if kill_at.is_some_and(|end| Instant::now() >= end) {
            child.kill()?;
            return child.wait();
        }
        if kill_at.is_some() {
            sleep(TICK);
        }
    }
}

/// Returns when nobody writes to our standard input or nobody reads the enclave's.
fn wait_for_an_end(pipe: &ChildStdin) -> io::Result<()> {
    let stdin = io::stdin();
    let mut ends = [
        PollFd::new(stdin.as_fd(), PollFlags::empty()),
        PollFd::new(pipe.as_fd(), PollFlags::empty()),
    ];
    loop {
        match poll(&mut ends, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => {}
            other => return other.map(drop).map_err(Into::into),
        }
    }
}

/// Whether the other end of our standard input closes within a time.
pub(super) fn has_hung_up(within: Duration) -> io::Result<bool> {
    let stdin = io::stdin();
    let mut ends = [PollFd::new(stdin.as_fd(), PollFlags::empty())];
    let timeout = PollTimeout::try_from(within).unwrap_or(PollTimeout::ZERO);
    match poll(&mut ends, timeout) {
        Ok(count) => Ok(count > 0),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Ends as the enclave did, by the same signal if it was one.
fn end_like(status: ExitStatus) -> ExitCode {
    let signal = status
        .signal()
        .and_then(|number| Signal::try_from(number).ok());
    if let Some(signal) = signal {
        // A signal that does not end us leaves the status for failure.
        let _ = raise(signal);
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

fn at_site(path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    Path::new(SITE).join(path.strip_prefix("/").unwrap_or(path))
}

fn root(path: impl AsRef<Path>, action: &'static str, source: io::Error) -> StageError {
    StageError::Root {
        path: path.as_ref().to_owned(),
        action,
        source,
    }
}

fn failed(
    path: impl AsRef<Path>,
    action: &'static str,
) -> impl FnOnce(nix::errno::Errno) -> StageError {
    move |error| root(path, action, error.into())
}

fn copy_failed(plan: &Plan) -> impl FnOnce(io::Error) -> StageError {
    |source| StageError::Copy {
        path: plan.program.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_mount_table_is_read() {
        let line = "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime,nosuid master:1 - ext3 /dev/root rw";
        let (path, flags) = mounted(line).unwrap();
        assert_eq!(path, Path::new("/mnt 2"));
        assert_eq!(flags, MsFlags::MS_NOATIME | MsFlags::MS_NOSUID);
        assert!(mounted("36 35 98:0 /mnt1").is_none());
    }

    #[test]
    fn paths_of_the_new_root_are_below_its_site() {
        assert_eq!(at_site("/usr/lib"), Path::new("/sys/usr/lib"));
        assert_eq!(at_site(PROGRAM), Path::new("/sys/enclave"));
    }
}
