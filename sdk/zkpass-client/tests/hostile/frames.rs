//! Frames between service and enclave that are cut, held, repeated, swapped and
//! forged.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use zkpass_channel::PrivateKey;
use zkpass_channel::rand_core::UnwrapErr;
use zkpass_client::holder::Holder;
use zkpass_client::keys;
use zkpass_core::api::EnclaveOffer;
use zkpass_core::code::Code;
use zkpass_core::encoding::base64url;
use zkpass_core::frame::{Frame, Message};
use zkpass_launcher::{Launcher, Options};

use crate::frame_proxy::{FrameProxy, Out};
use crate::stack::{PATIENCE, Scene, Stack, pinned, program};
use crate::{FOREIGN_ANSWER, HONEST, Outcome, TURN, assert_answers, offers, outcome, quick};

/// The service, the proxy and the enclave, which is started here.
struct Line {
    stack: Stack,
    proxy: FrameProxy,
    _enclave: Launcher,
    _directory: TempDir,
}

impl Line {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let enclave = Launcher::start(Options {
            stage: Some(program("zkpass-launcher")),
            log: false,
            ..Options::new(program("zkpass-enclave"))
        });
        let enclave = enclave.await.unwrap();
        let socket: PathBuf = directory.path().join("proxy.sock");
        let proxy = FrameProxy::start(&socket, enclave.socket());
        let mut stack = Stack::serve(&format!(
            "in_flight = 16\n[[enclaves]]\nname = \"e\"\nsocket = {socket:?}\nhealth_seconds = 1\n"
        ));
        stack.root = enclave.tee().root_fingerprint;
        Self {
            stack,
            proxy,
            _enclave: enclave,
            _directory: directory,
        }
    }

    /// Waits until the service is connected, as it is again after each broken
    /// connection; what the enclave offers.
    async fn offer(&self) -> EnclaveOffer {
        self.proxy.be_honest();
        offers(&self.stack, 1).await.remove(0)
    }

    fn holder(&self, deadline: Duration) -> Holder {
        let policy = zkpass_client::danger::trust_development_root(
            pinned(&program("zkpass-enclave")),
            self.stack.root,
        );
        let holder = Holder::builder(&self.stack.url, policy).max_attempts(1);
        holder.deadline(deadline).build().unwrap()
    }

    /// The outcome of one request whose first frame of a kind is changed.
    async fn outcome(&self, change: Change, deadline: Duration) -> Outcome {
        let offer = self.offer().await;
        let holder = self.holder(deadline);
        let mut done = false;
        self.proxy.change(move |frame| {
            if done || !(change.kind)(&frame.message) {
                return vec![Out::Frame(frame)];
            }
            done = true;
            (change.change)(frame, &offer)
        });
        outcome(holder.prove(&quick().request()).await)
    }
}

#[derive(Clone, Copy)]
struct Change {
    kind: fn(&Message) -> bool,
    change: fn(Frame, &EnclaveOffer) -> Vec<Out>,
}

/// A change of the first sealed request.
const fn prove(change: fn(Frame, &EnclaveOffer) -> Vec<Out>) -> Change {
    Change {
        kind: |message| matches!(message, Message::Prove { .. }),
        change,
    }
}

/// A change of the first sealed answer.
const fn answer(change: fn(Frame, &EnclaveOffer) -> Vec<Out>) -> Change {
    Change {
        kind: |message| matches!(message, Message::Answer { .. }),
        change,
    }
}

/// A change of the first evidence.
const fn attested(change: fn(Frame, &EnclaveOffer) -> Vec<Out>) -> Change {
    Change {
        kind: |message| matches!(message, Message::Attested { .. }),
        change,
    }
}

/// The sealed bytes of a request or an answer.
fn sealed(frame: &mut Frame) -> &mut Vec<u8> {
    match &mut frame.message {
        Message::Prove { sealed, .. } | Message::Answer { sealed } => sealed,
        other => panic!("{other:?} is not sealed"),
    }
}

fn with_sealed(mut frame: Frame, change: impl FnOnce(&mut Vec<u8>)) -> Vec<Out> {
    change(sealed(&mut frame));
    vec![Out::Frame(frame)]
}

