//! The launcher with a real enclave, which is confined: this program is its stage as well.

mod common;

use std::{
    path::Path,
    process::{Command, ExitCode},
    time::Duration,
};

use common::{Client, PROGRAM, honest};
use libtest_mimic::{Arguments, Trial};
use tokio::{sync::watch, task::spawn_blocking, time::timeout};
use zkpass_launcher::{DevPlatform, Launcher, Options, State, Status, confined};

fn main() -> ExitCode {
    // Before a test harness starts threads.
    if confined::is_asked_for() {
        return confined::run();
    }
    let tests = [
        trial(
            "a_killed_enclave_is_noticed_and_started_again",
            a_killed_enclave_is_noticed_and_started_again,
        ),
        trial(
            "shutdown_ends_the_enclave_and_says_so",
            shutdown_ends_the_enclave_and_says_so,
        ),
        trial(
            "a_dropped_launcher_kills_the_enclave",
            a_dropped_launcher_kills_the_enclave,
        ),
        trial(
            "the_enclave_is_the_measured_one",
            the_enclave_is_the_measured_one,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests.into()).exit_code()
}

fn trial<F: Future<Output = ()> + 'static>(name: &str, test: fn() -> F) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(test());
        Ok(())
    })
}

async fn launch() -> Launcher {
    Launcher::start(Options::new(PROGRAM.into())).await.unwrap()
}

fn kill(process_id: u32) {
    let process_id = process_id.to_string();
    let kill = Command::new("kill").args(["-KILL", &process_id]).status();
    assert!(kill.unwrap().success());
}

async fn reaches(
    status: &mut watch::Receiver<Status>,
    wanted: impl FnMut(&Status) -> bool,
) -> Status {
    *timeout(Duration::from_secs(60), status.wait_for(wanted))
        .await
        .expect("the state is not reached")
        .unwrap()
}

fn process_id(status: Status) -> u32 {
    match status.state {
        State::Ready { process_id } => process_id,
        other => panic!("{other:?}"),
    }
}

fn is_running(process_id: u32) -> bool {
    Path::new(&format!("/proc/{process_id}")).exists()
}

async fn a_killed_enclave_is_noticed_and_started_again() {
    let launcher = launch().await;
    let socket = launcher.socket().to_owned();
    let mut status = launcher.status();
    let first = *status.borrow_and_update();
    assert_eq!(first.generation, 1);

    // Killed in the middle of a proof.
    let working = socket.clone();
    let (mut client, id) = spawn_blocking(move || {
        let mut client = Client::connect(&working);
        let (sealed, _) = client.seal(&honest());
        let message = client.prove_message(sealed);
        let id = client.send(message);
        common::wait_until(|| client.running() == 1);
        (client, id)
    })
    .await
    .unwrap();
    kill(process_id(first));
    let gone = reaches(&mut status, |status| status.state == State::Restarting).await;
    assert_eq!(gone.generation, 1);
    let old = spawn_blocking(move || {
        // The job has no answer: the connection is closed instead.
        while let Some(frame) = client.receive() {
            assert_ne!(frame.request_id, id);
        }
        client.info
    })
    .await
    .unwrap();

    let second = reaches(&mut status, |status| status.generation == 2).await;
    assert_ne!(process_id(second), process_id(first));
    let new = spawn_blocking(move || Client::connect(&socket).info)
        .await
        .unwrap();
    assert_ne!(new.enclave_id, old.enclave_id);
    assert_ne!(new.key_id, old.key_id);
    launcher.shutdown().await;
}

async fn shutdown_ends_the_enclave_and_says_so() {
    let launcher = launch().await;
    let mut status = launcher.status();
    let process_id = process_id(*status.borrow_and_update());
    let directory = launcher.socket().parent().unwrap().to_owned();
    assert!(is_running(process_id));
    launcher.shutdown().await;
    assert!(!is_running(process_id));
    assert_eq!(status.borrow_and_update().state, State::Stopped);
    assert!(!directory.exists());
}

async fn a_dropped_launcher_kills_the_enclave() {
    let launcher = launch().await;
    let process_id = process_id(*launcher.status().borrow());
    drop(launcher);
    timeout(Duration::from_secs(10), async {
        while is_running(process_id) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the enclave is still there");
}

async fn the_enclave_is_the_measured_one() {
    // A root of SEV-SNP has two RSA keys of 4096 bits, which takes time to find.
    for platform in DevPlatform::ALL {
        let options = Options {
            platform,
            ..Options::new(PROGRAM.into())
        };
        let launcher = Launcher::start(options).await.unwrap();
        let tee = *launcher.tee();
        assert!(tee.confined);
        let socket = launcher.socket().to_owned();
        let info = spawn_blocking(move || Client::connect(&socket).info)
            .await
            .unwrap();
        assert_eq!(info.kind, platform.name());
        let pcr0 = zkpass_core::encoding::hex(&tee.measurements.pcr0);
        assert_eq!(info.measurement_id, format!("{}:{pcr0}", platform.name()));
        launcher.shutdown().await;
    }
}
