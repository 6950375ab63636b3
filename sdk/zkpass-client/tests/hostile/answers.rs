//! Requests and answers that are changed on their way, one request at a time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use zkpass_core::api::{EnclaveOffer, JobResponse, JobStatus, Problem, ProofRequest};
use zkpass_core::code::Code;
use zkpass_core::encoding::{base64url, from_base64url};

use crate::proxy::{Delivery, Proxy, Response, Seen, Upstream};
use crate::stack::{PATIENCE, Scene, Stack};
use crate::{
    FOREIGN_ANSWER, HONEST, Outcome, TURN, Zoo, assert_answers, once, outcome, quick, within,
};

/// Somebody who shows the first enclave as it is and changes the rest.
#[derive(Clone, Copy)]
enum Change {
    /// Changes what is posted; the other enclaves are there to be named.
    Request(fn(&mut ProofRequest, &[EnclaveOffer])),
    /// Changes the bytes that are posted.
    Body(fn(&mut Vec<u8>)),
    /// Changes the job.
    Job(fn(&mut JobResponse)),
    /// Changes the whole response.
    Response(fn(Response) -> Delivery),
}

/// Shows the first enclave as it is.
async fn honest_offer(request: &Seen, upstream: &Upstream) -> Delivery {
    let mut offers = upstream.offers(request).await;
    offers.truncate(1);
    Delivery::Whole(Response::offers(offers))
}

/// Changes sealed bytes behind their base64url.
fn alter(text: &mut String, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = from_base64url(text).unwrap();
    change(&mut bytes);
    *text = base64url(&bytes);
}

fn alter_answer(job: &mut JobResponse, change: impl FnOnce(&mut Vec<u8>)) {
    alter(job.sealed_answer.as_mut().unwrap(), change);
}

fn fail(job: &mut JobResponse, code: Code) {
    *job = JobResponse {
        status: JobStatus::Failed,
        sealed_answer: None,
        problem: Some(Problem::new(code)),
        ..job.clone()
    };
}

const REJECTED: Outcome = ("problem", Code::SealedRequestRejected);
const MALFORMED: Outcome = ("malformed", Code::Internal);
const TRANSPORT: Outcome = ("transport", Code::EnclaveUnavailable);

const CASES: &[(&str, Change, Outcome)] = &[
    ("nothing is changed", Change::Body(|_| {}), HONEST),
    (
        "the first byte of the sealed request",
        Change::Request(|request, _| alter(&mut request.sealed, |bytes| bytes[0] ^= 1)),
        REJECTED,
    ),
    (
        "a byte in the middle",
        Change::Request(|request, _| {
            alter(&mut request.sealed, |bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x80;
            });
        }),
        REJECTED,
    ),
    (
        "the last byte",
        Change::Request(|request, _| {
            alter(&mut request.sealed, |bytes| *bytes.last_mut().unwrap() ^= 1);
        }),
        REJECTED,
    ),
    (
        "a byte less",
        Change::Request(|request, _| {
            alter(&mut request.sealed, |bytes| bytes.truncate(bytes.len() - 1))
        }),
        REJECTED,
    ),
    (
        "a byte more",
        Change::Request(|request, _| alter(&mut request.sealed, |bytes| bytes.push(0))),
        REJECTED,
    ),
    (
        "an empty sealed request",
        Change::Request(|request, _| request.sealed.clear()),
        REJECTED,
    ),
    (
        "sent to another life of the same program",
        Change::Request(|request, others| {
            request.enclave_id = others[1].info.enclave_id.clone();
            request.key_id = others[1].info.key_id.clone();
        }),
        REJECTED,
    ),
    (
        "sent to another program",
        Change::Request(|request, others| {
            request.enclave_id = others[2].info.enclave_id.clone();
            request.key_id = others[2].info.key_id.clone();
        }),
        REJECTED,
    ),
    (
        "another enclave with this key's id",
        Change::Request(|request, others| {
            request.enclave_id = others[1].info.enclave_id.clone();
        }),
        ("problem", Code::ReAttest),
    ),
    (
        "another key's id",
        Change::Request(|request, _| request.key_id.push('x')),
        ("problem", Code::ReAttest),
    ),
    (
        "a truncated body",
        Change::Body(|body| body.truncate(body.len() / 2)),
        ("problem", Code::InvalidRequest),
    ),
    (
        "a body that is not base64url",
        Change::Request(|request, _| request.sealed.push('=')),
        ("problem", Code::InvalidRequest),
    ),
    (
        "the first byte of the answer",
        Change::Job(|job| alter_answer(job, |bytes| bytes[0] ^= 1)),
        FOREIGN_ANSWER,
    ),
    (
        "the last byte of the answer",
        Change::Job(|job| alter_answer(job, |bytes| *bytes.last_mut().unwrap() ^= 1)),
        FOREIGN_ANSWER,
    ),
    (
        "an answer that is shorter by a byte",
        Change::Job(|job| alter_answer(job, |bytes| bytes.truncate(bytes.len() - 1))),
        FOREIGN_ANSWER,
    ),
    (
        "an answer without its last block",
        Change::Job(|job| alter_answer(job, |bytes| bytes.truncate(bytes.len() - 1024))),
        FOREIGN_ANSWER,
    ),
    (
        "an answer with a block more",
        Change::Job(|job| alter_answer(job, |bytes| bytes.extend([0; 1024]))),
        FOREIGN_ANSWER,
    ),
    (
        "an empty answer",
        Change::Job(|job| alter_answer(job, Vec::clear)),
        FOREIGN_ANSWER,
    ),
    (
        "an answer that is not base64url",
        Change::Job(|job| job.sealed_answer.as_mut().unwrap().push('=')),
        MALFORMED,
    ),
    (
        "a job that is done without an answer",
        Change::Job(|job| job.sealed_answer = None),
        MALFORMED,
    ),
    // A service can fail a job, but not in the name of the enclave.
    (
        "a failed job is forged",
        Change::Job(|job| fail(job, Code::NotPublic)),
        ("problem", Code::NotPublic),
    ),
    (
        "a failed job is forged beside the answer",
        Change::Job(|job| {
            job.status = JobStatus::Failed;
            job.problem = Some(Problem::new(Code::Internal));
        }),
        ("problem", Code::Internal),
    ),
    (
        "a failed job without a problem",
        Change::Job(|job| job.status = JobStatus::Failed),
        MALFORMED,
    ),
    (
        "a problem document is forged",
        Change::Response(|_| {
            Delivery::Whole(Response::problem(&Problem::new(Code::TokenBadSignature)))
        }),
        ("problem", Code::TokenBadSignature),
    ),
    (
        "a problem document with a code that nobody knows",
        Change::Response(|_| {
            let mut response = Response::problem(&Problem::new(Code::Internal));
            let text = String::from_utf8(response.body).unwrap();
            response.body = text.replace("\"internal\"", "\"x\"").into_bytes();
            Delivery::Whole(response)
        }),
        ("status", Code::EnclaveUnavailable),
    ),
    (
        "closed within the body",
        Change::Response(|response| {
            let half = response.body.len() / 2;
            Delivery::Cut(response, half)
        }),
        TRANSPORT,
    ),
    (
        "closed before the last byte",
        Change::Response(|response| {
            let length = response.body.len() - 1;
            Delivery::Cut(response, length)
        }),
        TRANSPORT,
    ),
    (
        "a body that ends early",
        Change::Response(|response| Delivery::Understated(response, 200)),
        MALFORMED,
    ),
    ("closed", Change::Response(|_| Delivery::Close), TRANSPORT),
    (
        "an endless body",
        Change::Response(Delivery::Endless),
        ("too-large", Code::Internal),
    ),
    (
        "an endless head",
        Change::Response(|_| Delivery::EndlessHead),
        TRANSPORT,
    ),
    (
        "silence",
        Change::Response(|_| Delivery::Silence),
        ("deadline", Code::DeadlineExceeded),
    ),
];

