//! The walls around a real enclave process, one by one.
//!
//! Some tests act as another user, which only root may.

mod common;
mod scanner;

use std::{
    fs,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use common::{Enclave, PROGRAM, honest, wait_until};
use zkpass_channel::SealedAnswerBody;

/// The value of a line of `/proc/PID/status`, for each thread.
fn status_of_threads(enclave: &Enclave, name: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", enclave.process.id())).unwrap();
    tasks
        .map(|task| {
            let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{name}:")));
            line.unwrap().trim().to_owned()
        })
        .collect()
}

fn assert_all(enclave: &Enclave, name: &str, expected: &str) {
    let values = status_of_threads(enclave, name);
    assert!(values.len() > 1, "the prover threads are not there yet");
    for value in values {
        assert_eq!(value, expected, "{name}");
    }
}

/// An enclave that has proved, so that all its threads are there.
fn working_enclave(arguments: &[&str]) -> Enclave {
    let enclave = Enclave::start(arguments);
    let answer = enclave.connect().prove(&honest());
    assert!(matches!(answer, SealedAnswerBody::Proved { .. }));
    enclave
}

#[test]
fn every_thread_is_filtered_and_without_privileges() {
    let enclave = working_enclave(&[]);
    assert_all(&enclave, "NoNewPrivs", "1");
    // 2 is a filter.
    assert_all(&enclave, "Seccomp", "2");
    for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        assert_all(&enclave, set, "0000000000000000");
    }
    assert!(!enclave.log().contains("NOT HARDENED"));
}

#[test]
fn there_are_no_core_dumps() {
    let enclave = Enclave::start(&[]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", enclave.process.id())).unwrap();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"));
    let values: Vec<&str> = line.unwrap().split_whitespace().collect();
    assert_eq!(values, ["0", "0", "bytes"]);
}

/// Reads the first byte of a file as an ordinary user.
fn read_as_user(file: &str, user: u32) -> ExitStatus {
    Command::new("head")
        .args(["-c", "1", file])
        .uid(user)
        .gid(user)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
}

#[test]
fn its_own_user_cannot_look_into_it() {
    if !scanner::may_inspect() {
        return;
    }
    const USER: u32 = 65_534;
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(directory.path(), Some(USER), Some(USER)).unwrap();
    let program = readable_copy(directory.path());
    let start = |name: &str, arguments: &[&str]| {
        let socket = directory.path().join(name);
        let process = Command::new(&program)
            .arg("--socket")
            .arg(&socket)
            .args(arguments)
            .uid(USER)
            .gid(USER)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until(|| std::os::unix::net::UnixStream::connect(&socket).is_ok());
        process
    };
    let mut open = start("open.sock", &["--danger-unhardened"]);
    let mut closed = start("closed.sock", &[]);
    for file in ["environ", "auxv"] {
        // The control: without the walls its user may.
        let path = format!("/proc/{}/{file}", open.id());
        assert!(read_as_user(&path, USER).success(), "{path}");
        let path = format!("/proc/{}/{file}", closed.id());
        assert!(!read_as_user(&path, USER).success(), "{path}");
    }
    for process in [&mut open, &mut closed] {
        process.kill().unwrap();
        process.wait().unwrap();
    }
}

/// A copy of the program that an ordinary user may run, wherever the build is.
fn readable_copy(directory: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let copy = directory.join("zkpass-enclave");
    fs::copy(PROGRAM, &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    copy
}

#[test]
fn keys_are_on_locked_pages() {
    let enclave = Enclave::start(&[]);
    // It has its keys when it greets.
    enclave.connect();
    let status = fs::read_to_string(format!("/proc/{}/status", enclave.process.id())).unwrap();
    let locked = status
        .lines()
        .find_map(|line| line.strip_prefix("VmLck:"))
        .unwrap();
    let kilobytes: u32 = locked.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes >= 8, "{locked}");
}

#[test]
fn without_memory_to_lock_it_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(directory.path(), Some(65_534), Some(65_534)).unwrap();
    let program = readable_copy(directory.path());
    // Root is not bound by the limit, as long as it has its capabilities.
    let output = Command::new("sh")
        .args(["-c", "ulimit -l 0; exec \"$0\" --socket \"$1\""])
        .arg(program)
        .arg(directory.path().join("e.sock"))
        .uid(65_534)
        .gid(65_534)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("ulimit -l"), "{message}");
}

#[test]
fn walls_come_down_only_with_a_line_in_the_log() {
    let enclave = working_enclave(&["--danger-unhardened"]);
    assert!(enclave.log().contains("NOT HARDENED"));
    assert_all(&enclave, "Seccomp", "0");
}

/// Runs the example that confines itself like an enclave and then does one thing.
fn confined(arguments: &[&str]) -> ExitStatus {
    let test = std::env::current_exe().unwrap();
    let example = test.ancestors().nth(2).unwrap().join("examples/confined");
    assert!(
        example.exists(),
        "first run `cargo build -p zkpass-enclave --examples`"
    );
    Command::new(example)
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .unwrap()
}

#[test]
fn forbidden_system_calls_kill() {
    const SIGSYS: i32 = 31;
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().to_str().unwrap();
    for deed in ["nothing", "thread"] {
        assert_eq!(confined(&[deed]).code(), Some(0), "{deed}");
    }
    for deed in [
        "unix-socket",
        "tcp-socket",
        "process",
        "program",
        "signal",
        "limit",
        "executable-memory",
    ] {
        for arguments in [[deed].as_slice(), &[deed, directory]] {
            let status = confined(arguments);
            assert_eq!(status.signal(), Some(SIGSYS), "{arguments:?}: {status:?}");
        }
    }
    let status = confined(&["make-directory"]);
    assert_eq!(status.signal(), Some(SIGSYS), "{status:?}");
}

#[test]
fn files_are_denied() {
    const EACCES: i32 = 13;
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().to_str().unwrap();
    for deed in ["read-file", "write-file", "list-directory"] {
        assert_eq!(confined(&[deed]).code(), Some(EACCES), "{deed}");
        // System calls for files stay open for reports: then Landlock says no.
        assert_eq!(confined(&[deed, directory]).code(), Some(EACCES), "{deed}");
    }
    let outside = confined(&["make-directory", directory]);
    assert_eq!(outside.code(), Some(EACCES));
    assert_eq!(confined(&["use-directory", directory]).code(), Some(0));
}
