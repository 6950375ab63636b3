//! The promises of `docs/promises.md`, each with a test of its name, over the
//! real service, a confined enclave in a development TEE, and real proofs.
//!
//! One reads memory and files of other processes: only root runs it.

mod processes;
mod rogue;
#[path = "../../../enclave/zkpass-enclave/tests/scanner/mod.rs"]
mod scanner;
mod stack;
mod tee;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use processes::{assert_forgotten, files_below, status_of_threads, writable_files};
use rogue::{Rogue, body, rejection};
use scanner::{Pieces, random};
use stack::{Scene, Stack, pinned, program};
use tee::{Tee, now};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};
use wire::Wire;
use zkpass_attest::policy::MeasuredValues;
use zkpass_attest::{EvidenceError, Measurement, danger::trust_development_root};
use zkpass_channel::{ENCAPSULATION_BYTES, STEP, SealedAnswerBody};
use zkpass_client::attestation::{EnclaveError, Policy, PolicyError, Record};
use zkpass_client::holder::{Holder, Progress, ProveError};
use zkpass_client::verifier::Verifier;
use zkpass_client::{KeyCache, keys};
use zkpass_core::api::{EnclaveOffer, Problem, ProofRequest, UNATTESTED_DEVELOPMENT};
use zkpass_core::code::Code;
use zkpass_core::evidence::Nonce;

/// Proofs need the whole machine: one test at a time.
static TURN: AsyncMutex<()> = AsyncMutex::const_new(());

/// The stack of those tests that leave it as it was, and the turn.
///
/// Whoever waits for a turn holds the stack already, so it lives on from test
/// to test, and ends with the last one.
async fn turn() -> (Arc<Stack>, MutexGuard<'static, ()>) {
    static SHARED: Mutex<Weak<Stack>> = Mutex::new(Weak::new());
    let stack = {
        let mut shared = SHARED.lock().unwrap();
        shared.upgrade().unwrap_or_else(|| {
            let stack = Arc::new(Stack::start(""));
            *shared = Arc::downgrade(&stack);
            stack
        })
    };
    (stack, TURN.lock().await)
}

