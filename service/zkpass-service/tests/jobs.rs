//! Jobs through a running service: waiting, polling, cancelling, losing.

mod support;

use std::time::Duration;

use support::{FakeEnclave, Got, Seen, TestService, spawn};
use zkpass_core::code::Code;

#[tokio::test]
async fn an_answer_within_the_wait_comes_with_the_first_response() {
    let mut enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |_| {}).await;
    let got = service.ask("answer hello").await;
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(got.json["status"], "done");
    assert_eq!(got.answer(), "hello");
    assert_eq!(got.header("preference-applied"), "wait=30");
    assert_eq!(got.header("cache-control"), "no-store");
    assert_eq!(enclave.seen().await, Seen::Prove(b"answer hello".to_vec()));
    // The answer stays for a client whose connection broke.
    let again = service.get(&got.header("location")).await;
    assert_eq!(again.answer(), "hello");
    service.stop().await;
}

#[tokio::test]
async fn without_a_wait_the_job_is_polled() {
    let enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |_| {}).await;
    let got = Got::from(service.request("hold")).await;
    assert_eq!(got.status, 202);
    assert_eq!(got.header("retry-after"), "1");
    assert!(["queued", "running"].contains(&got.json["status"].as_str().unwrap()));
    let path = got.header("location");

    let running = service.get(&format!("{path}?wait=1")).await;
    assert_eq!(running.status, 200);
    assert_eq!(running.json["status"], "running");
    assert_eq!(running.header("retry-after"), "1");

    let waiting = spawn(service.http.get(service.url(&format!("{path}?wait=30"))));
    tokio::time::sleep(Duration::from_millis(50)).await;
    enclave.release();
    let done = waiting.await.unwrap();
    assert_eq!(done.answer(), "released");
    assert!(!done.headers.contains_key("retry-after"));
    service.stop().await;
}

#[tokio::test]
async fn many_jobs_are_in_flight_at_once() {
    let mut enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |config| config.in_flight = 20).await;
    let held: Vec<_> = (0..10)
        .map(|_| spawn(service.request("hold").header("prefer", "wait=30")))
        .collect();
    for _ in 0..10 {
        assert_eq!(enclave.seen().await, Seen::Prove(b"hold".to_vec()));
    }
    // A later request is answered before them: each reply finds its request.
    assert_eq!(service.ask("answer first").await.answer(), "first");
    enclave.release();
    for job in held {
        assert_eq!(job.await.unwrap().answer(), "released");
    }
    service.stop().await;
}

#[tokio::test]
async fn a_refusal_of_the_enclave_is_a_failed_job() {
    let enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |_| {}).await;
    for code in [Code::SealedRequestRejected, Code::ReAttest, Code::QueueFull] {
        let got = service.ask(&format!("fail {code}")).await;
        got.is_failed_job(code);
        assert_eq!(got.json["problem"]["instance"], got.header("location"));
    }
    service.stop().await;
}

#[tokio::test]
async fn delete_cancels_the_job_and_forgets_it() {
    let mut enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |_| {}).await;
    let path = service.submit("hold").await;
    assert!(matches!(enclave.seen().await, Seen::Prove(_)));
    let waiting = spawn(service.http.get(service.url(&format!("{path}?wait=30"))));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(service.delete(&path).await.status, 204);
    assert_eq!(enclave.seen().await, Seen::Cancel);
    waiting.await.unwrap().is_failed_job(Code::Cancelled);
    service.get(&path).await.is_problem(Code::NotFound);
    service.delete(&path).await.is_problem(Code::NotFound);

    // A finished job is forgotten too.
    let path = service.ask("answer x").await.header("location");
    assert_eq!(service.delete(&path).await.status, 204);
    service.get(&path).await.is_problem(Code::NotFound);
    service.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_while_it_waits_cancels_its_job() {
    let mut enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |_| {}).await;
    let request = spawn(service.request("hold").header("prefer", "wait=30"));
    assert!(matches!(enclave.seen().await, Seen::Prove(_)));
    request.abort();
    assert_eq!(enclave.seen().await, Seen::Cancel);
    service.stop().await;
}

