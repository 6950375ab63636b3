//! The first process of a virtual machine that holds nothing but the enclave.
//!
//! An image consists of a kernel and a file system in memory with this program
//! as `/init`. It asks for this module by the file [`ARGUMENTS_FILE`], which is
//! part of what is measured; neither the kernel's command line, to which a
//! hypervisor may append, nor an environment variable has a say.
//!
//! The first process mounts what the enclave needs, loads the modules of the
//! image, starts this program again as the enclave, collects orphans, and ends
//! the machine with the enclave. The enclave is a process of its own because
//! the kernel panics when its first process is killed, as a sandbox may do.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::{ffi::OsStringExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus, Stdio},
    time::Duration,
};

use rustix::{
    io::Errno,
    mount::{MountFlags, mount},
    process::{Pid, WaitOptions, wait},
    system::{RebootCommand, finit_module, reboot},
    termios::tcdrain,
};
use vsock::VsockStream;

/// Holds the arguments of the enclave, one on a line.
pub const ARGUMENTS_FILE: &str = "/init.arguments";

/// Holds kernel modules, loaded in the order of their names.
const MODULES_FOLDER: &str = "/modules";

/// The device of the Nitro Secure Module: exists in Nitro Enclaves only.
const NITRO_DEVICE: &str = "/dev/nsm";

/// Where the parent of a Nitro Enclave waits for the sign that it has booted.
const HEARTBEAT_CID: u32 = 3;
const HEARTBEAT_PORT: u32 = 9000;

/// Sent to the parent, which sends it back.
const HEARTBEAT: u8 = 0xb7;

/// The parent is on the same machine.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(10);