fn with_offer(frame: Frame, change: impl FnOnce(&mut EnclaveOffer)) -> Vec<Out> {
    let Message::Attested { mut offer } = frame.message else {
        panic!("this is not evidence");
    };
    change(&mut offer);
    vec![Out::Frame(Frame {
        request_id: frame.request_id,
        message: Message::Attested { offer },
    })]
}

fn with_id(frame: &Frame, request_id: u64) -> Out {
    Out::Frame(Frame {
        request_id,
        ..frame.clone()
    })
}

fn instead(frame: &Frame, message: Message) -> Vec<Out> {
    vec![Out::Frame(Frame {
        request_id: frame.request_id,
        message,
    })]
}

/// The bytes of a frame with one of the head changed: 4 is the version, 5 the kind.
fn with_byte(frame: &Frame, position: usize, value: u8) -> Vec<Out> {
    let mut bytes = frame.encode().unwrap();
    bytes[position] = value;
    vec![Out::Bytes(bytes)]
}

fn cut(frame: &Frame, length: usize) -> Out {
    let mut bytes = frame.encode().unwrap();
    bytes.truncate(length);
    Out::Bytes(bytes)
}

const REJECTED: Outcome = ("problem", Code::SealedRequestRejected);
const LOST: Outcome = ("problem", Code::EnclaveLost);
const NO_ENCLAVE: Outcome = ("no-enclave", Code::EnclaveUnavailable);
const DEADLINE: Outcome = ("deadline", Code::DeadlineExceeded);

/// An id that the service does not use.
const NOBODY: u64 = u64::MAX;

const REQUESTS: &[(&str, Change, Outcome)] = &[
    (
        "shorter by a byte",
        prove(|frame, _| with_sealed(frame, |sealed| sealed.truncate(sealed.len() - 1))),
        REJECTED,
    ),
    (
        "cut to nothing",
        prove(|frame, _| with_sealed(frame, Vec::clear)),
        REJECTED,
    ),
    (
        "the last byte",
        prove(|frame, _| with_sealed(frame, |sealed| *sealed.last_mut().unwrap() ^= 1)),
        REJECTED,
    ),
    (
        "for another key",
        prove(|mut frame, _| {
            if let Message::Prove { key_id, .. } = &mut frame.message {
                key_id.push('x');
            }
            vec![Out::Frame(frame)]
        }),
        ("problem", Code::ReAttest),
    ),
    (
        "repeated under another id",
        prove(|frame, _| vec![with_id(&frame, frame.request_id), with_id(&frame, NOBODY)]),
        HONEST,
    ),
    (
        "overtaken by its copy",
        prove(|frame, _| vec![with_id(&frame, NOBODY), Out::Later(frame)]),
        REJECTED,
    ),
    (
        "repeated under the same id",
        // In one piece, so that the first one is surely still in work.
        prove(|frame, _| vec![Out::Bytes(frame.encode().unwrap().repeat(2))]),
        LOST,
    ),
    (
        "held for a while",
        prove(|frame, _| vec![Out::Later(frame)]),
        HONEST,
    ),
    (
        "a byte at a time",
        prove(|frame, _| vec![Out::Crumbs(frame)]),
        HONEST,
    ),
    (
        "cut off by the end of the connection",
        prove(|frame, _| vec![cut(&frame, 500), Out::Close]),
        LOST,
    ),
    (
        "a message of the enclave instead",
        prove(|frame, _| {
            instead(
                &frame,
                Message::Answer {
                    sealed: vec![0; 64],
                },
            )
        }),
        LOST,
    ),
    ("dropped", prove(|_, _| Vec::new()), DEADLINE),
];

