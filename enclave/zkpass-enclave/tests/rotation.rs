//! Keys turn under load and no request is lost.

mod common;

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use common::{Client, Enclave, QUERY, dvr, honest, now, request, wait_until};
use zkpass_channel::{SealedAnswerBody, SealedRequestBody};
use zkpass_core::{api::EnclaveInfo, code::Code, frame::Message};

const CLIENTS: usize = 3;

/// Requests that a client has in flight at a time.
const BURST: usize = 4;

/// Keys that each client must have used: with lives of two seconds a new one comes every second.
const KEYS: usize = 8;

/// What became of a request.
enum End {
    Answered(SealedAnswerBody),
    /// The key had died, as it was announced to.
    Late,
}

/// A request in flight.
struct Sent {
    id: u64,
    to: EnclaveInfo,
    opener: zkpass_channel::AnswerOpener,
}

fn send(client: &mut Client, body: &SealedRequestBody) -> Sent {
    let to = client.info.clone();
    let (sealed, opener) = client.seal(body);
    let message = client.prove_message(sealed);
    let id = client.send(message);
    Sent { id, to, opener }
}

/// Waits for all the answers, and follows the announcements meanwhile.
fn receive(client: &mut Client, mut sent: Vec<Sent>) -> Vec<End> {
    let mut ends = Vec::new();
    while !sent.is_empty() {
        let frame = client.receive().expect("the enclave closed the connection");
        if let Message::Hello { info } = frame.message {
            assert!(info.is_signed());
            assert_eq!(info.identity_key, client.info.identity_key);
            assert_eq!(info.encryption_key, client.info.encryption_key);
            client.info = *info;
            continue;
        }
        let index = sent.iter().position(|sent| sent.id == frame.request_id);
        let sent = sent.swap_remove(index.expect("an answer to a question"));
        ends.push(match frame.message {
            Message::Answer { sealed } => End::Answered(sent.opener.open(&sealed).unwrap()),
            Message::Failed { code } => {
                // The one honest reason, on a machine that was busy for so long.
                assert_eq!(code, Code::ReAttest);
                assert!(now() > sent.to.not_after, "a key died before its time");
                End::Late
            }
            other => panic!("{other:?}"),
        });
    }
    ends
}

/// Ends the threads also when the test fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn no_request_is_lost_while_keys_turn() {
    let arguments = ["--key-lifetime", "2", "--provers", "2", "--threads", "1"];
    let enclave = Enclave::start(&arguments);
    let stop = AtomicBool::new(false);
    let satisfied = AtomicUsize::new(0);
    let mut expired = dvr(QUERY);
    expired.expires_at = Some(1);
    // Quickly refused, so that many keys see many requests.
    let body = request(&expired);

    let load = || {
        let mut client = enclave.connect();
        let mut keys = BTreeSet::new();
        let mut answered = 0;
        while !stop.load(Ordering::Relaxed) {
            let burst = [(); BURST].map(|()| send(&mut client, &body));
            let key_id = burst[0].to.key_id.clone();
            for end in receive(&mut client, burst.into()) {
                let End::Answered(answer) = end else {
                    continue;
                };
                let SealedAnswerBody::Refused(refusal) = answer else {
                    panic!("it was proved");
                };
                assert_eq!(refusal.code, Code::DvrExpired);
                answered += 1;
                if keys.insert(key_id.clone()) && keys.len() == KEYS {
                    satisfied.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        answered
    };
    // Proofs, until one was made while the key of its request was replaced.
    let prove = || {
        let mut client = enclave.connect();
        while !stop.load(Ordering::Relaxed) {
            let sent = send(&mut client, &honest());
            let key_id = sent.to.key_id.clone();
            for end in receive(&mut client, vec![sent]) {
                let End::Answered(answer) = end else {
                    continue;
                };
                assert!(
                    matches!(answer, SealedAnswerBody::Proved { .. }),
                    "{answer:?}"
                );
                if client.info.key_id != key_id {
                    return true;
                }
            }
        }
        false
    };
    thread::scope(|scope| {
        let _guard = StopOnDrop(&stop);
        let clients = [(); CLIENTS].map(|()| scope.spawn(load));
        let prover = scope.spawn(prove);
        wait_until(|| {
            // A client that failed ends the test now.
            let failed = clients.iter().any(|client| client.is_finished());
            let satisfied = satisfied.load(Ordering::Relaxed) == CLIENTS;
            failed || satisfied && prover.is_finished()
        });
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            let answered = client.join().unwrap();
            assert!(answered >= KEYS, "{answered}");
        }
        assert!(prover.join().unwrap(), "no key turned during a proof");
    });
    let log = enclave.log();
    assert!(log.matches("new key").count() >= KEYS - 1, "{log}");
    assert!(!log.contains("failure"), "{log}");
}
