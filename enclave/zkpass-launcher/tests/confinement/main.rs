//! A confined process from within and from outside.
//!
//! This program is three: the tests, the stage that confines, and the probe
//! that is confined in the enclave's place.

mod from_outside;
mod probe;

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use libtest_mimic::{Arguments, Trial};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use zkpass_launcher::{Confinement, LaunchError, Launcher, Options, State, confined};

/// A user that has no rights anywhere.
const NOBODY: u32 = 65534;

/// The first argument when the tests run themselves as another user.
const AS_NOBODY: &str = "as-nobody";

fn main() -> ExitCode {
    if confined::is_asked_for() {
        return confined::run();
    }
    match std::env::args().nth(1).as_deref() {
        Some(probe::WORD) => return probe::run(),
        Some(AS_NOBODY) => {
            from_within();
            from_outside::looks_confined();
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let tests: [(&str, fn()); 10] = [
        ("from_within", from_within),
        ("looks_confined", from_outside::looks_confined),
        ("an_ordinary_user_can_confine", an_ordinary_user_can_confine),
        (
            "a_killed_stage_leaves_no_enclave",
            from_outside::a_killed_stage_leaves_no_enclave,
        ),
        (
            "a_killed_launcher_leaves_no_enclave",
            from_outside::a_killed_launcher_leaves_no_enclave,
        ),
        (
            "a_deaf_enclave_ends_with_the_launcher",
            from_outside::a_deaf_enclave_ends_with_the_launcher,
        ),
        ("a_changed_program_is_refused", a_changed_program_is_refused),
        (
            "a_shared_directory_is_refused",
            a_shared_directory_is_refused,
        ),
        ("what_is_missing_is_said", what_is_missing_is_said),
        (
            "without_confinement_the_probe_sees_the_host",
            without_confinement_the_probe_sees_the_host,
        ),
    ];
    let trial = |(name, test): (&str, fn())| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let trials = tests.into_iter().map(trial).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn this_program() -> PathBuf {
    std::env::current_exe().unwrap()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

/// A directory for the socket of a probe, and options that start it.
fn options(mode: &str) -> (TempDir, Options) {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        arguments: [probe::WORD, mode].map(Into::into).into(),
        socket: Some(directory.path().join("enclave.sock")),
        ..Options::new(this_program())
    };
    (directory, options)
}

/// Runs a probe to its end and returns its report.
fn report(options: Options) -> String {
    let path = options
        .socket
        .clone()
        .unwrap()
        .with_file_name(probe::REPORT);
    let error = runtime().block_on(Launcher::start(options)).unwrap_err();
    let LaunchError::Ended { status } = error else {
        panic!("{error}");
    };
    assert!(status.success(), "{status}");
    fs::read_to_string(path).unwrap()
}

fn from_within() {
    // Somebody to talk to, if there were a way.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (_directory, mut options) = options("report");
    let port = listener.local_addr().unwrap().port().to_string();
    options.arguments.push(port.into());
    let report = report(options);
    let facts: Vec<&str> = report.lines().collect();
    assert_eq!(
        facts,
        [
            "process: 1, parent 0, user 1000, group 1000",
            "environment: 0",
            "host name: enclave",
            "core limit: 0 of 0",
            "no new privileges: true",
            // Landlock shows no directory but those of libraries.
            "list /: EACCES",
            "list /etc: EACCES",
            "open /etc/passwd: ENOENT",
            "open /proc/self/status: ENOENT",
            "open /dev/null: ENOENT",
            "open /home: ENOENT",
            "open /tmp: ENOENT",
            "open /stage: EACCES",
            "write /enclave: EACCES",
            "make /new: EROFS",
            "make /usr/lib/new: EROFS",
            "make /run/zkpass/link -> /: EACCES",
            "execute /stage: EACCES",
            "another process: ESRCH",
            "network: killed by SIGSYS",
            "netlink: killed by SIGSYS",
            "mount: killed by SIGSYS",
            "unmount: killed by SIGSYS",
            "unshare: killed by SIGSYS",
            "chroot: killed by SIGSYS",
            "ptrace: killed by SIGSYS",
            "host name change: killed by SIGSYS",
            "device: killed by SIGSYS",
            "thread: fine",
            "unix socket: fine",
            "random: fine",
        ],
        "\n{report}"
    );
}

fn without_confinement_the_probe_sees_the_host() {
    // The probe can fail: without it the list above would prove little.
    let (directory, mut options) = options("report");
    options.arguments.push("1".into());
    options.arguments.push(directory.path().into());
    options.confinement = Confinement::DangerNone;
    let report = report(options);
    for line in [
        "list /: fine",
        "open /etc/passwd: fine",
        "open /proc/self/status: fine",
        "network: ECONNREFUSED",
        "ptrace: fine",
    ] {
        assert!(
            report.lines().any(|found| found == line),
            "{line}\n{report}"
        );
    }
}

/// Root can do more than others outside, and must not inside; others can confine as well.
fn an_ordinary_user_can_confine() {
    if !nix::unistd::geteuid().is_root() {
        // Then all tests here are that test.
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = directory.path().join("probe");
    fs::copy(this_program(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(&program)
        .arg(AS_NOBODY)
        .uid(NOBODY)
        .gid(NOBODY)
        .current_dir("/")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

fn a_changed_program_is_refused() {
    let (directory, mut options) = options("serve");
    let program = directory.path().with_extension("program");
    fs::copy(this_program(), &program).unwrap();
    options.program = program.clone();
    options.first_pause = Duration::from_millis(20);
    runtime().block_on(async {
        let launcher = Launcher::start(options).await.unwrap();
        let mut status = launcher.status();
        // In place of the running one, as an update or an attacker would do it.
        let changed = directory.path().with_extension("changed");
        let mut bytes = fs::read(&program).unwrap();
        bytes.push(0);
        fs::write(&changed, bytes).unwrap();
        fs::set_permissions(&changed, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&changed, &program).unwrap();
        from_outside::kill_ready(&launcher);
        status
            .wait_for(|status| status.state == State::Restarting)
            .await
            .unwrap();
        let again = status.wait_for(|status| status.generation == 2);
        let stays_away = tokio::time::timeout(Duration::from_secs(2), again)
            .await
            .is_err();
        assert!(stays_away, "a changed program was started");
        // The measured one is started again.
        fs::copy(this_program(), &changed).unwrap();
        fs::rename(&changed, &program).unwrap();
        let again = status.wait_for(|status| status.generation == 2);
        tokio::time::timeout(Duration::from_secs(20), again)
            .await
            .expect("the enclave does not come back")
            .unwrap();
        // Its predecessor took its own security module along, and not this one's.
        assert!(directory.path().join("nsm.sock").exists());
        launcher.shutdown().await;
    });
    fs::remove_file(program).unwrap();
}

fn a_shared_directory_is_refused() {
    let start = |options: Options| runtime().block_on(Launcher::start(options)).unwrap_err();

    let (directory, shared) = options("serve");
    fs::write(directory.path().join("letters"), "private").unwrap();
    let error = start(shared);
    assert!(matches!(error, LaunchError::SharedDirectory(_)), "{error}");

    let (directory, open) = options("serve");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = start(open);
    assert!(matches!(error, LaunchError::SharedDirectory(_)), "{error}");

    let (directory, mut named) = options("serve");
    named.socket = Some(directory.path().join("other.sock"));
    let error = start(named);
    assert!(matches!(error, LaunchError::SocketName(_)), "{error}");
}

/// In a namespace that allows no further ones the launcher refuses and says which switch it is.
fn what_is_missing_is_said() {
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"";
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", script])
        .arg(env!("CARGO_BIN_EXE_zkpass-launcher"))
        .arg("--socket")
        .arg(directory.path().join("enclave.sock"))
        .arg("--enclave")
        .arg(this_program())
        .args(["--", probe::WORD, "serve"])
        .output()
        .expect("util-linux is needed for this test");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("user namespaces are not available"), "{text}");
    assert!(
        text.contains("sysctl user.max_user_namespaces=1024"),
        "{text}"
    );
}

/// Whether something becomes true within some seconds.
fn becomes_true(mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        if is_so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

fn exists(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}