const ANSWERS: &[(&str, Change, Outcome)] = &[
    (
        "shorter by a byte",
        answer(|frame, _| with_sealed(frame, |sealed| sealed.truncate(sealed.len() - 1))),
        FOREIGN_ANSWER,
    ),
    (
        "cut to nothing",
        answer(|frame, _| with_sealed(frame, Vec::clear)),
        FOREIGN_ANSWER,
    ),
    (
        "the first byte",
        answer(|frame, _| with_sealed(frame, |sealed| sealed[0] ^= 1)),
        FOREIGN_ANSWER,
    ),
    (
        "repeated",
        answer(|frame, _| vec![with_id(&frame, frame.request_id), Out::Frame(frame)]),
        HONEST,
    ),
    (
        "held for a while",
        answer(|frame, _| vec![Out::Later(frame)]),
        HONEST,
    ),
    (
        "a byte at a time",
        answer(|frame, _| vec![Out::Crumbs(frame)]),
        HONEST,
    ),
    (
        "for a request that nobody made",
        answer(|frame, _| vec![with_id(&frame, NOBODY)]),
        DEADLINE,
    ),
    ("dropped", answer(|_, _| Vec::new()), DEADLINE),
    (
        "cut off by the end of the connection",
        answer(|frame, _| vec![cut(&frame, 500), Out::Close]),
        LOST,
    ),
    // The next frames fill it up, and the rest of them is no frame.
    (
        "cut short within the connection",
        answer(|frame, _| vec![cut(&frame, frame.encode().unwrap().len() - 3)]),
        FOREIGN_ANSWER,
    ),
    // Only the service says so: a refusal of the enclave is sealed.
    (
        "a refusal is forged",
        answer(|frame, _| {
            let code = Code::NotPublic;
            instead(&frame, Message::Failed { code })
        }),
        ("problem", Code::NotPublic),
    ),
    (
        "evidence instead",
        answer(|frame, offer| {
            let offer = Box::new(offer.clone());
            instead(&frame, Message::Attested { offer })
        }),
        ("problem", Code::Internal),
    ),
    (
        "a proof in the open instead",
        answer(|frame, _| {
            let token = "a.b.c".into();
            instead(&frame, Message::Proof { token })
        }),
        LOST,
    ),
    (
        "a message of the service instead",
        answer(|frame, _| instead(&frame, Message::Health)),
        LOST,
    ),
    (
        "another version",
        answer(|frame, _| with_byte(&frame, 4, 2)),
        LOST,
    ),
    (
        "another kind",
        answer(|frame, _| with_byte(&frame, 5, 99)),
        LOST,
    ),
    (
        "a huge length",
        answer(|frame, _| with_byte(&frame, 0, 0xff)),
        LOST,
    ),
    (
        "a length of nothing",
        answer(|_, _| vec![Out::Bytes(vec![0; 4])]),
        LOST,
    ),
];

/// What makes the enclave stop. Its answer is sealed or not, as it stops after
/// or before it opened the request.
const STOPS: &[(&str, Change, Code)] = &[
    (
        "followed by a cancellation",
        prove(|frame, _| {
            let mut outs = instead(&frame, Message::Cancel);
            outs.insert(0, Out::Frame(frame));
            outs
        }),
        Code::Cancelled,
    ),
    (
        "without time",
        prove(|mut frame, _| {
            if let Message::Prove { deadline_ms, .. } = &mut frame.message {
                *deadline_ms = 0;
            }
            vec![Out::Frame(frame)]
        }),
        Code::DeadlineExceeded,
    ),
];

