//! The process itself: many jobs, cancellation, deadlines, keys, connections, its end.

mod common;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{Client, Enclave, PROGRAM, honest, wait_until};
use zkpass_channel::{AnswerOpener, SealedAnswerBody};
use zkpass_core::{
    code::Code,
    frame::{Decoder, Frame, Message},
};

/// What a sealed answer says when it is no proof.
fn code(opener: &AnswerOpener, answer: &Message) -> Code {
    let Message::Answer { sealed } = answer else {
        panic!("no answer but {answer:?}");
    };
    match opener.open(sealed).unwrap() {
        SealedAnswerBody::Refused(refusal) => refusal.code,
        SealedAnswerBody::Proved { .. } => panic!("it was proved"),
    }
}

/// Sends a request that takes long, and waits until a prover works on it.
fn start_long_job(client: &mut Client) -> (u64, AnswerOpener) {
    let (sealed, opener) = client.seal(&honest());
    let message = client.prove_message(sealed);
    let id = client.send(message);
    wait_until(|| client.running() == 1);
    (id, opener)
}

#[test]
fn jobs_on_one_connection_run_side_by_side() {
    let enclave = Enclave::start(&["--provers", "2", "--threads", "1"]);
    let mut client = enclave.connect();
    // Both need the same circuit keys at the same time.
    let jobs = [(); 2].map(|()| {
        let (sealed, opener) = client.seal(&honest());
        let message = client.prove_message(sealed);
        (client.send(message), opener)
    });
    wait_until(|| client.running() == 2);
    let mut answers = [client.receive().unwrap(), client.receive().unwrap()];
    answers.sort_by_key(|frame| frame.request_id);
    for ((id, opener), frame) in jobs.iter().zip(answers) {
        assert_eq!(frame.request_id, *id);
        let Message::Answer { sealed } = frame.message else {
            panic!("no answer but {frame:?}");
        };
        let answer = opener.open(&sealed).unwrap();
        assert!(
            matches!(answer, SealedAnswerBody::Proved { .. }),
            "{answer:?}"
        );
    }
}

#[test]
fn a_cancelled_job_answers_at_once_and_frees_its_place() {
    let enclave = Enclave::start(&[]);
    let mut client = enclave.connect();
    let (id, opener) = start_long_job(&mut client);
    client.send_as(id, Message::Cancel);
    assert_eq!(code(&opener, &client.answer_to(id)), Code::Cancelled);
    // Cancelling what is gone, or never was, does nothing.
    client.send_as(id, Message::Cancel);
    client.send_as(99, Message::Cancel);
    wait_until(|| client.running() == 0);
}

#[test]
fn a_deadline_ends_a_running_job() {
    let enclave = Enclave::start(&[]);
    let mut client = enclave.connect();
    let (sealed, opener) = client.seal(&honest());
    let answer = client.ask(Message::Prove {
        deadline_ms: 50,
        key_id: client.info.key_id.clone(),
        sealed,
    });
    assert_eq!(code(&opener, &answer), Code::DeadlineExceeded);
    wait_until(|| client.running() == 0);
}

