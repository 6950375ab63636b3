//! Confines itself like an enclave and then does what the first argument says: for the tests.
//!
//! Ends with 0 when it may, with the number of the error when it is told no,
//! and by a signal when the kernel kills it. A second argument names a
//! directory to keep reachable.

use std::{
    fs, io,
    net::TcpListener,
    os::unix::{net::UnixDatagram, process::CommandExt as _},
    path::PathBuf,
    process::{Command, ExitCode},
    thread,
};

use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};
use zkpass_enclave::hardening::{Needs, confine, refuse_inspection};

fn main() -> ExitCode {
    let deed = std::env::args().nth(1).unwrap_or_default();
    let directory = std::env::args_os().nth(2).map(PathBuf::from);
    let needs = match &directory {
        Some(directory) => Needs::Directory(directory),
        None => Needs::Nothing,
    };
    if let Err(error) = refuse_inspection().and_then(|()| confine(needs)) {
        eprintln!("{error}");
        return ExitCode::from(254);
    }
    match perform(&deed, &directory.unwrap_or_default()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let number = error.raw_os_error().and_then(|error| error.try_into().ok());
            ExitCode::from(number.unwrap_or(255))
        }
    }
}

fn perform(deed: &str, directory: &std::path::Path) -> io::Result<()> {
    match deed {
        "nothing" => Ok(()),
        "thread" => thread::spawn(|| ())
            .join()
            .map_err(|_| io::Error::other("it panicked")),
        "unix-socket" => UnixDatagram::unbound().map(drop),
        "tcp-socket" => TcpListener::bind("127.0.0.1:0").map(drop),
        "process" => Command::new("/bin/true").status().map(drop),
        "program" => Err(Command::new("/bin/true").exec()),
        "signal" => Ok(kill_process(getpid(), Signal::USR1)?),
        "limit" => Ok(setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(8),
                maximum: Some(8),
            },
        )?),
        "executable-memory" => region::alloc(4096, region::Protection::READ_WRITE_EXECUTE)
            .map(drop)
            .map_err(region::Error::into_io_error),
        "read-file" => fs::read("/etc/hostname").map(drop),
        "write-file" => fs::write("/tmp/zkpass-confined", "x"),
        "list-directory" => fs::read_dir("/").map(drop),
        "make-directory" => fs::create_dir("/tmp/zkpass-confined"),
        "use-directory" => {
            let entry = directory.join("entry");
            fs::create_dir(&entry)?;
            fs::read_dir(&entry)?.for_each(drop);
            fs::remove_dir(entry)
        }
        _ => Err(io::Error::other("no such deed")),
    }
}