async fn check(zoo: &Zoo, case: &str, change: Change, expected: Outcome) {
    let all = zoo.offers().await;
    let proxy = Proxy::start(&zoo.stack.url, move |mut request, upstream| {
        let all = all.clone();
        async move {
            if request.is_question() {
                return honest_offer(&request, &upstream).await;
            }
            match change {
                Change::Request(change) => {
                    let mut body = request.json();
                    change(&mut body, &all);
                    request.body = serde_json::to_vec(&body).unwrap();
                }
                Change::Body(change) => change(&mut request.body),
                Change::Job(_) | Change::Response(_) => {}
            }
            let mut response = upstream.ask(&request).await;
            match change {
                Change::Job(change) => response.change(change),
                Change::Response(change) => return change(response),
                Change::Request(_) | Change::Body(_) => {}
            }
            Delivery::Whole(response)
        }
    });
    let proxy = proxy.await;
    // Long enough to get that far; if it is not, the error is the same.
    let deadline = match expected.0 {
        "deadline" => Duration::from_secs(1),
        _ => PATIENCE,
    };
    let holder = within(&proxy.url, &zoo.stack, deadline);
    let result = holder.prove(&quick().request()).await;
    assert_eq!(outcome(result), expected, "{case}");
    assert!(proxy.posts().len() <= 1, "{case}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_on_the_way_is_an_error_of_its_kind() {
    let _turn = TURN.lock().await;
    let zoo = Zoo::start().await;
    for (case, change, expected) in CASES {
        check(&zoo, case, *change, *expected).await;
    }
}

/// Which of two equal requests the client hears of.
#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_request_is_rejected_and_the_first_one_answered() {
    let _turn = TURN.lock().await;
    let zoo = Zoo::start().await;
    for (told, expected) in [(0, HONEST), (1, REJECTED), (2, REJECTED)] {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heard);
        let proxy = Proxy::start(&zoo.stack.url, move |request, upstream| {
            let log = Arc::clone(&log);
            async move {
                if request.is_question() {
                    return honest_offer(&request, &upstream).await;
                }
                let mut responses = Vec::new();
                for _ in 0..3 {
                    responses.push(upstream.ask(&request).await);
                }
                let jobs = responses.iter().map(Response::json::<JobResponse>);
                log.lock().unwrap().extend(jobs);
                Delivery::Whole(responses.swap_remove(told))
            }
        });
        let proxy = proxy.await;
        let holder = once(&proxy.url, &zoo.stack);
        let result = holder.prove(&quick().request()).await;
        assert_eq!(outcome(result), expected);
        let jobs = heard.lock().unwrap().clone();
        assert_eq!(jobs[0].status, JobStatus::Done);
        for job in &jobs[1..] {
            let mut problem = job.problem.clone().unwrap();
            problem.instance = None;
            assert_eq!(problem, Problem::new(Code::SealedRequestRejected));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_an_earlier_request_is_not_taken() {
    let _turn = TURN.lock().await;
    let stack = Stack::start("");
    let kept = Arc::new(Mutex::new(None::<Response>));
    let proxy = Proxy::start(&stack.url, move |request, upstream| {
        let kept = Arc::clone(&kept);
        async move {
            if request.is_question() {
                return honest_offer(&request, &upstream).await;
            }
            let old = kept.lock().unwrap().clone();
            let response = match old {
                Some(old) => old,
                None => upstream.ask(&request).await,
            };
            *kept.lock().unwrap() = Some(response.clone());
            Delivery::Whole(response)
        }
    });
    let proxy = proxy.await;
    let holder = once(&proxy.url, &stack);
    // A real proof, which the holder of the very same request takes once.
    let scene = Scene::new();
    let proof = holder.prove(&scene.request()).await.unwrap();
    let offers = crate::offers(&stack, 1).await;
    assert_answers(&scene, proof, &offers[0]).await;
    for scene in [scene, Scene::new()] {
        match holder.prove(&scene.request()).await {
            Err(error) => assert_eq!(outcome(Err(error)), FOREIGN_ANSWER),
            Ok(_) => panic!("an old answer was taken"),
        }
    }
    assert_eq!(proxy.posts().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_broken_answer_the_request_is_sealed_anew() {
    let _turn = TURN.lock().await;
    let stack = Stack::start("");
    let broken = Arc::new(Mutex::new(false));
    let proxy = Proxy::start(&stack.url, move |request, upstream| {
        let broken = Arc::clone(&broken);
        async move {
            if request.is_question() {
                return honest_offer(&request, &upstream).await;
            }
            let response = upstream.ask(&request).await;
            match std::mem::replace(&mut *broken.lock().unwrap(), true) {
                false => Delivery::Cut(response, 50),
                true => Delivery::Whole(response),
            }
        }
    });
    let proxy = proxy.await;
    let holder = zkpass_client::holder::Holder::builder(&proxy.url, stack.policy());
    let holder = holder.max_attempts(2).build().unwrap();
    let scene = Scene::new();
    let proof = holder.prove(&scene.request()).await.unwrap();
    let offers = crate::offers(&stack, 1).await;
    assert_answers(&scene, proof, &offers[0]).await;

    let posts = proxy.posts();
    let sealed = |post: &Seen| from_base64url(&post.json::<ProofRequest>().sealed).unwrap();
    let [first, second] = [sealed(&posts[0]), sealed(&posts[1])];
    assert_eq!(first.len(), second.len());
    let same = first.iter().zip(&second).filter(|(a, b)| a == b).count();
    assert!(same < first.len() / 16, "{same} of {}", first.len());
    // An answer that broke says nothing good of the enclave: it attests again.
    let questions = proxy
        .seen()
        .iter()
        .filter(|seen| seen.is_question())
        .count();
    assert_eq!(questions, 2);
}

/// What the service writes ends in messages, and those on terminals.
#[tokio::test(flavor = "multi_thread")]
async fn messages_hold_no_control_characters_of_the_service() {
    let _turn = TURN.lock().await;
    let stack = Stack::start("");
    type Lie = fn(&mut EnclaveOffer, &str);
    let lies: [(Lie, &str); 3] = [
        (|_, _| {}, "(\u{fffd}[2J"),
        (
            |offer, text| {
                offer.evidence = None;
                offer.info.kind = text.into();
            },
            "`\u{fffd}[2J",
        ),
        (
            |offer, text| offer.evidence.as_mut().unwrap().platform = text.into(),
            "`\u{fffd}[2J",
        ),
    ];
    for (lie, shown) in lies {
        let proxy = Proxy::start(&stack.url, move |request, upstream| async move {
            let text = format!("\u{1b}[2J{}", "x".repeat(100_000));
            if !request.is_question() {
                let problem = Problem::new(Code::Internal).with_detail(text);
                return Delivery::Whole(Response::problem(&problem));
            }
            let mut offers = upstream.offers(&request).await;
            lie(&mut offers[0], &text);
            Delivery::Whole(Response::offers(offers))
        });
        let proxy = proxy.await;
        let holder = once(&proxy.url, &stack);
        let error = holder.prove(&quick().request()).await.unwrap_err();
        let message = error.to_string();
        assert!(message.contains(shown), "{message}");
        assert!(!message.contains(char::is_control), "{message:?}");
        assert!(message.len() < 400, "{}", message.len());
    }
}