#[test]
fn the_limit_of_the_enclave_ends_waiting_jobs() {
    let enclave = Enclave::start(&["--max-deadline", "1", "--threads", "1"]);
    let mut client = enclave.connect();
    let begin = Instant::now();
    // More work than one thread does in a second, and nobody in a hurry.
    let jobs = [(); 20].map(|()| {
        let (sealed, opener) = client.seal(&honest());
        let message = client.prove_message(sealed);
        (client.send(message), opener)
    });
    let (last, opener) = &jobs[19];
    assert_eq!(
        code(opener, &client.answer_to(*last)),
        Code::DeadlineExceeded
    );
    assert!(begin.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_full_enclave_says_so_and_the_request_stays_good() {
    let enclave = Enclave::start(&["--max-requests", "1"]);
    let mut client = enclave.connect();
    let (first, _) = start_long_job(&mut client);
    let (sealed, opener) = client.seal(&honest());
    let message = client.prove_message(sealed);
    let full = Code::QueueFull;
    assert_eq!(client.ask(message.clone()), Message::Failed { code: full });

    // It was not opened, so it is not a replay when it comes again.
    client.send_as(first, Message::Cancel);
    client.answer_to(first);
    let second = client.send(message);
    client.send_as(second, Message::Cancel);
    assert_eq!(code(&opener, &client.answer_to(second)), Code::Cancelled);
}

#[test]
fn jobs_end_with_their_connection_and_others_go_on() {
    let enclave = Enclave::start(&[]);
    let mut stays = enclave.connect();
    let mut goes = enclave.connect();
    start_long_job(&mut goes);
    drop(goes);
    wait_until(|| stays.running() == 0);
    wait_until(|| enclave.log().contains("connection closed"));
}

#[test]
fn a_malformed_frame_closes_its_connection_only() {
    let enclave = Enclave::start(&[]);
    let mut stays = enclave.connect();
    let id = 7;
    let sealed = stays.seal(&honest()).0;
    let prove = stays.prove_message(sealed);
    let hello = Message::Hello {
        info: Box::new(stays.info.clone()),
    };
    let cases: [&dyn Fn(&mut Client); 5] = [
        &|client| client.send_raw(&[0xff; 8]),
        &|client| client.send_raw(&[0, 0, 0, 3, 1, 2, 3]),
        // An unknown kind.
        &|client| client.send_raw(&[0, 0, 0, 10, 1, 99, 0, 0, 0, 0, 0, 0, 0, 0]),
        // A frame of the enclave.
        &|client| client.send_as(1, hello.clone()),
        // An id that is in use.
        &|client| {
            client.send_as(id, prove.clone());
            client.send_as(id, prove.clone());
        },
    ];
    for (index, case) in cases.iter().enumerate() {
        let mut client = enclave.connect();
        case(&mut client);
        assert!(client.receive().is_none(), "case {index}");
    }
    wait_until(|| enclave.log().matches("malformed frame").count() == cases.len());
    wait_until(|| stays.running() == 0);
}

#[test]
fn the_greeting_is_repeated_on_demand() {
    let enclave = Enclave::start(&[]);
    let mut client = enclave.connect();
    let answer = client.ask(Message::Info);
    let info = Box::new(client.info.clone());
    assert_eq!(answer, Message::Hello { info });
    assert_eq!(enclave.connect().info, client.info);
}

#[test]
fn keys_turn_and_the_old_one_dies() {
    let enclave = Enclave::start(&["--key-lifetime", "2"]);
    let mut client = enclave.connect();
    let old = client.prove_message(client.seal(&honest()).0);
    let frame = client.receive().unwrap();
    let Message::Hello { info } = frame.message else {
        panic!("no announcement but {frame:?}");
    };
    assert!(info.is_signed());
    assert_ne!(info.key_id, client.info.key_id);
    assert_eq!(info.identity_key, client.info.identity_key);
    let death = client.info.not_after;
    wait_until(|| common::now() > death);
    let code = Code::ReAttest;
    assert_eq!(client.ask(old), Message::Failed { code });
}

#[test]
fn sigterm_and_the_end_of_standard_input_stop_it() {
    let mut enclave = Enclave::start(&[]);
    let mut client = enclave.connect();
    start_long_job(&mut client);
    let process_id = enclave.process.id().to_string();
    let kill = Command::new("kill").arg(&process_id).status().unwrap();
    assert!(kill.success());
    assert_eq!(enclave.end().code(), Some(0));
    wait_until(|| client.receive().is_none());

    let mut enclave = Enclave::start(&["--exit-with-stdin"]);
    thread::sleep(Duration::from_millis(50));
    assert!(enclave.process.try_wait().unwrap().is_none());
    drop(enclave.process.stdin.take());
    assert_eq!(enclave.end().code(), Some(0));
}

#[test]
fn the_socket_is_private_and_taken_over_only_from_the_dead() {
    let enclave = Enclave::start(&[]);
    let mode = fs::metadata(enclave.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let refused = |socket: &std::path::Path| {
        let output = Command::new(PROGRAM)
            .arg("--socket")
            .arg(socket)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(&enclave.socket()).contains("is in use"));
    enclave.connect();

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "keep").unwrap();
    assert!(refused(&file).contains("is not a socket"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "keep");

    // What a killed process leaves behind.
    let socket = directory.path().join("e.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let mut process = Command::new(PROGRAM)
        .arg("--socket")
        .arg(&socket)
        .spawn()
        .unwrap();
    wait_until(|| std::os::unix::net::UnixStream::connect(&socket).is_ok());
    Client::connect(&socket);
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn it_serves_on_a_tcp_port() {
    // Free a moment ago, and the kernel does not give it out again at once.
    let unused = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let mut process = Command::new(PROGRAM)
        .arg("--socket")
        .arg(format!("tcp:{address}"))
        // A failing test ends it too.
        .arg("--exit-with-stdin")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stream = None;
    wait_until(|| {
        stream = TcpStream::connect(address).ok();
        stream.is_some()
    });
    let mut stream = stream.unwrap();
    let mut decoder = Decoder::default();
    let mut receive = |stream: &mut TcpStream| loop {
        if let Some(frame) = decoder.next_frame().unwrap() {
            return frame.message;
        }
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "the enclave closed the connection");
        decoder.push(&bytes[..count]);
    };
    assert!(matches!(receive(&mut stream), Message::Hello { .. }));
    let health = Frame {
        request_id: 1,
        message: Message::Health,
    };
    stream.write_all(&health.encode().unwrap()).unwrap();
    assert!(matches!(receive(&mut stream), Message::Healthy { .. }));
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn wrong_arguments_end_it_with_a_message() {
    let output = Command::new(PROGRAM).arg("--nonsense").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("--nonsense"), "{message}");
}
