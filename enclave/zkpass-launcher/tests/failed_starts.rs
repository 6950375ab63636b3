//! Programs that are no enclave; the tests with a real one are in `zkpass-enclave`.

use std::{
    fs,
    time::{Duration, Instant},
};

use zkpass_launcher::{Confinement, LaunchError, Launcher, Options};

async fn start(program: &str, arguments: &[&str]) -> LaunchError {
    let options = Options {
        arguments: arguments.iter().map(Into::into).collect(),
        // Scripts leave their traces in files.
        confinement: Confinement::DangerNone,
        start_timeout: Duration::from_millis(500),
        ..Options::new(program.into())
    };
    Launcher::start(options).await.unwrap_err()
}

async fn start_script(text: &str) -> LaunchError {
    start("/bin/sh", &["-c", text]).await
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let error = start("/no/such/enclave", &[]).await;
    assert_eq!(error.to_string(), "cannot start `/no/such/enclave`");
}

#[tokio::test]
async fn a_program_that_ends_is_reported_at_once() {
    let begin = Instant::now();
    let error = start_script("exit 3").await;
    let LaunchError::Ended { status } = error else {
        panic!("{error}");
    };
    assert_eq!(status.code(), Some(3));
    assert!(begin.elapsed() < Duration::from_millis(400));
}

#[tokio::test]
async fn a_program_that_says_nothing_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("pid");
    let text = format!("echo $$ > {}; exec sleep 60", mark.display());
    let error = start_script(&text).await;
    assert!(matches!(error, LaunchError::Timeout { .. }), "{error}");
    let process_id = fs::read_to_string(mark).unwrap();
    assert!(is_gone(process_id.trim()).await);
}

#[tokio::test]
async fn the_environment_does_not_reach_the_enclave() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("environment");
    let text = format!("/usr/bin/env > {}; exit 1", mark.display());
    start_script(&text).await;
    let seen = fs::read_to_string(mark).unwrap();
    // What is left was set by the shell itself.
    for line in seen.lines() {
        assert!(
            ["PWD=", "OLDPWD=", "_=", "SHLVL="]
                .iter()
                .any(|own| line.starts_with(own)),
            "{line}"
        );
    }
}

/// Whether the process ends within a second; a zombie counts as gone.
async fn is_gone(process_id: &str) -> bool {
    for _ in 0..100 {
        match fs::read_to_string(format!("/proc/{process_id}/stat")) {
            Err(_) => return true,
            Ok(stat) if stat.contains(") Z ") => return true,
            Ok(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    false
}