/// Lies about evidence: no sealed request reaches the socket after them.
const EVIDENCE: &[(&str, Change, Outcome)] = &[
    (
        "old evidence",
        attested(|frame, old| {
            let offer = Box::new(old.clone());
            instead(&frame, Message::Attested { offer })
        }),
        ("stale-evidence", Code::UnattestedEnclave),
    ),
    (
        "a key of the liar",
        attested(|frame, _| {
            with_offer(frame, |offer| {
                let mut rng = UnwrapErr(getrandom::SysRng);
                let key = PrivateKey::generate(&mut rng).public_key();
                offer.info.hpke_public_key = base64url(&key.to_bytes());
            })
        }),
        ("bad-announcement-signature", Code::UnattestedEnclave),
    ),
    (
        "signed by the liar",
        attested(|frame, _| {
            with_offer(frame, |offer| {
                let liar = keys::generate().unwrap();
                offer.info = offer.info.clone().signed_by(&liar);
            })
        }),
        ("wrong-binding", Code::UnattestedEnclave),
    ),
    (
        "no evidence",
        attested(|frame, _| with_offer(frame, |offer| offer.evidence = None)),
        ("no-evidence", Code::UnattestedEnclave),
    ),
    (
        "a failure instead",
        attested(|frame, _| {
            let code = Code::Internal;
            instead(&frame, Message::Failed { code })
        }),
        NO_ENCLAVE,
    ),
    (
        "an answer instead",
        attested(|frame, _| {
            instead(
                &frame,
                Message::Answer {
                    sealed: vec![0; 64],
                },
            )
        }),
        NO_ENCLAVE,
    ),
    (
        "cut off by the end of the connection",
        attested(|frame, _| vec![cut(&frame, 500), Out::Close]),
        NO_ENCLAVE,
    ),
    (
        "for a question that nobody asked",
        attested(|frame, _| vec![with_id(&frame, NOBODY)]),
        NO_ENCLAVE,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn lies_between_service_and_enclave_are_found() {
    let _turn = TURN.lock().await;
    let line = Line::start().await;
    let tables = [("request", REQUESTS), ("answer", ANSWERS)];
    for (frame, table) in tables {
        for (case, change, expected) in table {
            let deadline = match *expected == DEADLINE {
                // Long enough to get that far; if it is not, the error is the same.
                true => Duration::from_secs(1),
                false => PATIENCE,
            };
            let found = line.outcome(*change, deadline).await;
            assert_eq!(found, *expected, "{frame}: {case}");
        }
    }
    for (case, change, expected) in STOPS {
        let (_, code) = line.outcome(*change, PATIENCE).await;
        assert_eq!(code, *expected, "request: {case}");
    }
    for (case, change, expected) in EVIDENCE {
        let before = line.proxy.proves();
        let found = line.outcome(*change, PATIENCE).await;
        assert_eq!(found, *expected, "evidence: {case}");
        assert_eq!(line.proxy.proves(), before, "evidence: {case}");
    }

    // It still proves, whatever happened before and with every frame repeated
    // that may be.
    let offer = line.offer().await;
    line.proxy.change(|frame| match frame.message {
        Message::Answer { .. } | Message::Attested { .. } | Message::Healthy { .. } => {
            vec![with_id(&frame, frame.request_id), Out::Crumbs(frame)]
        }
        _ => vec![Out::Frame(frame)],
    });
    let scene = Scene::new();
    let proof = line.holder(PATIENCE).prove(&scene.request()).await.unwrap();
    assert_answers(&scene, proof, &offer).await;
}

/// What becomes of the frames of one kind of two requests at once.
#[derive(Clone, Copy)]
enum Pair {
    /// They arrive in the other order.
    Reordered,
    /// Each has the id of the other.
    Swapped,
}

fn pair(kind: fn(&Message) -> bool, pair: Pair) -> impl FnMut(Frame) -> Vec<Out> + Send {
    let mut held: Option<Frame> = None;
    let mut done = false;
    move |mut frame| {
        if done || !kind(&frame.message) {
            return vec![Out::Frame(frame)];
        }
        let Some(mut first) = held.take() else {
            held = Some(frame);
            return Vec::new();
        };
        done = true;
        if let Pair::Swapped = pair {
            std::mem::swap(&mut first.request_id, &mut frame.request_id);
        }
        vec![Out::Frame(frame), Out::Frame(first)]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_two_requests_are_told_apart() {
    let _turn = TURN.lock().await;
    let line = Line::start().await;
    type Kind = fn(&Message) -> bool;
    let is_answer: Kind = |message| matches!(message, Message::Answer { .. });
    let is_request: Kind = |message| matches!(message, Message::Prove { .. });
    let is_evidence: Kind = |message| matches!(message, Message::Attested { .. });
    let stale = ("stale-evidence", Code::UnattestedEnclave);
    let cases = [
        (is_evidence, Pair::Reordered, HONEST),
        (is_evidence, Pair::Swapped, stale),
        (is_request, Pair::Reordered, HONEST),
        (is_request, Pair::Swapped, FOREIGN_ANSWER),
        (is_answer, Pair::Reordered, HONEST),
        (is_answer, Pair::Swapped, FOREIGN_ANSWER),
    ];
    for (index, (kind, change, expected)) in cases.into_iter().enumerate() {
        line.offer().await;
        line.proxy.change(pair(kind, change));
        let (one, two) = (line.holder(PATIENCE), line.holder(PATIENCE));
        let (first, second) = (quick().request(), quick().request());
        let (first, second) = tokio::join!(one.prove(&first), two.prove(&second));
        for result in [first, second] {
            assert_eq!(outcome(result), expected, "case {index}");
        }
    }
}
