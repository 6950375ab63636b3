//! Texts that occur nowhere else, in every field that a holder, an issuer or a
//! verifier controls; then a search for them wherever the operator can look:
//! the memory and the files of the service, both logs, everything that passed
//! on the network, and what a crash leaves behind.
//!
//! What a proof shows by design is sealed on its way, so it is searched for too.
//! Memory of other processes is read: only root runs these tests.

mod processes;
mod rogue;
#[path = "../../../enclave/zkpass-enclave/tests/scanner/mod.rs"]
mod scanner;
mod stack;
mod wire;

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use processes::{assert_forgotten, files_below, writable_files};
use rogue::{Rogue, body};
use scanner::{Pieces, random};
use stack::{PATIENCE, Scene, Stack, program};
use tokio::sync::Mutex as AsyncMutex;
use wire::Wire;
use zkpass_channel::{ResponseFormat, SealedRequestBody};
use zkpass_client::holder::{Holder, Request};
use zkpass_client::issuer::Issuer;
use zkpass_client::keys;
use zkpass_core::code::Code;
use zkpass_core::dvr::UserDataRequest;
use zkpass_core::user_data::Profile;

/// Proofs need the whole machine: one test at a time.
static TURN: AsyncMutex<()> = AsyncMutex::const_new(());

/// Makes canaries and remembers them.
#[derive(Default)]
struct Nest(Mutex<Vec<String>>);

impl Nest {
    /// 64 characters that are good for names, tags, ids and texts.
    fn canary(&self) -> String {
        let canary = format!("c{}", &random()[1..]);
        self.0.lock().unwrap().push(canary.clone());
        canary
    }

    /// All canaries so far.
    fn pieces(&self) -> Pieces {
        Pieces::of(&self.0.lock().unwrap())
    }