#[tokio::test]
async fn with_an_idempotency_key_the_client_may_come_back() {
    let mut enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |_| {}).await;
    let request = |key: &str, script: &str| {
        service
            .request(script)
            .header("prefer", "wait=30")
            .header("idempotency-key", key)
    };
    let gone = spawn(request("k-1", "hold"));
    assert!(matches!(enclave.seen().await, Seen::Prove(_)));
    gone.abort();
    assert!(enclave.saw_nothing().await, "the job was cancelled");

    let back = spawn(request("k-1", "hold"));
    Got::from(request("k-1", "answer other"))
        .await
        .is_problem(Code::IdempotencyConflict);
    enclave.release();
    assert_eq!(back.await.unwrap().answer(), "released");
    assert!(enclave.saw_nothing().await, "it was sent twice");
    service.stop().await;
}

#[tokio::test]
async fn a_job_whose_id_was_given_out_survives_its_client() {
    let mut enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |_| {}).await;
    let path = service.submit("hold").await;
    assert!(matches!(enclave.seen().await, Seen::Prove(_)));
    let poll = spawn(service.http.get(service.url(&format!("{path}?wait=30"))));
    tokio::time::sleep(Duration::from_millis(50)).await;
    poll.abort();
    assert!(enclave.saw_nothing().await, "the job was cancelled");
    enclave.release();
    let got = service.get(&format!("{path}?wait=30")).await;
    assert_eq!(got.answer(), "released");
    service.stop().await;
}

#[tokio::test]
async fn the_queue_is_bounded() {
    let enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |config| config.queue_length = 2).await;
    let first = service.submit("hold").await;
    service.submit("hold").await;
    let got = Got::from(service.request("hold")).await;
    got.is_problem(Code::QueueFull);
    assert_eq!(got.json["detail"], "the limit `queue_length` is 2");
    service.delete(&first).await;
    service.submit("hold").await;
    service.stop().await;
}

#[tokio::test]
async fn a_dead_enclave_fails_its_jobs_at_once() {
    let mut enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |config| config.in_flight = 2).await;
    let running = service.submit("hold").await;
    assert!(matches!(enclave.seen().await, Seen::Prove(_)));
    let dying = spawn(service.request("die").header("prefer", "wait=30"));
    assert!(matches!(enclave.seen().await, Seen::Prove(_)));
    dying.await.unwrap().is_failed_job(Code::EnclaveLost);
    let lost = service.get(&format!("{running}?wait=30")).await;
    lost.is_failed_job(Code::EnclaveLost);

    // The next life has another key; the old one leads nowhere.
    service.ready().await;
    let enclaves = service.get("/v1/enclaves").await;
    assert_eq!(enclaves.json["enclaves"][0]["key_id"], "key-2-1");
    service.ask("answer x").await.is_problem(Code::ReAttest);
    let request = service.request_for("key-2-1", "answer x");
    let got = Got::from(request.header("prefer", "wait=30")).await;
    assert_eq!(got.answer(), "x");
    service.stop().await;
}

#[tokio::test]
async fn jobs_that_never_reached_a_dead_enclave_need_a_new_key() {
    let mut enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |config| config.in_flight = 1).await;
    let first = service.submit("hold").await;
    assert!(matches!(enclave.seen().await, Seen::Prove(_)));
    let dying = service.submit("die").await;
    let queued = service.submit("hold").await;
    assert_eq!(service.get(&queued).await.json["status"], "queued");
    service.delete(&first).await;
    let lost = service.get(&format!("{dying}?wait=30")).await;
    lost.is_failed_job(Code::EnclaveLost);
    let lost = service.get(&format!("{queued}?wait=30")).await;
    lost.is_failed_job(Code::ReAttest);
    service.stop().await;
}

