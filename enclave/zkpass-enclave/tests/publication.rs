//! No answer leaves before its boundary, whatever it says and whichever way it goes.
//!
//! That answers leave *at* boundaries is tested on a clock that stands still, in the module.

mod common;

use std::time::{Duration, Instant};

use common::{Enclave, dvr, honest, request};
use getrandom::SysRng;
use zkpass_channel::{SealedAnswerBody, SealedRequestBody, jwe, rand_core::UnwrapErr};
use zkpass_core::{code::Code, frame::Message};

const FIRST_BOUNDARY: Duration = Duration::from_millis(50);

fn expired() -> SealedRequestBody {
    let mut dvr = dvr(common::QUERY);
    dvr.expires_at = Some(1);
    request(&dvr)
}

#[test]
fn quick_answers_wait_for_the_first_boundary() {
    let enclave = Enclave::start(&["--provers", "2"]);
    let mut client = enclave.connect();
    for _ in 0..5 {
        let (sealed, _) = client.seal(&expired());
        let message = client.prove_message(sealed);
        let begin = Instant::now();
        let answer = client.ask(message);
        assert!(matches!(answer, Message::Answer { .. }), "{answer:?}");
        assert!(begin.elapsed() >= FIRST_BOUNDARY);
    }
    // Open ones too, and whether or not they could be opened.
    let body = expired();
    let key = client.info.encryption_key;
    let (user_data, dvr) =
        jwe::seal_request(&body.tokens, &body.dvr_token, &key, &mut UnwrapErr(SysRng)).unwrap();
    for user_data in [String::new(), user_data] {
        let begin = Instant::now();
        let answer = client.ask(Message::ProveJwe {
            deadline_ms: 60_000,
            user_data,
            dvr: dvr.clone(),
        });
        let code = Code::SealedRequestRejected;
        assert_eq!(answer, Message::Failed { code });
        assert!(begin.elapsed() >= FIRST_BOUNDARY);
    }
}

#[test]
fn a_deadline_is_answered_at_the_boundary_before_it() {
    let enclave = Enclave::start(&["--threads", "1"]);
    let mut client = enclave.connect();
    let (sealed, opener) = client.seal(&honest());
    let begin = Instant::now();
    let answer = client.ask(Message::Prove {
        deadline_ms: 149,
        key_id: client.info.key_id.clone(),
        sealed,
    });
    let elapsed = begin.elapsed();
    let Message::Answer { sealed } = answer else {
        panic!("no answer but {answer:?}");
    };
    let answer = opener.open(&sealed).unwrap();
    assert!(
        matches!(&answer, SealedAnswerBody::Refused(refusal) if refusal.code == Code::DeadlineExceeded),
        "{answer:?}"
    );
    assert!(elapsed >= 2 * FIRST_BOUNDARY);
}

#[test]
fn requests_count_until_their_answers_leave() {
    let enclave = Enclave::start(&["--provers", "2"]);
    let mut client = enclave.connect();
    // It is refused in a moment; health must not tell that the prover is free again.
    let begin = Instant::now();
    let (sealed, _) = client.seal(&expired());
    let message = client.prove_message(sealed);
    client.send(message);
    let health = client.send(Message::Health);
    loop {
        match client.receive().unwrap().message {
            Message::Answer { .. } => break,
            Message::Healthy { waiting, running } if begin.elapsed() < FIRST_BOUNDARY => {
                assert_eq!((waiting, running), (0, 1));
                client.send_as(health, Message::Health);
            }
            Message::Healthy { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}