/// Why the machine could not be set up.
#[derive(Debug, thiserror::Error)]
enum InitError {
    #[error("cannot mount `{target}`: {source}")]
    Mount {
        target: &'static str,
        source: io::Error,
    },
    #[error("cannot list `{MODULES_FOLDER}`: {0}")]
    Modules(#[source] io::Error),
    #[error("cannot load `{}`: {source}", module.display())]
    Module { module: PathBuf, source: io::Error },
    #[error("no heartbeat with the parent: {0}")]
    Heartbeat(#[source] io::Error),
    #[error("cannot read `{ARGUMENTS_FILE}`: {0}")]
    Arguments(#[source] io::Error),
    #[error("cannot start the enclave: {0}")]
    Enclave(#[source] io::Error),
}

/// Whether this process is the first of its machine, in an image that asks for this module.
pub fn is_wanted() -> bool {
    std::process::id() == 1 && Path::new(ARGUMENTS_FILE).is_file()
}

/// Sets up the machine, runs the enclave, and ends the machine after it.
///
/// Returns only when the machine cannot be ended, which makes the kernel panic.
pub fn run() -> ExitCode {
    match set_up().and_then(|()| run_enclave()) {
        Ok(status) => say(&status),
        Err(error) => say(&error),
    }
    // The last lines have to get out; without a console there is nothing to wait for.
    let _ = tcdrain(io::stderr());
    // A Nitro Enclave has no power switch, only a reset, which ends it.
    let command = if is_nitro() {
        RebootCommand::Restart
    } else {
        RebootCommand::PowerOff
    };
    if let Err(error) = reboot(command) {
        say(&error);
    }
    ExitCode::FAILURE
}

fn set_up() -> Result<(), InitError> {
    let inert = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount_once("proc", "/proc", inert)?;
    mount_once("sysfs", "/sys", inert)?;
    mount_once("devtmpfs", "/dev", MountFlags::NOSUID | MountFlags::NOEXEC)?;
    load_modules()?;
    // Evidence of SEV-SNP and TDX guests is asked for here.
    if Path::new("/sys/kernel/config").is_dir() {
        mount_once("configfs", "/sys/kernel/config", inert)?;
    }
    if is_nitro() {
        let mut parent = VsockStream::connect_with_cid_port(HEARTBEAT_CID, HEARTBEAT_PORT)
            .map_err(InitError::Heartbeat)?;
        parent
            .set_read_timeout(Some(HEARTBEAT_PATIENCE))
            .and_then(|()| heartbeat(&mut parent))
            .map_err(InitError::Heartbeat)?;
    }
    Ok(())
}

fn is_nitro() -> bool {
    Path::new(NITRO_DEVICE).exists()
}

fn mount_once(kind: &str, target: &'static str, flags: MountFlags) -> Result<(), InitError> {
    match mount(kind, target, kind, flags, None) {
        // Some kernels mount /dev by themselves.
        Ok(()) | Err(Errno::BUSY) => Ok(()),
        Err(error) => Err(InitError::Mount {
            target,
            source: error.into(),
        }),
    }
}

fn load_modules() -> Result<(), InitError> {
    let folder = match fs::read_dir(MODULES_FOLDER) {
        Ok(folder) => folder,
        // The kernel has all it needs built in.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(InitError::Modules(error)),
    };
    let mut modules = folder
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(InitError::Modules)?;
    modules.sort();
    for module in modules {
        let loaded = File::open(&module)
            .and_then(|file| finit_module(file, c"", 0).map_err(io::Error::from));
        match loaded {
            Ok(()) => {}
            // One image serves several platforms: not this one's driver, or built in.
            Err(error)
                if [Errno::NODEV, Errno::NXIO, Errno::EXIST]
                    .iter()
                    .any(|errno| error.raw_os_error() == Some(errno.raw_os_error())) => {}
            Err(source) => return Err(InitError::Module { module, source }),
        }
    }
    Ok(())
}

/// Tells the parent of a Nitro Enclave that it has booted; without it the start times out.
fn heartbeat(parent: &mut (impl Read + Write)) -> io::Result<()> {
    parent.write_all(&[HEARTBEAT])?;
    let mut answer = [0];
    parent.read_exact(&mut answer)?;
    if answer == [HEARTBEAT] {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// Runs this program with the arguments of the image until it ends.
fn run_enclave() -> Result<Ended, InitError> {
    let file = fs::read(ARGUMENTS_FILE).map_err(InitError::Arguments)?;
    let program = std::env::current_exe().map_err(InitError::Enclave)?;
    let enclave = Command::new(program)
        .args(arguments(&file))
        .env_clear()
        .stdin(Stdio::null())
        .spawn()
        .map_err(InitError::Enclave)?;
    let enclave = Pid::from_child(&enclave);
    loop {
        // Orphans of any process become children of the first one.
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == enclave => {
                return Ok(Ended(ExitStatus::from_raw(status.as_raw())));
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(InitError::Enclave(error.into())),
        }
    }
}

/// How the enclave ended.
#[derive(Debug, thiserror::Error)]
#[error("the enclave ended: {0}")]
struct Ended(ExitStatus);

fn arguments(file: &[u8]) -> impl Iterator<Item = OsString> {
    file.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| OsString::from_vec(line.to_vec()))
}

/// Writes a line to the console.
fn say(what: &dyn std::error::Error) {
    // Nowhere to report that there is no console.
    let _ = io::stderr().write_all(format!("zkpass-enclave: init: {what}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixStream, thread};

    use super::*;

    #[test]
    fn a_test_is_not_the_first_process() {
        assert!(!is_wanted());
    }

    #[test]
    fn arguments_stand_one_on_a_line() {
        let lines = arguments(b"--socket\nvsock:5000\n\n--threads\n2");
        let expected = ["--socket", "vsock:5000", "--threads", "2"];
        assert!(lines.eq(expected.map(OsString::from)));
    }

    #[test]
    fn the_parent_must_send_the_heartbeat_back() {
        for (answer, is_good) in [(vec![0xb7], true), (vec![0xb8], false), (vec![], false)] {
            let (mut enclave, mut parent) = UnixStream::pair().unwrap();
            let parent = thread::spawn(move || {
                let mut sent = [0];
                parent.read_exact(&mut sent).unwrap();
                assert_eq!(sent, [0xb7]);
                parent.write_all(&answer).unwrap();
            });
            assert_eq!(heartbeat(&mut enclave).is_ok(), is_good);
            parent.join().unwrap();
        }
    }
}
