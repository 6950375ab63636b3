//! The program that is confined: it tries what it must not be able to do.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    net::TcpStream,
    os::unix::{
        fs::symlink,
        net::{UnixListener, UnixStream},
        process::ExitStatusExt as _,
    },
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use nix::{
    errno::Errno,
    mount::{MsFlags, mount, umount},
    sched::{CloneFlags, unshare},
    sys::{
        ptrace,
        resource::{Resource, getrlimit},
        signal::{Signal, kill},
    },
    unistd::{Pid, chroot, getegid, geteuid, gethostname, getpid, getppid, sethostname},
};
use zkpass_core::{
    api::{EnclaveInfo, UNATTESTED_DEVELOPMENT},
    frame::{Frame, Message},
    keys::SigningKey,
};

/// The first argument that makes this program a probe.
pub const WORD: &str = "probe";

/// The name of the report, in the directory of the sockets.
pub const REPORT: &str = "report";

pub fn run() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    match arguments[0].as_str() {
        "report" => report(&arguments[1..]),
        "serve" => serve(&arguments, true),
        "deaf" => serve(&arguments, false),
        "try" => {
            if let Err(error) = attempt(&arguments[1], &arguments[2]) {
                // Both sides know Linux's numbers.
                return ExitCode::from(u8::try_from(error.raw_os_error().unwrap_or(255)).unwrap());
            }
        }
        other => panic!("{other}"),
    }
    ExitCode::SUCCESS
}

/// Does one thing that may end this process.
fn attempt(what: &str, port: &str) -> io::Result<()> {
    let none = None::<&str>;
    match what {
        "network" => {
            let port: u16 = port.parse().unwrap();
            TcpStream::connect(("127.0.0.1", port)).map(drop)
        }
        "netlink" => netlink(),
        "mount" => Ok(mount(none, "/run", Some("tmpfs"), MsFlags::empty(), none)?),
        "unmount" => Ok(umount("/run/zkpass")?),
        "unshare" => Ok(unshare(CloneFlags::CLONE_NEWUSER)?),
        "chroot" => Ok(chroot("/usr")?),
        "ptrace" => Ok(ptrace::traceme()?),
        "host name change" => Ok(sethostname("other")?),
        "device" => {
            let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
            let device = nix::sys::stat::SFlag::S_IFCHR;
            Ok(nix::sys::stat::mknod(
                "/run/zkpass/null",
                device,
                mode,
                0x103,
            )?)
        }
        "thread" => {
            std::thread::spawn(|| ()).join().unwrap();
            Ok(())
        }
        "unix socket" => UnixStream::pair().map(drop),
        "random" => {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(io::Error::other)
        }
        other => panic!("{other}"),
    }
}

/// A socket of a family that confined programs have no use for.
fn netlink() -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketType, socket};
    socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    Ok(())
}

fn report(arguments: &[String]) {
    let port = arguments[0].as_str();
    // Unconfined the directory is where it is.
    let outside = (!arguments[1].starts_with("--")).then(|| PathBuf::from(&arguments[1]));
    let directory = outside.clone().unwrap_or("/run/zkpass".into());
    let program = match outside {
        Some(_) => std::env::current_exe().unwrap(),
        None => "/enclave".into(),
    };
    let mut facts = Vec::new();
    let (soft, hard) = getrlimit(Resource::RLIMIT_CORE).unwrap();
    facts.push(format!(
        "process: {}, parent {}, user {}, group {}",
        getpid(),
        getppid(),
        geteuid(),
        getegid()
    ));
    facts.push(format!("environment: {}", std::env::vars_os().count()));
    facts.push(format!("host name: {}", gethostname().unwrap().display()));
    facts.push(format!("core limit: {soft} of {hard}"));
    let no_new = nix::sys::prctl::get_no_new_privs().unwrap();
    facts.push(format!("no new privileges: {no_new}"));
    for path in ["/", "/etc"] {
        facts.push(format!("list {path}: {}", outcome(fs::read_dir(path))));
    }
    for path in [
        "/etc/passwd",
        "/proc/self/status",
        "/dev/null",
        "/home",
        "/tmp",
        "/stage",
    ] {
        facts.push(format!("open {path}: {}", outcome(File::open(path))));
    }
    if directory.starts_with("/run") {
        let write = File::options().write(true).open("/enclave");
        facts.push(format!("write /enclave: {}", outcome(write)));
        for path in ["/new", "/usr/lib/new"] {
            facts.push(format!("make {path}: {}", outcome(File::create(path))));
        }
        let link = outcome(symlink("/", directory.join("link")));
        facts.push(format!("make /run/zkpass/link -> /: {link}"));
        let execute = Command::new("/stage")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        facts.push(format!("execute /stage: {}", outcome(execute)));
        let signal = kill(Pid::from_raw(2), None).map_err(io::Error::from);
        facts.push(format!("another process: {}", outcome(signal)));
    }
    for what in [
        "network",
        "netlink",
        "mount",
        "unmount",
        "unshare",
        "chroot",
        "ptrace",
        "host name change",
        "device",
        "thread",
        "unix socket",
        "random",
    ] {
        // Never outside: it would work there for root.
        let harmless = ["network", "ptrace", "thread"].contains(&what);
        if !harmless && !directory.starts_with("/run") {
            continue;
        }
        let status = Command::new(&program)
            .args([WORD, "try", what, port])
            .stdin(Stdio::inherit())
            .status()
            .unwrap();
        let found = match (status.signal(), status.code()) {
            (Some(signal), _) => format!("killed by {}", Signal::try_from(signal).unwrap()),
            (None, Some(0)) => "fine".to_owned(),
            (None, code) => format!("{:?}", Errno::from_raw(code.unwrap())),
        };
        facts.push(format!("{what}: {found}"));
    }
    fs::write(directory.join(REPORT), facts.join("\n")).unwrap();
}

fn outcome<T>(result: io::Result<T>) -> String {
    match result {
        Ok(_) => "fine".to_owned(),
        Err(error) => format!("{:?}", Errno::from_raw(error.raw_os_error().unwrap())),
    }
}

/// Greets connections as an enclave does, until standard input ends or for ever.
fn serve(arguments: &[String], listens_to_stdin: bool) {
    let place = arguments.iter().position(|word| word == "--socket");
    let socket = PathBuf::from(&arguments[place.unwrap() + 1]);
    let _ = fs::remove_file(&socket);
    let listener = UnixListener::bind(socket).unwrap();
    let hello = hello();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(&hello);
        }
    });
    if listens_to_stdin {
        let _ = io::stdin().read(&mut [0; 16]);
    } else {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

fn hello() -> Vec<u8> {
    let identity = SigningKey::from_bytes(&[7; 32]).unwrap();
    let info = EnclaveInfo {
        enclave_id: "probe".to_owned(),
        kind: UNATTESTED_DEVELOPMENT.to_owned(),
        measurement_id: UNATTESTED_DEVELOPMENT.to_owned(),
        key_id: "key".to_owned(),
        hpke_public_key: String::new(),
        identity_key: identity.public(),
        encryption_key: identity.public(),
        not_before: 0,
        not_after: 1,
        signature: String::new(),
    };
    let frame = Frame {
        request_id: 0,
        message: Message::Hello {
            info: Box::new(info.signed_by(&identity)),
        },
    };
    frame.encode().unwrap()
}