/// A question that is refused soon, because the data lacks a field.
fn refused_scene(padding: usize) -> Scene {
    let padding = "x".repeat(padding);
    Scene::with_data(&format!(r#"{{"name":"Ayu","padding":"{padding}"}}"#))
}

/// The error of a holder whom nothing acceptable is offered.
async fn refusal(url: &str, policy: Policy) -> EnclaveError {
    let holder = Holder::builder(url, policy).build().unwrap();
    match holder.prove(&Scene::new().request()).await.unwrap_err() {
        ProveError::Enclave(error) => error,
        error => panic!("{error:?}"),
    }
}

fn nonce() -> Nonce {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).unwrap();
    nonce
}

fn record(offer: &EnclaveOffer) -> Record {
    Record::of_offer(offer.clone(), now()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_01_nothing_leaves_the_client_before_local_verification() {
    let (stack, _turn) = turn().await;
    let wire = Wire::before(&stack.url).await;
    // The vendors' roots do not vouch for this enclave.
    refusal(&wire.url, pinned(&program("zkpass-enclave"))).await;
    let asked = wire.requests();
    let [request] = &asked[..] else {
        panic!("{asked:?}");
    };
    let nonce = request.line.strip_prefix("GET /v1/enclaves?nonce=");
    assert_eq!(nonce.map(str::len), Some(43), "{request:?}");
    assert!(request.body.is_empty(), "{request:?}");

    // What is wrong with a request is found before anybody is asked.
    let holder = Holder::builder(&wire.url, stack.policy()).build().unwrap();
    let mut scene = Scene::new();
    scene.token = Scene::new().token;
    let error = holder.prove(&scene.request()).await.unwrap_err();
    assert_eq!(error.code(), Code::TokenBadSignature);
    assert_eq!(wire.requests().len(), 1);

    // The control: an accepted enclave gets the data.
    let error = holder.prove(&refused_scene(0).request()).await;
    assert!(matches!(error, Err(ProveError::Refused(_))), "{error:?}");
    assert_eq!(wire.posts().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_02_debug_simulated_and_unknown_builds_are_refused() {
    let (stack, _turn) = turn().await;
    let wire = Wire::before(&stack.url).await;

    // Simulated: the same build under the roots that a policy has by itself.
    let build = pinned(&program("zkpass-enclave"));
    let error = refusal(&wire.url, build).await;
    let EnclaveError::Evidence(EvidenceError::Nitro(_)) = error else {
        panic!("{error:?}");
    };
    // Unknown: the root is accepted, the program is another one.
    let other = trust_development_root(pinned(&program("zkpass-service")), stack.root);
    let error = refusal(&wire.url, other).await;
    assert_eq!(
        error,
        EnclaveError::Evidence(EvidenceError::WrongMeasurement)
    );
    assert!(wire.posts().is_empty());

    // Debug: all measurements are zero, and no policy can ask for that.
    let mut debug = Tee::new();
    debug.pcr = [0; 48];
    let error = record(&debug.offer(&nonce())).verify(&debug.policy(), now());
    assert!(
        matches!(
            error,
            Err(EnclaveError::Evidence(
                EvidenceError::DebugMode | EvidenceError::ZeroMeasurement
            ))
        ),
        "{error:?}"
    );
    let zero = Measurement {
        name: "debug".into(),
        not_after: None,
        values: MeasuredValues::Nitro {
            pcrs: BTreeMap::from([(0, [0; 48])]),
        },
    };
    let error: Result<Policy, PolicyError> = Policy::new([zero]);
    assert!(error.is_err());

    // And one that shows nothing at all.
    let bare = Tee::new().announcing(|info| info.kind = UNATTESTED_DEVELOPMENT.into());
    let offer = EnclaveOffer {
        info: bare.info.clone(),
        evidence: None,
    };
    let answer = serde_json::json!({ "enclaves": [offer] }).to_string();
    let length = answer.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{answer}"
    );
    let liar = Wire::replaying(answer.into()).await;
    let error = refusal(&liar.url, bare.policy()).await;
    assert!(
        matches!(error, EnclaveError::NoEvidence { .. }),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_03_evidence_is_fresh_and_bound_to_this_key() {
    let (stack, _turn) = turn().await;
    let wire = Wire::before(&stack.url).await;
    let rogue = Rogue::at(&wire.url).await;
    let policy = stack.policy();
    let (old_nonce, new_nonce) = (nonce(), nonce());
    let old = rogue.offers(&old_nonce).await.remove(0);
    let new = rogue.offers(&new_nonce).await.remove(0);
    for offer in [&old, &new] {
        record(offer).verify(&policy, now()).unwrap();
    }
    let document = |offer: &EnclaveOffer| offer.evidence.clone().unwrap().document;
    assert_ne!(document(&old), document(&new));

    // Old evidence said to be for the new nonce.
    let mut relabelled = record(&old);
    relabelled.evidence.nonce = new_nonce.to_vec();
    let error = relabelled.verify(&policy, now()).unwrap_err();
    assert!(
        matches!(
            error,
            EnclaveError::Evidence(EvidenceError::WrongBinding | EvidenceError::WrongNonce)
        ),
        "{error:?}"
    );
    // Somebody else's key beside good evidence, the announcement signed anew.
    let thief = keys::generate().unwrap();
    let mut stolen = record(&old);
    stolen.enclave.identity_key = thief.public();
    stolen.enclave.enclave_id = thief.public().thumbprint();
    stolen.enclave = stolen.enclave.signed_by(&thief);
    assert_eq!(
        stolen.verify(&policy, now()).unwrap_err(),
        EnclaveError::Evidence(EvidenceError::WrongBinding)
    );
    // Another HPKE key under the enclave's own signature.
    let mut swapped = record(&old);
    swapped.enclave.hpke_public_key = Tee::new().info.hpke_public_key;
    let error = swapped.verify(&policy, now()).unwrap_err();
    assert_eq!(error, EnclaveError::BadSignature);

    // A service that answers with what it recorded.
    let recorder = Wire::before(&stack.url).await;
    Rogue::at(&recorder.url).await;
    let replay = Wire::replaying(recorder.answers()).await;
    let error = refusal(&replay.url, policy).await;
    assert_eq!(error, EnclaveError::StaleEvidence);
    assert!(replay.posts().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_04_the_operator_sees_ciphertext_in_size_buckets_only() {
    let (stack, _turn) = turn().await;
    let wire = Wire::before(&stack.url).await;
    let holder = Holder::builder(&wire.url, stack.policy()).build().unwrap();
    let canary = random();
    let mut sizes = BTreeSet::new();
    for padding in (0..300).step_by(20) {
        let padding = "x".repeat(padding);
        let data = format!(r#"{{"name":"{canary}","padding":"{padding}"}}"#);
        let request = Scene::with_data(&data).request();
        let refused = holder.prove_with_progress(&request, |progress| {
            if let Progress::Sending { sealed_bytes } = progress {
                sizes.insert(sealed_bytes);
            }
        });
        let refused = refused.await;
        assert!(
            matches!(refused, Err(ProveError::Refused(_))),
            "{refused:?}"
        );
    }
    // 280 bytes more are 374 in base64url: one boundary may lie between.
    assert!((1..=2).contains(&sizes.len()), "{sizes:?}");
    const TAG_BYTES: usize = 16;
    for size in &sizes {
        assert_eq!((size - ENCAPSULATION_BYTES - TAG_BYTES) % STEP, 0);
    }
    // The service sees no finer sizes: all else in the body has one length.
    let posts = wire.posts();
    let lengths: BTreeSet<usize> = posts.iter().map(|post| post.body.len()).collect();
    assert_eq!((posts.len(), lengths.len()), (15, sizes.len()));
    for post in &posts {
        // Nothing beside the sealed bytes and whom they are for.
        serde_json::from_slice::<ProofRequest>(&post.body).unwrap();
    }
    let pieces = Pieces::of(&[&canary]);
    assert!(pieces.in_bytes(&wire.everything()).is_empty());
    assert!(pieces.in_memory_of(stack.service_id()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_05_nothing_of_a_request_stays() {
    if !scanner::may_inspect() {
        return;
    }
    let _turn = TURN.lock().await;
    let stack = Stack::start("");
    let before = files_below(stack.directory());
    let canary = random();
    let scene = Scene::with_data(&format!(
        r#"{{"name":"Ayu","_name_zkpass_public_":true,"born":"1990-03-01","note":"{canary}"}}"#
    ));
    let holder = stack.holder().build().unwrap();
    holder.prove(&scene.request()).await.unwrap();

    let signature = scene.token.rsplit('.').next().unwrap();
    let pieces = Pieces::of(&[&canary, signature]);
    for process in [stack.service_id(), stack.enclave_id()] {
        assert_eq!(writable_files(process), [""; 0]);
        assert_forgotten(process, &pieces);
    }
    assert_eq!(before, files_below(stack.directory()));

    // The next life knows nothing of this one: it cannot open what was recorded.
    let rogue = Rogue::at(&stack.url).await;
    let (sealed, _) = rogue.seal(&body(&scene), &rogue.key());
    let old = stack::identity(&stack).await;
    let from = stack.log().len();
    stack.kill_enclave();
    stack.wait_for_log("enclave ready", from);
    assert_ne!(old, stack::identity(&stack).await);
    let refused = rogue.post(&sealed, &rogue.enclave.key_id).await;
    assert_eq!(refused.unwrap_err(), Problem::new(Code::ReAttest));
    assert_eq!(before, files_below(stack.directory()));
}

/// The canary test in `canary.rs` does the same with everything that there is.
#[tokio::test(flavor = "multi_thread")]
async fn promise_06_logs_and_answers_carry_no_user_data() {
    let (stack, _turn) = turn().await;
    let wire = Wire::before(&stack.url).await;
    let rogue = Rogue::at(&wire.url).await;
    let canaries: Vec<String> = (0..4).map(|_| random()).collect();
    let [value, title, literal, id] = &canaries[..] else {
        unreachable!()
    };
    let mut scene = Scene::with_data(&format!(r#"{{"name":"{value}"}}"#));
    scene.dvr.dvr_title.clone_from(title);
    let mut malformed = Scene::with_data(&format!(r#"{{"name":"{value}"}}"#));
    malformed.dvr.query = format!(r#"[{{"{literal}":1}}]"#);
    for scene in [scene, malformed] {
        let mut body = body(&scene);
        body.idempotency_id.clone_from(id);
        rogue.refusal(&body).await;
    }
    let pieces = Pieces::of(&canaries);
    let log = stack.log().join("\n");
    assert!(log.contains("request answered"), "{log}");
    assert_eq!(pieces.in_bytes(log.as_bytes()), [""; 0]);
    assert_eq!(pieces.in_bytes(&wire.answers()), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_07_errors_are_uniform_before_decapsulation_and_sealed_after() {
    let (stack, _turn) = turn().await;
    let rogue = Rogue::at(&stack.url).await;
    let key_id = &*rogue.enclave.key_id;
    let uniform = Problem::new(Code::SealedRequestRejected);
    let (sealed, _) = rogue.seal(&body(&refused_scene(0)), &rogue.key());
    let (foreign, _) = rogue.seal(&body(&refused_scene(0)), &Tee::new().private.public_key());
    let mut altered = sealed.clone();
    *altered.last_mut().unwrap() ^= 1;
    for bad in [&sealed[..17], &altered, &foreign, &[0; 4096]] {
        assert_eq!(rejection(rogue.post(bad, key_id).await), uniform);
    }

    // After it, the service sees a job that is done and bytes of one length.
    let mut expired = Scene::new();
    expired.dvr.expires_at = Some(1);
    let mut forged = Scene::new();
    forged.token = Scene::new().token;
    let mut codes = BTreeSet::new();
    let mut lengths = BTreeSet::new();
    for scene in [expired, forged, refused_scene(0)] {
        let (sealed, opener) = rogue.seal(&body(&scene), &rogue.key());
        let answer = rogue.answer(&sealed).await;
        lengths.insert(answer.len());
        match opener.open(&answer).unwrap() {
            SealedAnswerBody::Refused(refusal) => codes.insert(refusal.code.to_string()),
            SealedAnswerBody::Proved { .. } => panic!("it was proved"),
        };
    }
    assert_eq!((codes.len(), lengths.len()), (3, 1), "{codes:?}");
    // So does a body that is no request at all.
    let nonsense = rogue.answer(&rogue.seal_bytes(b"\xff\xfe{")).await;
    assert!(lengths.contains(&nonsense.len()));
}

/// Only the lower bound is certain on a busy machine. That no other moments
/// than the boundaries occur is tested with a clock that stands still, in
/// `publication.rs` of the enclave.
#[tokio::test(flavor = "multi_thread")]
async fn promise_08_answers_leave_at_boundaries() {
    const FIRST_BOUNDARY: Duration = Duration::from_millis(50);
    let (stack, _turn) = turn().await;
    let rogue = Rogue::at(&stack.url).await;
    let mut expired = Scene::new();
    expired.dvr.expires_at = Some(1);
    for scene in [expired, refused_scene(0), refused_scene(2000)] {
        let (sealed, _) = rogue.seal(&body(&scene), &rogue.key());
        let sent = Instant::now();
        rogue.answer(&sealed).await;
        assert!(sent.elapsed() >= FIRST_BOUNDARY, "{:?}", sent.elapsed());
    }
    let sent = Instant::now();
    rogue.answer(&rogue.seal_bytes(b"nonsense")).await;
    assert!(sent.elapsed() >= FIRST_BOUNDARY, "{:?}", sent.elapsed());
}

/// A query that uses a value and shows nothing of it.
const HIDING: &str = r#"[{"output": {"right": {"!=": [{"dvar": "secret"}, "x"]}}}]"#;

fn hiding(secret: &str) -> Scene {
    let data = format!(r#"{{"secret":"{secret}","note":"{secret}"}}"#);
    let mut scene = Scene::with_data(&data);
    scene.dvr.query = HIDING.into();
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_09_the_size_of_a_proof_depends_on_its_shape_only() {
    let (stack, _turn) = turn().await;
    let holder = stack.holder().build().unwrap();
    let mut sizes = BTreeSet::new();
    // The second is longer and falls into the same bucket of blocks.
    let long = random() + &random()[..16];
    let mut blocks = BTreeSet::new();
    for secret in [random(), long] {
        let proof = holder.prove(&hiding(&secret).request()).await.unwrap();
        sizes.insert(proof.claims().zkproof.len());
        blocks.insert(proof.statement().tokens[0].blocks);
    }
    assert_eq!((blocks.len(), sizes.len()), (1, 1), "{blocks:?} {sizes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_10_the_proof_hides_the_witness() {
    let (stack, _turn) = turn().await;
    let holder = stack.holder().build().unwrap();
    let secret = random();
    let scene = hiding(&secret);
    let request = scene.request();
    let first = holder.prove(&request).await.unwrap();
    let second = holder.prove(&request).await.unwrap();
    let signature = scene.token.rsplit('.').next().unwrap();
    let pieces = Pieces::of(&[&secret, signature]);
    for proof in [&first, &second] {
        assert_eq!(pieces.in_bytes(&proof.claims().zkproof), [""; 0]);
        assert_eq!(pieces.in_bytes(proof.token().as_bytes()), [""; 0]);
        let payload = serde_json::to_vec(proof.claims()).unwrap();
        assert_eq!(pieces.in_bytes(&payload), [""; 0]);
    }
    // Made anew from fresh randomness: they have no more in common than chance gives.
    let (first, second) = (&first.claims().zkproof, &second.claims().zkproof);
    let equal = first.iter().zip(second).filter(|(a, b)| a == b).count();
    assert!(equal < first.len() / 2, "{equal} of {}", first.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_11_the_answer_is_bound_to_question_and_enclave() {
    let (stack, _turn) = turn().await;
    let scene = Scene::new();
    let holder = stack.holder().build().unwrap();
    let proof = holder.prove(&scene.request()).await.unwrap();
    let enclave = stack::identity(&stack).await;
    let cache = Arc::new(KeyCache::new(1));
    let verify = async |policy| {
        let verifier = Verifier::with_cache(Arc::clone(&cache));
        verifier.verify(policy, proof.token().into()).await
    };
    let good = scene.policy().expect_enclave_keys(vec![enclave]);
    verify(good).await.unwrap();

    let stranger = keys::generate().unwrap().public();
    let error = verify(scene.policy().expect_enclave_keys(vec![stranger])).await;
    assert_eq!(error.unwrap_err().code(), Code::EnclaveSignatureInvalid);
    type Change = fn(&mut Scene);
    let changes: [Change; 4] = [
        |scene| scene.dvr.nonce = Some("another".into()),
        |scene| scene.dvr.audience = Some("another".into()),
        |scene| scene.dvr.dvr_id = "another".into(),
        |scene| scene.dvr.query = scene.dvr.query.replace("21", "18"),
    ];
    let issuer = scene.issuer.public_key();
    for change in changes {
        let mut other = Scene::new();
        other.dvr = scene.dvr.clone();
        change(&mut other);
        let keys = BTreeMap::from([(String::new(), issuer)]);
        let policy = zkpass_client::verifier::Policy::new(other.dvr, keys);
        let refused = verify(policy.expect_enclave_keys(vec![enclave])).await;
        assert!(refused.is_err());
    }

    // An answer opens with what came out of sealing its request, and nothing else.
    let rogue = Rogue::at(&stack.url).await;
    let (sealed, opener) = rogue.seal(&body(&refused_scene(0)), &rogue.key());
    let (_, other) = rogue.seal(&body(&refused_scene(0)), &rogue.key());
    let answer = rogue.answer(&sealed).await;
    assert!(other.open(&answer).is_err());
    assert!(opener.open(&answer).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_12_no_shell_and_no_dynamic_code() {
    let (stack, _turn) = turn().await;
    let enclave = stack.enclave_id();
    // Filtered for good: the filter has neither `execve` nor executable memory.
    for (name, expected) in [
        ("Seccomp", "2"),
        ("NoNewPrivs", "1"),
        ("CapEff", "0000000000000000"),
    ] {
        let values = status_of_threads(enclave, name);
        assert!(!values.is_empty());
        assert!(values.iter().all(|value| value == expected), "{values:?}");
    }
    assert_eq!(stack::child_of(enclave), None);
    // Code comes from the program and its libraries, and no memory is both.
    let maps = std::fs::read_to_string(format!("/proc/{enclave}/maps")).unwrap();
    let mut pages_of_code = 0;
    for line in maps.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[1].contains('x') {
            pages_of_code += 1;
            assert!(!words[1].contains('w'), "{line}");
            let origin = words.get(5).copied().unwrap_or_default();
            assert!(
                origin.starts_with('/') || ["[vdso]", "[vsyscall]"].contains(&origin),
                "{line}"
            );
        }
    }
    assert!(pages_of_code > 1, "{maps}");
    // There is nothing to log in to, and nothing to start.
    let root = format!("/proc/{enclave}/root");
    for missing in ["bin/sh", "usr/bin", "etc/passwd", "dev", "tmp"] {
        let path = format!("{root}/{missing}");
        assert!(!std::fs::exists(&path).unwrap(), "{path}");
    }
    let interfaces = std::fs::read_to_string(format!("/proc/{enclave}/net/dev")).unwrap();
    assert_eq!(interfaces.matches(':').count(), 1, "{interfaces}");
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_13_the_client_chooses_among_verified_enclaves() {
    let _turn = TURN.lock().await;
    // Two of the build that the policy names, and one that was started in another way.
    let enclave = program("zkpass-enclave");
    let state = tempfile::tempdir().unwrap();
    let state = state.path().join("root");
    let more = |name: &str, arguments: &str| {
        format!(
            "[[enclaves]]\nname = {name:?}\nprogram = {enclave:?}\n\
             arguments = [{arguments}]\nstate = {state:?}\n"
        )
    };
    let config = format!(
        "state = {state:?}\n{}{}",
        more("f", ""),
        more("g", r#""--threads", "1""#)
    );
    let stack = Stack::start_with("", &config);
    for name in ["e", "f", "g"] {
        let ready = format!(r#""message":"enclave ready","enclave":"{name}""#);
        stack.wait_for_log(&ready, 0);
    }
    let rogue = Rogue::at(&stack.url).await;
    let mut acceptable = BTreeSet::new();
    for offer in rogue.offers(&nonce()).await {
        if record(&offer).verify(&stack.policy(), now()).is_ok() {
            acceptable.insert(offer.info.enclave_id);
        }
    }
    assert_eq!(acceptable.len(), 2);

    let wire = Wire::before(&stack.url).await;
    let holder = Holder::builder(&wire.url, stack.policy()).build().unwrap();
    // One in 2^31 runs would use only one of them.
    for _ in 0..32 {
        let refused = holder.prove(&refused_scene(0).request()).await;
        assert!(
            matches!(refused, Err(ProveError::Refused(_))),
            "{refused:?}"
        );
    }
    let chosen: BTreeSet<String> = wire
        .posts()
        .iter()
        .map(|post| serde_json::from_slice::<ProofRequest>(&post.body).unwrap())
        .map(|request| request.enclave_id)
        .collect();
    assert_eq!(chosen, acceptable);
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_15_a_changed_build_is_refused_until_the_policy_changes() {
    let _turn = TURN.lock().await;
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("root");
    let config = format!("state = {state:?}");
    let stack = Stack::start_with("", &config);
    let (root, old) = (stack.root, stack.policy());
    let offer = Rogue::at(&stack.url).await.offers(&nonce()).await.remove(0);
    record(&offer).verify(&old, now()).unwrap();
    drop(stack);

    // One byte more changes nothing of what the program does.
    let changed = directory.path().join("zkpass-enclave");
    let mut bytes = std::fs::read(program("zkpass-enclave")).unwrap();
    bytes.push(0);
    std::fs::write(&changed, bytes).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&changed, executable).unwrap();
    let stack = Stack::start_program(&changed, "", &config);
    assert_eq!(stack.root, root, "the machine is the same");
    let error = refusal(&stack.url, old).await;
    assert_eq!(
        error,
        EnclaveError::Evidence(EvidenceError::WrongMeasurement)
    );
    let new = trust_development_root(pinned(&changed), root);
    let holder = Holder::builder(&stack.url, new).build().unwrap();
    let refused = holder.prove(&refused_scene(0).request()).await;
    assert!(
        matches!(refused, Err(ProveError::Refused(_))),
        "{refused:?}"
    );
}

/// Each test that `docs/promises.md` names exists, and each promise here is named there.
#[test]
fn the_table_of_promises_names_tests_that_exist() {
    let table = include_str!("../../../docs/promises.md");
    let sources = BTreeMap::from([
        ("promises.rs", include_str!("promises.rs")),
        ("canary.rs", include_str!("canary.rs")),
        (
            "publication.rs",
            include_str!("../../../enclave/zkpass-enclave/src/publication.rs"),
        ),
        (
            "memory.rs",
            include_str!("../../../enclave/zkpass-enclave/tests/memory.rs"),
        ),
        (
            "hardening.rs",
            include_str!("../../../enclave/zkpass-enclave/tests/hardening.rs"),
        ),
    ]);
    let mut named = BTreeSet::new();
    for quoted in table.split('`').skip(1).step_by(2) {
        let Some((file, test)) = quoted.split_once("::") else {
            continue;
        };
        let source = sources.get(file).unwrap_or_else(|| panic!("{quoted}"));
        assert!(source.contains(&format!("fn {test}(")), "{quoted}");
        named.insert(test);
    }
    for line in sources["promises.rs"].lines() {
        let name = line
            .strip_prefix("async fn ")
            .and_then(|rest| rest.split('(').next());
        if let Some(name) = name.filter(|name| name.starts_with("promise_")) {
            assert!(named.contains(name), "{name}");
        }
    }
    for number in 1..=17 {
        assert!(table.contains(&format!("\n| {number} | ")), "{number}");
    }
    assert!(!table.contains("\n| 18 | "));
    assert!(named.len() >= 14, "{named:?}");
}
