//! A real enclave process, and a frame client written by hand.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use getrandom::SysRng;
use serde_json::json;
use tempfile::TempDir;
use zkpass_channel::{
    AnswerOpener, Binding, PublicKey, Refusal, ResponseFormat, SealedAnswerBody, SealedRequestBody,
    rand_core::UnwrapErr,
};
use zkpass_core::{
    api::EnclaveInfo,
    dvr::{Dvr, DvrToken},
    encoding::from_base64url,
    frame::{Decoder, Frame, Message},
    keys::SigningKey,
    user_data::{Profile, sign_user_data},
};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_zkpass-enclave");

/// Longer than a proof takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Stands in the data; must not stand in any log.
pub const CANARY: &str = "canary-5be1";

/// A running enclave; it is killed when this is dropped.
pub struct Enclave {
    pub process: Child,
    directory: TempDir,
}

impl Enclave {
    pub fn start(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("e.sock");
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let process = Command::new(PROGRAM)
            .arg("--socket")
            .arg(&socket)
            .args(arguments)
            .stdin(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let enclave = Self { process, directory };
        wait_until(|| UnixStream::connect(&socket).is_ok());
        enclave
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("e.sock")
    }

    pub fn connect(&self) -> Client {
        Client::connect(&self.socket())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    pub fn end(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until(|| {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Enclave {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One connection, used like the service uses it.
pub struct Client {
    stream: UnixStream,
    decoder: Decoder,
    last_id: u64,
    pub info: EnclaveInfo,
}

impl Client {
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut decoder = Decoder::default();
        let hello = read_frame(&stream, &mut decoder).unwrap();
        let Message::Hello { info } = hello.message else {
            panic!("no greeting but {hello:?}");
        };
        Self {
            stream,
            decoder,
            last_id: 0,
            info: *info,
        }
    }

    /// The next frame, or `None` when the enclave closed the connection.
    pub fn receive(&mut self) -> Option<Frame> {
        read_frame(&self.stream, &mut self.decoder)
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn send_as(&mut self, request_id: u64, message: Message) {
        let frame = Frame {
            request_id,
            message,
        };
        self.send_raw(&frame.encode().unwrap());
    }

    pub fn send(&mut self, message: Message) -> u64 {
        self.last_id += 1;
        self.send_as(self.last_id, message);
        self.last_id
    }

    /// Sends a message and returns what comes back under its id.
    pub fn ask(&mut self, message: Message) -> Message {
        let id = self.send(message);
        self.answer_to(id)
    }

    /// What comes back under an id; other frames in between are dropped.
    pub fn answer_to(&mut self, id: u64) -> Message {
        loop {
            let frame = self.receive().expect("the enclave closed the connection");
            if frame.request_id == id {
                return frame.message;
            }
        }
    }

    pub fn seal(&self, body: &SealedRequestBody) -> (Vec<u8>, AnswerOpener) {
        seal_to(&self.info, body)
    }

    pub fn prove_message(&self, sealed: Vec<u8>) -> Message {
        Message::Prove {
            deadline_ms: 600_000,
            key_id: self.info.key_id.clone(),
            sealed,
        }
    }

    /// Seals, sends, waits and opens.
    pub fn prove(&mut self, body: &SealedRequestBody) -> SealedAnswerBody {
        let (sealed, opener) = self.seal(body);
        let message = self.prove_message(sealed);
        match self.ask(message) {
            Message::Answer { sealed } => opener.open(&sealed).unwrap(),
            other => panic!("no answer but {other:?}"),
        }
    }

    pub fn refusal(&mut self, body: &SealedRequestBody) -> Refusal {
        match self.prove(body) {
            SealedAnswerBody::Refused(refusal) => refusal,
            SealedAnswerBody::Proved { .. } => panic!("it was proved"),
        }
    }

    pub fn running(&mut self) -> u32 {
        match self.ask(Message::Health) {
            Message::Healthy { running, .. } => running,
            other => panic!("no health but {other:?}"),
        }
    }
}

fn read_frame(mut stream: &UnixStream, decoder: &mut Decoder) -> Option<Frame> {
    let mut bytes = [0; 4096];
    loop {
        if let Some(frame) = decoder.next_frame().unwrap() {
            return Some(frame);
        }
        match stream.read(&mut bytes) {
            Ok(0) => return None,
            Ok(count) => decoder.push(&bytes[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Seals to the key in an introduction, which must be signed.
pub fn seal_to(info: &EnclaveInfo, body: &SealedRequestBody) -> (Vec<u8>, AnswerOpener) {
    assert!(info.is_signed());
    let key = PublicKey::from_bytes(&from_base64url(&info.hpke_public_key).unwrap()).unwrap();
    let binding = Binding {
        key_id: &info.key_id,
        measurement_id: &info.measurement_id,
    };
    zkpass_channel::seal(body, &key, &binding, &mut UnwrapErr(SysRng)).unwrap()
}

pub fn issuer() -> SigningKey {
    SigningKey::from_bytes(&[1; 32]).unwrap()
}

pub fn verifier() -> SigningKey {
    SigningKey::from_bytes(&[2; 32]).unwrap()
}

/// Data and question of the tests; the name may be shown, and is when the answer is yes.
pub fn data() -> String {
    format!(
        r#"{{"name":"{CANARY}","_name_zkpass_public_":true,"balance":2500,"note":"{CANARY}","rate":1.5}}"#
    )
}

pub const QUERY: &str = r#"[
    {"assign": {"rich": {">=": [{"dvar": "balance"}, 1000]}}},
    {"output": {"rich": {"lvar": "rich"}}},
    {"if": {"condition": {"lvar": "rich"}, "then": [{"output": {"name": {"dvar": "name"}}}]}}
]"#;

pub fn dvr(query: &str) -> Dvr {
    let request = json!({
        "": {"user_data_verifying_key": {"PublicKey": issuer().public().to_jwk()}}
    });
    let dvr = json!({
        "zkvm": "vega",
        "dvr_title": "a test",
        "dvr_id": "t-1",
        "query_engine_ver": "1.0",
        "query_method_ver": "1.0",
        "query": query,
        "user_data_requests": request,
        "dvr_verifying_key": {"PublicKey": verifier().public().to_jwk()},
        "nonce": "n-1",
    });
    Dvr::from_json(&dvr.to_string()).unwrap()
}

pub fn token() -> String {
    sign_user_data(&data(), Profile::Zkpass, &issuer(), Some("issuer-1")).unwrap()
}

pub fn request(dvr: &Dvr) -> SealedRequestBody {
    SealedRequestBody {
        tokens: BTreeMap::from([(String::new(), token())]),
        dvr_token: DvrToken::sign(dvr, &verifier(), None).unwrap(),
        idempotency_id: "id-1".to_owned(),
        response_format: ResponseFormat::ProofToken,
    }
}

pub fn honest() -> SealedRequestBody {
    request(&dvr(QUERY))
}

pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs().try_into().unwrap()
}

/// Waits for something that takes moments.
pub fn wait_until(mut happened: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !happened() {
        assert!(begin.elapsed() < PATIENCE, "it did not happen");
        thread::sleep(Duration::from_millis(5));
    }
}
