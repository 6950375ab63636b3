//! From a signed token to a verified answer through the real service and the
//! real enclave, and what happens when something on the way breaks.

mod rogue;
mod stack;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rogue::{Rogue, body, rejection};
use stack::{Scene, Stack, identity};
use tokio::sync::Mutex as AsyncMutex;
use zkpass_channel::rand_core::UnwrapErr;
use zkpass_channel::{ENCAPSULATION_BYTES, PrivateKey};
use zkpass_client::KeyCache;
use zkpass_client::holder::{Progress, ProveError, prove_locally};
use zkpass_client::keys;
use zkpass_client::verifier::Verifier;
use zkpass_core::api::Problem;
use zkpass_core::code::Code;
use zkpass_core::encoding::from_base64url;
use zkpass_core::statement::OutputValue;

/// Proofs need the whole machine: one test at a time.
static TURN: AsyncMutex<()> = AsyncMutex::const_new(());

/// Long enough for a request to arrive, too short for a first proof: circuit
/// keys have to be derived for it.
const A_WHILE: Duration = Duration::from_millis(400);
const TOO_FAST: &str = "the proof was made before it could be interrupted";

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_proof_verifies_however_it_was_made() {
    let _turn = TURN.lock().await;
    let stack = Stack::start("");
    let scene = Scene::new();
    let holder = stack.holder().build().unwrap();
    let proof = holder.prove(&scene.request()).await.unwrap();

    let cache = Arc::new(KeyCache::new(2));
    let verifier = Verifier::with_cache(Arc::clone(&cache));
    let enclave = identity(&stack).await;
    let policy = scene.policy().expect_enclave_keys(vec![enclave]);
    let claims = verifier.verify(policy, proof.token().into()).await.unwrap();
    let output: Vec<_> = claims
        .output()
        .iter()
        .map(|entry| (&*entry.name, &entry.value))
        .collect();
    let name = OutputValue::String("Ayu".into());
    assert_eq!(
        output,
        [("adult", &OutputValue::Boolean(true)), ("name", &name)]
    );
    assert_eq!(claims.nonce(), scene.dvr.nonce.as_deref());

    // The same code proves here, for a verifier who ignores enclaves.
    let phases = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&phases);
    let request = scene.request();
    let progress = move |progress| seen.lock().unwrap().push(progress);
    let local = prove_locally(&request, None, cache, progress)
        .await
        .unwrap();
    assert!(phases.lock().unwrap().len() >= 4);
    assert_eq!(local.statement(), proof.statement());
    let policy = scene.policy().ignore_enclave_signature();
    verifier.verify(policy, local.token().into()).await.unwrap();
    let policy = scene.policy().expect_enclave_keys(vec![enclave]);
    let refused = verifier
        .verify(policy, local.into_token())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::EnclaveSignatureInvalid);

    // Neither service nor enclave wrote any of it down.
    let log = stack.log().join("\n");
    for secret in [
        "Ayu",
        "1990",
        &scene.token,
        &scene.dvr_token(),
        proof.token(),
    ] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_enclave_fails_its_job_at_once_and_the_holder_tries_again() {
    let _turn = TURN.lock().await;
    let stack = Stack::start("");
    let scene = Scene::large();
    let once = stack.holder().max_attempts(1).build().unwrap();
    let old = identity(&stack).await;

    let request = scene.request();
    let proving = tokio::spawn(async move { once.prove(&request).await });
    tokio::time::sleep(A_WHILE).await;
    assert!(!proving.is_finished(), "{TOO_FAST}");
    let killed = Instant::now();
    stack.kill_enclave();
    let error = proving.await.unwrap().unwrap_err();
    assert_eq!(error.code(), Code::EnclaveLost);
    assert!(killed.elapsed() < Duration::from_secs(1), "{killed:?}");

    // Killed twice more: once before the request arrives, once while it is proven.
    let holder = stack.holder().max_attempts(10).build().unwrap();
    let request = scene.request();
    let mut retries = Vec::new();
    let mut sendings = 0;
    let stack = Arc::new(stack);
    let proof = holder.prove_with_progress(&request, |progress| match progress {
        Progress::Retrying { code, .. } => retries.push(code),
        Progress::Sending { .. } => {
            sendings += 1;
            let stack = Arc::clone(&stack);
            if sendings == 1 {
                let from = stack.log().len();
                stack.kill_enclave();
                stack.wait_for_log("enclave lost", from);
            } else if sendings == 2 {
                std::thread::spawn(move || {
                    std::thread::sleep(A_WHILE);
                    stack.kill_enclave();
                });
            }
        }
        _ => {}
    });
    let proof = proof.await.unwrap();
    assert!(
        [Code::ReAttest, Code::EnclaveUnavailable].contains(&retries[0]),
        "{retries:?}"
    );
    assert!(retries.contains(&Code::EnclaveLost), "{retries:?}");
    let new = identity(&stack).await;
    assert_ne!(old, new);
    let policy = scene.policy().expect_enclave_keys(vec![new]);
    let verified = Verifier::new(1).verify(policy, proof.into_token()).await;
    verified.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_enclave_is_replaced() {
    let _turn = TURN.lock().await;
    // Its replacement comes with a launcher of its own, under the same root.
    let stack = Stack::start_with("", "health_seconds = 1\nsilence_seconds = 2");
    let scene = Scene::new();
    let once = stack.holder().max_attempts(1).build().unwrap();
    let old = identity(&stack).await;
    // Now it is accepted: the next request asks for no evidence, which would not come.
    once.prove(&scene.request()).await.unwrap();
    let from = stack.log().len();
    stack.signal_enclave("STOP");
    let error = once.prove(&scene.request()).await.unwrap_err();
    assert_eq!(error.code(), Code::EnclaveLost);
    stack.wait_for_log("enclave ready", from);
    assert_ne!(old, identity(&stack).await);
    once.prove(&scene.request()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    let _turn = TURN.lock().await;
    let stack = Stack::start("queue_length = 1");
    let scene = Scene::large();
    let holder = stack.holder().build().unwrap();
    let request = scene.request();
    let gone = tokio::time::timeout(A_WHILE, holder.prove(&request)).await;
    assert!(gone.is_err(), "{TOO_FAST}");
    // The enclave lets go at once, and does not prove to the end.
    let left = Instant::now();
    stack.wait_for_log("request answered", 0);
    assert!(left.elapsed() < Duration::from_secs(1), "{left:?}");
    // The only place in the queue is free again.
    let once = stack.holder().max_attempts(1).build().unwrap();
    once.prove(&scene.request()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_said_and_passes() {
    let _turn = TURN.lock().await;
    let stack = Stack::start("queue_length = 1");
    let scene = Scene::large();
    let first = stack.holder().build().unwrap();
    let request = scene.request();
    let proving = tokio::spawn(async move { first.prove(&request).await });
    tokio::time::sleep(A_WHILE).await;
    assert!(!proving.is_finished(), "{TOO_FAST}");

    let once = stack.holder().max_attempts(1).build().unwrap();
    let error = once.prove(&scene.request()).await.unwrap_err();
    assert_eq!(error.code(), Code::QueueFull);
    assert!(error.to_string().contains("`queue_length` is 1"), "{error}");

    let patient = stack.holder().max_attempts(100).build().unwrap();
    let request = scene.request();
    let (first, second) = tokio::join!(proving, patient.prove(&request));
    first.unwrap().unwrap();
    second.unwrap();
}

/// Data that does not answer the question is told apart, sealed, and soon.
#[tokio::test(flavor = "multi_thread")]
async fn errors_in_the_data_come_back_sealed() {
    let _turn = TURN.lock().await;
    let stack = Stack::start("");
    let holder = stack.holder().build().unwrap();
    for (data, code) in [
        (
            r#"{"name":"Ayu","_name_zkpass_public_":true}"#,
            Code::MissingField,
        ),
        (r#"{"name":"Ayu","born":"1990-03-01"}"#, Code::NotPublic),
        (
            r#"{"name":1.5,"_name_zkpass_public_":true,"born":"1990-03-01"}"#,
            Code::NotAnInteger,
        ),
        (
            r#"{"name":"A\u0079u","_name_zkpass_public_":true,"born":"1990-03-01"}"#,
            Code::EscapedValue,
        ),
        (r#"{"born":"yesterday"}"#, Code::InvalidDate),
    ] {
        let error = holder
            .prove(&Scene::with_data(data).request())
            .await
            .unwrap_err();
        assert!(
            matches!(&error, ProveError::Refused(_)),
            "{data}: {error:?}"
        );
        assert_eq!(error.code(), code, "{data}");
        assert!(
            error
                .pointer()
                .is_some_and(|pointer| pointer.starts_with("/0/if"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_do_not_open_are_rejected_alike() {
    let _turn = TURN.lock().await;
    let stack = Stack::start("");
    let rogue = Rogue::at(&stack.url).await;
    let uniform = Problem::new(Code::SealedRequestRejected);

    // Replayed: data that is refused quickly serves as well as a proof.
    let scene = Scene::with_data("{}");
    let (sealed, opener) = rogue.seal(&body(&scene), &rogue.key());
    let key_id = &*rogue.enclave.key_id;
    let first = rogue.post(&sealed, key_id).await.unwrap();
    let answer = from_base64url(&first.sealed_answer.unwrap()).unwrap();
    assert!(opener.open(&answer).is_ok());
    assert_eq!(rejection(rogue.post(&sealed, key_id).await), uniform);

    // Truncated, at every interesting place, and extended.
    let (sealed, _) = rogue.seal(&body(&scene), &rogue.key());
    for length in [
        0,
        1,
        ENCAPSULATION_BYTES,
        sealed.len() - 1024,
        sealed.len() - 1,
    ] {
        assert_eq!(
            rejection(rogue.post(&sealed[..length], key_id).await),
            uniform
        );
    }
    let longer = [&sealed[..], &[0; 1024]].concat();
    assert_eq!(rejection(rogue.post(&longer, key_id).await), uniform);

    // Altered in the key part and in the data part.
    for position in [0, ENCAPSULATION_BYTES, sealed.len() - 1] {
        let mut altered = sealed.clone();
        altered[position] ^= 1;
        assert_eq!(rejection(rogue.post(&altered, key_id).await), uniform);
    }

    // Sealed to another key under this key's id.
    let other = PrivateKey::generate(&mut UnwrapErr(getrandom::SysRng)).public_key();
    let (foreign, _) = rogue.seal(&body(&scene), &other);
    assert_eq!(rejection(rogue.post(&foreign, key_id).await), uniform);

    // For a key that nobody has.
    let refused = rogue.post(&sealed, "another-key").await.unwrap_err();
    assert_eq!(refused, Problem::new(Code::ReAttest));

    // None of it did harm: the request of the alterations opens still.
    assert!(
        rogue
            .post(&sealed, key_id)
            .await
            .unwrap()
            .sealed_answer
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_be_answered_is_refused_on_both_sides() {
    let _turn = TURN.lock().await;
    let stack = Stack::start("");
    let rogue = Rogue::at(&stack.url).await;

    let mut scene = Scene::new();
    scene.dvr.zkvm = "r0".into();
    assert_eq!(
        rogue.refusal(&body(&scene)).await,
        Code::UnsupportedProofSystem
    );
    let holder = stack.holder().build().unwrap();
    let error = holder.prove(&scene.request()).await.unwrap_err();
    assert!(matches!(&error, ProveError::Request(_)));
    assert_eq!(error.code(), Code::UnsupportedProofSystem);

    // Too large: neither SDK nor channel seal it, so it cannot reach an enclave.
    let mut scene = Scene::new();
    scene.token = "x".repeat(4097);
    let error = holder.prove(&scene.request()).await.unwrap_err();
    assert_eq!(error.code(), Code::TokenTooLarge);

    let mut scene = Scene::new();
    scene.dvr.expires_at = Some(1);
    assert_eq!(rogue.refusal(&body(&scene)).await, Code::DvrExpired);

    // Signed by another issuer than the DVR names.
    let mut scene = Scene::new();
    scene.token = Scene::new().token;
    assert_eq!(rogue.refusal(&body(&scene)).await, Code::TokenBadSignature);

    // The DVR altered after it was signed.
    let mut scene = Scene::new();
    let signed = scene.dvr_token();
    scene.verifier = keys::generate().unwrap();
    let mut request = body(&scene);
    let forged = scene.dvr_token();
    let (kept, _) = signed.rsplit_once('.').unwrap();
    let (_, signature) = forged.rsplit_once('.').unwrap();
    request.dvr_token = format!("{kept}.{signature}");
    assert_eq!(rogue.refusal(&request).await, Code::TokenBadSignature);
}