#[tokio::test]
async fn bad_frames_and_silence_count_as_death() {
    for script in ["garbage", "unknown", "proof", "mute"] {
        let enclave = FakeEnclave::start();
        let service = TestService::start(&enclave.socket(), |config| {
            config.enclaves[0].health_seconds = 1;
            config.enclaves[0].silence_seconds = 2;
        })
        .await;
        service.ask(script).await.is_failed_job(Code::EnclaveLost);
        service.ready().await;
        service.stop().await;
    }
}

#[tokio::test]
async fn health_questions_keep_a_quiet_enclave_alive() {
    let enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |config| {
        config.enclaves[0].health_seconds = 1;
        config.enclaves[0].silence_seconds = 2;
    })
    .await;
    let path = service.submit("hold").await;
    let got = service.get(&format!("{path}?wait=4")).await;
    assert_eq!(got.json["status"], "running");
    service.stop().await;
}

#[tokio::test]
async fn a_new_key_is_announced_and_the_old_one_still_routes() {
    let enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |_| {}).await;
    assert_eq!(service.ask("rotate now").await.answer(), "now");
    let enclaves = service.get("/v1/enclaves").await;
    assert_eq!(enclaves.json["enclaves"].as_array().unwrap().len(), 1);
    assert_eq!(enclaves.json["enclaves"][0]["key_id"], "key-1-2");
    for key in ["key-1-1", "key-1-2"] {
        let request = service.request_for(key, "answer x");
        let got = Got::from(request.header("prefer", "wait=30")).await;
        assert_eq!(got.answer(), "x");
    }
    service.stop().await;
}

#[tokio::test]
async fn a_job_ends_at_its_deadline() {
    let mut enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |config| {
        config.job_deadline_seconds = 1;
        config.in_flight = 1;
    })
    .await;
    let path = service.submit("hold").await;
    assert!(matches!(enclave.seen().await, Seen::Prove(_)));
    let queued = service.submit("hold").await;
    for path in [path, queued] {
        let got = service.get(&format!("{path}?wait=30")).await;
        got.is_failed_job(Code::DeadlineExceeded);
    }
    assert_eq!(enclave.seen().await, Seen::Cancel);
    service.stop().await;
}

#[tokio::test]
async fn finished_jobs_are_forgotten() {
    let enclave = FakeEnclave::start();
    let service = TestService::start(&enclave.socket(), |config| {
        config.finished_ttl_seconds = 1;
    })
    .await;
    let path = service.ask("answer x").await.header("location");
    assert_eq!(service.get(&path).await.answer(), "x");
    tokio::time::sleep(Duration::from_millis(1200)).await;
    service.get(&path).await.is_problem(Code::NotFound);
    service.stop().await;
}

#[tokio::test]
async fn draining_lets_jobs_finish_and_refuses_new_ones() {
    let enclave = FakeEnclave::start();
    let mut service = TestService::start(&enclave.socket(), |config| {
        config.drain_seconds = 60;
    })
    .await;
    let path = service.submit("hold").await;
    service.begin_stop();
    service.until_ready_is(503).await;
    service.get("/readyz").await.is_problem(Code::ShuttingDown);
    let refused = Got::from(service.request("answer x")).await;
    refused.is_problem(Code::ShuttingDown);
    assert_eq!(service.get("/livez").await.status, 200);

    enclave.release();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!service.has_stopped(), "the answer was not collected yet");
    let got = service.get(&format!("{path}?wait=30")).await;
    assert_eq!(got.answer(), "released");
    service.stop().await;
}

#[tokio::test]
async fn draining_ends_in_time_with_jobs_that_do_not() {
    let mut enclave = FakeEnclave::start();
    let mut service = TestService::start(&enclave.socket(), |config| {
        config.drain_seconds = 1;
    })
    .await;
    let path = service.submit("hold").await;
    assert!(matches!(enclave.seen().await, Seen::Prove(_)));
    let waiting = spawn(service.http.get(service.url(&format!("{path}?wait=30"))));
    tokio::time::sleep(Duration::from_millis(50)).await;
    service.begin_stop();
    waiting.await.unwrap().is_failed_job(Code::Cancelled);
    service.stop().await;
}
