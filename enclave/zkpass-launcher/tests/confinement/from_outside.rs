//! What the host sees of a confined process, and how it ends.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use zkpass_launcher::{Launcher, State};

use crate::{becomes_true, exists, options, probe, runtime, this_program};

pub fn looks_confined() {
    let (_directory, options) = options("serve");
    let runtime = runtime();
    let launcher = runtime.block_on(Launcher::start(options)).unwrap();
    assert!(launcher.tee().confined);
    let enclave = only_child(ready(&launcher));

    let status = fs::read_to_string(format!("/proc/{enclave}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].trim().to_owned()
    };
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(u64::from_str_radix(&field(set), 16).unwrap(), 0, "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2");
    assert!(field("NSpid:").ends_with("\t1"), "{status}");

    for kind in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/{kind}"));
        let (inside, outside) = (namespace(&enclave.to_string()), namespace("self"));
        assert_ne!(inside.unwrap(), outside.unwrap(), "{kind}");
    }

    // One interface, which never carried anything, because it is down.
    let interfaces = fs::read_to_string(format!("/proc/{enclave}/net/dev")).unwrap();
    let names: Vec<_> = interfaces
        .lines()
        .filter_map(|line| line.split_once(':'))
        .collect();
    assert_eq!(names.len(), 1, "{interfaces}");
    assert_eq!(names[0].0.trim(), "lo");
    let addresses = fs::read_to_string(format!("/proc/{enclave}/net/fib_trie")).unwrap();
    assert!(!addresses.contains("127.0.0.1"), "{addresses}");

    let mounts = fs::read_to_string(format!("/proc/{enclave}/mountinfo")).unwrap();
    for line in mounts.lines() {
        let fields: Vec<_> = line.split(' ').collect();
        let (path, flags) = (fields[4], fields[5]);
        let is_known = ["/", "/stage", "/etc/ld.so.cache", "/run/zkpass"].contains(&path)
            || ["/lib", "/usr/lib"]
                .iter()
                .any(|known| path.starts_with(known));
        assert!(is_known, "{line}");
        let is_read_only = flags.split(',').any(|flag| flag == "ro");
        assert_eq!(is_read_only, path != "/run/zkpass", "{line}");
    }
    runtime.block_on(launcher.shutdown());
    assert!(!exists(enclave));
}

pub fn a_killed_stage_leaves_no_enclave() {
    let (_directory, options) = options("deaf");
    let runtime = runtime();
    let launcher = runtime.block_on(Launcher::start(options)).unwrap();
    let enclave = only_child(ready(&launcher));
    kill_ready(&launcher);
    assert!(becomes_true(|| !exists(enclave)));
}

pub fn a_killed_launcher_leaves_no_enclave() {
    let (mut launcher, stage, enclave, _directory) = program("serve");
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    assert!(becomes_true(|| !exists(enclave) && !exists(stage)));
}

pub fn a_deaf_enclave_ends_with_the_launcher() {
    let (mut launcher, stage, enclave, _directory) = program("deaf");
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    // It has its five seconds.
    std::thread::sleep(Duration::from_millis(200));
    assert!(exists(enclave));
    assert!(becomes_true(|| !exists(enclave) && !exists(stage)));
}

/// Starts the launcher program with a probe; returns it, the stage and the enclave.
fn program(mode: &str) -> (Child, u32, u32, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("enclave.sock");
    let launcher = Command::new(env!("CARGO_BIN_EXE_zkpass-launcher"))
        .arg("--socket")
        .arg(&socket)
        .arg("--enclave")
        .arg(this_program())
        .args(["--", probe::WORD, mode])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(becomes_true(|| socket.exists()));
    let stage = only_child(launcher.id());
    let enclave = only_child(stage);
    (launcher, stage, enclave, directory)
}

/// Kills the process that the launcher calls the enclave.
pub fn kill_ready(launcher: &Launcher) {
    let process = i32::try_from(ready(launcher)).unwrap();
    kill(Pid::from_raw(process), Signal::SIGKILL).unwrap();
}

fn ready(launcher: &Launcher) -> u32 {
    match launcher.status().borrow().state {
        State::Ready { process_id } => process_id,
        other => panic!("{other:?}"),
    }
}

/// The one child of a process.
fn only_child(parent: u32) -> u32 {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let Some(process) = id(&path) else { continue };
        // A process may end meanwhile.
        let Ok(status) = fs::read_to_string(path.join("status")) else {
            continue;
        };
        if status
            .lines()
            .any(|line| line == format!("PPid:\t{parent}"))
        {
            children.push(process);
        }
    }
    assert_eq!(children.len(), 1, "{children:?}");
    children[0]
}

fn id(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.parse().ok()
}