    /// A scene with a canary in every field of token, data and question.
    ///
    /// `question` holds those that stay in the enclave as part of a cached
    /// circuit, by design: the tag, and the names and literals of the query.
    fn scene(&self, question: &Nest) -> Scene {
        let (tag, name, shown) = (question.canary(), question.canary(), question.canary());
        let (literal, output) = (question.canary(), question.canary());
        let (secret, public, unused) = (self.canary(), self.canary(), self.canary());
        let data = format!(
            r#"{{"{name}":"{secret}","{shown}":"{public}","_{shown}_zkpass_public_":true,"{}":{{"deep":["{unused}"]}}}}"#,
            self.canary()
        );
        let mut scene = Scene::with_data("{}");
        scene.issuer = Issuer::new(keys::generate().unwrap()).with_key_id(self.canary());
        scene.token = scene.issuer.sign(&data, Profile::Zkpass).unwrap();
        let dvr = &mut scene.dvr;
        dvr.query = format!(
            r#"[{{"output":{{"{output}":{{"!=":[{{"dvar":"{tag}.{name}"}},"{literal}"]}}}}}},
               {{"output":{{"shown":{{"dvar":"{tag}.{shown}"}}}}}}]"#
        );
        dvr.dvr_title = self.canary();
        dvr.dvr_id = self.canary();
        dvr.query_engine_ver = self.canary();
        dvr.query_method_ver = self.canary();
        dvr.nonce = Some(self.canary());
        dvr.audience = Some(self.canary());
        let wanted = UserDataRequest {
            user_data_url: Some(format!(
                "https://{}.example/{}",
                self.canary(),
                self.canary()
            )),
            user_data_verifying_key: scene.issuer.public_key().into(),
            profile: Profile::Zkpass,
        };
        dvr.user_data_requests = [(tag, wanted)].into();
        self.signatures(&scene);
        scene
    }

    /// Signatures tell tokens apart as well as canaries do.
    fn signatures(&self, scene: &Scene) {
        for token in [&scene.token, &scene.dvr_token()] {
            let signature = token.rsplit('.').next().unwrap();
            self.0.lock().unwrap().push(signature.to_owned());
        }
    }

    /// What the SDK would not send, sealed all the same: each body is opened by
    /// the enclave and refused for another reason.
    fn malformed(&self, rogue: &Rogue) -> Vec<(&'static str, Vec<u8>)> {
        let scene = || self.scene(self);
        let seal = |body: &SealedRequestBody| rogue.seal(body, &rogue.key()).0;
        let with = |change: &dyn Fn(&mut Scene)| {
            let mut scene = scene();
            change(&mut scene);
            self.signatures(&scene);
            seal(&self.body(&scene))
        };
        let member = |name: &str, value: &str| format!(r#"{{"{name}":"{value}"}}"#);
        let resign = |scene: &mut Scene, header: String| {
            let (_, rest) = scene.token.split_once('.').unwrap();
            scene.token = format!(
                "{}.{rest}",
                zkpass_core::encoding::base64url(header.as_bytes())
            );
        };
        let long = self.canary().repeat(80);
        vec![
            (
                "a foreign signature",
                with(&|scene| {
                    let stranger = Issuer::new(keys::generate().unwrap());
                    let data = member("name", &self.canary());
                    scene.token = stranger.sign(&data, Profile::Zkpass).unwrap();
                }),
            ),
            (
                "data that is no JSON",
                with(&|scene| {
                    let payload = format!(r#"{{"data":{{"name":{}"#, self.canary());
                    let header = zkpass_core::jws::Header::new("JWT", None);
                    let key = keys::generate().unwrap();
                    scene.token = zkpass_core::jws::sign(&header, payload.as_bytes(), &key);
                }),
            ),
            (
                "data that is no UTF-8",
                with(&|scene| {
                    let payload = [b"\xff\xfe".as_slice(), self.canary().as_bytes()].concat();
                    let header = zkpass_core::jws::Header::new("JWT", None);
                    let key = keys::generate().unwrap();
                    scene.token = zkpass_core::jws::sign(&header, &payload, &key);
                }),
            ),
            (
                "an unknown header member",
                with(&|scene| {
                    let header = format!(
                        r#"{{"alg":"ES256","{}":"{}"}}"#,
                        self.canary(),
                        self.canary()
                    );
                    resign(scene, header);
                }),
            ),
            (
                "an unknown algorithm",
                with(&|scene| resign(scene, member("alg", &self.canary()))),
            ),
            (
                "no token at all",
                with(&|scene| scene.token = self.canary()),
            ),
            (
                "a missing field",
                with(&|scene| {
                    let data = member(&self.canary(), &self.canary());
                    scene.token = scene.issuer.sign(&data, Profile::Zkpass).unwrap();
                }),
            ),
            (
                "an unknown operator",
                with(&|scene| {
                    scene.dvr.query = format!(r#"[{{"{}":"{}"}}]"#, self.canary(), self.canary());
                }),
            ),
            (
                "a query that is no JSON",
                with(&|scene| scene.dvr.query = self.canary()),
            ),
            (
                "an unknown proof system",
                with(&|scene| scene.dvr.zkvm = self.canary()),
            ),
            (
                "a binding",
                with(&|scene| scene.dvr.holder_binding = Some(self.canary())),
            ),
            ("another tag", {
                let mut body = self.body(&scene());
                let token = body.tokens.pop_first().unwrap().1;
                body.tokens.insert(self.canary(), token);
                seal(&body)
            }),
            ("no DVR token", {
                let mut body = self.body(&scene());
                body.dvr_token = self.canary();
                seal(&body)
            }),
            (
                "a body that is no JSON",
                rogue.seal_bytes(self.canary().as_bytes()),
            ),
            ("a body that is no UTF-8", {
                let body = [b"{\"\xff\":".as_slice(), self.canary().as_bytes()].concat();
                rogue.seal_bytes(&body)
            }),
            ("a body with an unknown member", {
                let body = member(&self.canary(), &self.canary());
                rogue.seal_bytes(body.as_bytes())
            }),
            ("a body with a token that is too large", {
                let body = format!(
                    r#"{{"tokens":{{"":"{long}"}},"dvr_token":"x","idempotency_id":"{}","response_format":"zkpass-proof+jwt"}}"#,
                    self.canary()
                );
                rogue.seal_bytes(body.as_bytes())
            }),
        ]
    }

    fn body(&self, scene: &Scene) -> SealedRequestBody {
        SealedRequestBody {
            tokens: tokens(scene),
            dvr_token: scene.dvr_token(),
            idempotency_id: self.canary(),
            response_format: ResponseFormat::ProofToken,
        }
    }
}

/// The token of a scene under the tag that its DVR gives it.
fn tokens(scene: &Scene) -> std::collections::BTreeMap<String, String> {
    let tag = scene.dvr.user_data_requests.keys().next().unwrap().clone();
    [(tag, scene.token.clone())].into()
}

/// Fails if a piece is where the operator can look.
fn assert_unseen(stack: &Stack, wire: &Wire, pieces: &Pieces, when: &str) {
    let memory = pieces.in_memory_of(stack.service_id());
    assert_eq!(memory, [""; 0], "memory of the service {when}");
    assert_unwritten(stack, pieces, when);
    let passed = pieces.in_bytes(&wire.everything());
    assert_eq!(passed, [""; 0], "the network {when}");
}

/// Fails if a piece was written down.
fn assert_unwritten(stack: &Stack, pieces: &Pieces, when: &str) {
    let log = stack.log().join("\n");
    assert!(log.len() > 100, "{log}");
    let found = pieces.in_bytes(log.as_bytes());
    assert_eq!(found, [""; 0], "the log {when}");
    for (path, content) in files_below(stack.directory()) {
        let found = pieces.in_bytes(&content);
        assert_eq!(found, [""; 0], "{} {when}", path.display());
        let found = pieces.in_bytes(path.to_str().unwrap().as_bytes());
        assert_eq!(found, [""; 0], "a name of a file {when}");
    }
    for process in [stack.service_id(), stack.enclave_id()] {
        assert_eq!(writable_files(process), [""; 0], "{when}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sealed_is_seen_by_nobody_on_the_way() {
    if !scanner::may_inspect() {
        return;
    }
    let _turn = TURN.lock().await;
    let stack = Stack::start("");
    let files = files_below(stack.directory());
    let wire = Wire::before(&stack.url).await;
    let (nest, question) = (Nest::default(), Nest::default());

    // Honest: the proof shows title, id, header, tag and one value, to the holder.
    let scene = nest.scene(&question);
    let (private, asked) = (nest.pieces(), question.pieces());
    let holder = Holder::builder(&wire.url, stack.policy()).build().unwrap();
    let request = Request::new(scene.dvr_token(), tokens(&scene));
    let proving = tokio::spawn(async move { holder.prove(&request).await });
    let mut looks = 0;
    while !proving.is_finished() {
        assert_unseen(&stack, &wire, &private, "while a request is in work");
        assert_unseen(&stack, &wire, &asked, "while a request is in work");
        looks += 1;
    }
    let proof = proving.await.unwrap().unwrap();
    assert!(looks > 0, "it was proved before anybody could look");
    // The controls: the canaries did arrive, and the scanner knows them.
    let shown = serde_json::to_vec(proof.statement()).unwrap();
    assert!(!private.in_bytes(&shown).is_empty());
    assert!(!asked.in_bytes(&shown).is_empty());
    assert!(!private.in_bytes(proof.token().as_bytes()).is_empty());
    assert!(!private.in_memory_of(std::process::id()).is_empty());
    assert_forgotten(stack.enclave_id(), &private);

    // Malformed inside: refused by the enclave, under seal.
    let rogue = Rogue::at(&wire.url).await;
    for (what, sealed) in nest.malformed(&rogue) {
        let job = rogue.post(&sealed, &rogue.enclave.key_id).await.unwrap();
        assert!(job.sealed_answer.is_some(), "{what}: {job:?}");
        assert!(job.problem.is_none(), "{what}");
    }
    // Too large for the SDK: it says so itself and sends nothing.
    let holder = Holder::builder(&wire.url, stack.policy()).build().unwrap();
    let mut large = nest.scene(&nest);
    large.token = nest.canary().repeat(100);
    let request = Request::new(large.dvr_token(), tokens(&large));
    let posts = wire.posts().len();
    let error = holder.prove(&request).await.unwrap_err();
    assert_eq!(error.code(), Code::TokenTooLarge);
    assert_eq!(wire.posts().len(), posts);

    assert!(wire.posts().len() > 17, "the requests went another way");
    let all = nest.pieces();
    assert_unseen(&stack, &wire, &all, "after all requests");
    assert_unseen(&stack, &wire, &asked, "after all requests");
    assert_forgotten(stack.enclave_id(), &all);
    assert_eq!(files, files_below(stack.directory()));
}

/// The same behind the service, where its frames go to the enclave and back.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_relays_to_the_enclave_is_sealed() {
    if !scanner::may_inspect() {
        return;
    }
    let _turn = TURN.lock().await;
    let launched = zkpass_launcher::Options {
        stage: Some(program("zkpass-service")),
        log: false,
        ..zkpass_launcher::Options::new(program("zkpass-enclave"))
    };
    let launcher = zkpass_launcher::Launcher::start(launched).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("relay.sock");
    let wire = Wire::on_socket(&socket, launcher.socket());
    let stack = Stack::start_connected(&socket, launcher.tee().root_fingerprint);

    let (nest, question) = (Nest::default(), Nest::default());
    let scene = nest.scene(&question);
    let holder = stack.holder().build().unwrap();
    let request = Request::new(scene.dvr_token(), tokens(&scene));
    holder.prove(&request).await.unwrap();
    let rogue = Rogue::at(&stack.url).await;
    let mut relayed = Vec::new();
    for (_, sealed) in nest.malformed(&rogue) {
        relayed.push(rogue.answer(&sealed).await);
        relayed.push(sealed);
    }
    let passed = wire.everything();
    for pieces in [nest.pieces(), question.pieces()] {
        assert_eq!(pieces.in_bytes(&passed), [""; 0]);
    }
    // The control: it is these requests and answers that passed.
    for sealed in relayed {
        let passed = passed.windows(sealed.len()).any(|bytes| bytes == sealed);
        assert!(passed, "a sealed text went another way");
    }
    drop(stack);
    launcher.shutdown().await;
}

/// What a client tells the service in the open is in its memory for a while. It is
/// in no log, no file and no answer.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_in_the_open_is_neither_written_nor_echoed() {
    if !scanner::may_inspect() {
        return;
    }
    let _turn = TURN.lock().await;
    let stack = Stack::start("");
    let wire = Wire::before(&stack.url).await;
    let rogue = Rogue::at(&wire.url).await;
    let nest = Nest::default();

    // A scene that is refused soon; its job is kept with its idempotency key.
    let scene = Scene::with_data("{}");
    let (sealed, _) = rogue.seal(&body(&scene), &rogue.key());
    let kept = Nest::default();
    let envelope = serde_json::json!({
        "enclave_id": rogue.enclave.enclave_id,
        "key_id": rogue.enclave.key_id,
        "sealed": zkpass_core::encoding::base64url(&sealed),
    });
    let post = |body: Vec<u8>| {
        rogue
            .raw("POST", "/v1/proofs")
            .header("content-type", "application/json")
            .header("prefer", "wait=60")
            .body(body)
    };
    let honest = post(envelope.to_string().into()).header("idempotency-key", kept.canary());
    assert_eq!(rogue.request(honest).await.0, 200);
    // The positive control of all searches in its memory: the key is found there.
    let found = kept.pieces().in_memory_of(stack.service_id());
    assert!(!found.is_empty(), "the scanner sees nothing");

    let canary = || nest.canary();
    let json = |text: String| post(text.into_bytes());
    let mut altered = envelope.clone();
    altered[canary()] = canary().into();
    let mut unknown_key = envelope.clone();
    unknown_key["key_id"] = canary().into();
    let mut unknown_enclave = envelope.clone();
    unknown_enclave["enclave_id"] = canary().into();
    let mut unsealed = envelope.clone();
    unsealed["sealed"] = canary().into();
    let requests = [
        json(canary()),
        json(format!(r#"{{"sealed":"{}"#, canary())),
        json(format!(r#"{{"sealed":{{"{}":1}}}}"#, canary())),
        json(altered.to_string()),
        json(unknown_key.to_string()),
        json(unknown_enclave.to_string()),
        json(unsealed.to_string()),
        post([b"\xff\xfe".as_slice(), canary().as_bytes()].concat()),
        json(format!(r#"{{"sealed":"{}"}}"#, canary().repeat(8000))),
        json(envelope.to_string()).header("prefer", canary()),
        json(envelope.to_string()).header("idempotency-key", canary().repeat(9)),
        json(envelope.to_string()).header("content-type", canary()),
        rogue.raw("GET", &format!("/{}", canary())),
        rogue.raw("GET", &format!("/v1/proofs/{}", canary())),
        rogue.raw("DELETE", &format!("/v1/proofs/{}", canary())),
        rogue.raw("GET", &format!("/v1/enclaves?nonce={}", canary())),
        rogue.raw("GET", &format!("/v1/enclaves?{}=1", canary())),
        rogue.raw("GET", "/livez").header("user-agent", canary()),
        rogue.raw("GET", "/livez").header("authorization", canary()),
        rogue.raw(&canary()[..20], "/livez"),
    ];
    for request in requests {
        let (status, _) = rogue.request(request).await;
        assert!((200..500).contains(&status), "{status}");
    }
    for pieces in [nest.pieces(), kept.pieces()] {
        assert_eq!(pieces.in_bytes(&wire.answers()), [""; 0], "an answer");
        assert_unwritten(&stack, &pieces, "after all requests");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_leaves_nothing_behind() {
    if !scanner::may_inspect() {
        return;
    }
    let _turn = TURN.lock().await;
    let stack = Stack::start("");
    let (nest, question) = (Nest::default(), Nest::default());
    // The system would write core files of any size; the next enclave inherits that.
    let process = stack.service_id().to_string();
    let limits = ["--core=unlimited:unlimited", "--pid", &process];
    let allowed = Command::new("prlimit").args(limits).status().unwrap();
    assert!(allowed.success(), "raising the limit takes root");
    let from = stack.log().len();
    stack.kill_enclave();
    stack.wait_for_log("enclave ready", from);

    // In work when it happens.
    let scene = nest.scene(&question);
    let holder = stack.holder().max_attempts(1).build().unwrap();
    let request = Request::new(scene.dvr_token(), tokens(&scene));
    let proving = tokio::spawn(async move { holder.prove(&request).await });
    let private = nest.pieces();
    let sent = Instant::now();
    // It stands still while we look, so that it cannot come to its end meanwhile.
    stack.signal_enclave("STOP");
    while private.in_memory_of(stack.enclave_id()).is_empty() {
        stack.signal_enclave("CONT");
        assert!(sent.elapsed() < PATIENCE && !proving.is_finished());
        tokio::time::sleep(Duration::from_millis(20)).await;
        stack.signal_enclave("STOP");
    }
    let from = stack.log().len();
    crash(stack.enclave_id());
    stack.signal_enclave("CONT");
    stack.wait_for_log("enclave lost", from);
    let error = proving.await.unwrap().unwrap_err();
    assert_eq!(error.code(), Code::EnclaveLost);
    stack.wait_for_log("enclave ready", from);
    assert_unwritten(&stack, &private, "after a crash");
    assert_eq!(core_files(stack.directory()), [""; 0]);

    // The service may leave a core file: it never had more than ciphertext.
    let pieces = [nest.pieces(), question.pieces()];
    let service = stack.service_id();
    let aborted = Command::new("kill").args(["-ABRT", &process]).status();
    assert!(aborted.unwrap().success());
    let end = Instant::now() + PATIENCE;
    while !has_ended(service) {
        assert!(Instant::now() < end, "it does not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The control: where the system writes core files to the working directory, this
    // crash left one, and that of the enclave could have.
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if pattern.starts_with("core") {
        assert_ne!(core_files(stack.directory()), [""; 0]);
    }
    for (path, content) in files_below(stack.directory()) {
        for pieces in &pieces {
            let found = pieces.in_bytes(&content);
            assert_eq!(found, [""; 0], "{}", path.display());
        }
    }
}

/// Makes a process crash by itself, at an instruction that is none: signals from
/// outside do not reach the first process of a namespace.
fn crash(process_id: u32) {
    const NO_INSTRUCTION: [u8; 2] = [0x0f, 0x0b];
    let maps = std::fs::read_to_string(format!("/proc/{process_id}/maps")).unwrap();
    let code = maps.lines().find(|line| line.contains("r-xp")).unwrap();
    let (start, end) = code.split_once(' ').unwrap().0.split_once('-').unwrap();
    let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
    let memory = OpenOptions::new()
        .write(true)
        .open(format!("/proc/{process_id}/mem"));
    let memory = memory.expect("writing to the memory of another process takes root");
    let nothing = NO_INSTRUCTION.repeat(usize::try_from(end - start).unwrap() / 2);
    // The process ends meanwhile.
    let _ = memory.write_at(&nothing, start);
}

/// Files that are named as the system names core files.
fn core_files(directory: &Path) -> Vec<String> {
    let files = files_below(directory).into_keys();
    let names = files.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    names.filter(|name| name.starts_with("core")).collect()
}

/// Whether a process is gone or waits for its parent only.
fn has_ended(process_id: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{process_id}/stat")) {
        Err(_) => true,
        Ok(stat) => stat.contains(") Z "),
    }
}
