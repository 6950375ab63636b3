//! Evidence of a real enclave process, from a security module on a socket.

mod common;

use std::{
    collections::HashSet,
    fs,
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use aws_nitro_enclaves_nsm_api::api::{Request, Response};
use common::{Enclave, PROGRAM, honest};
use zkpass_channel::SealedAnswerBody;
use zkpass_core::{api::UNATTESTED_DEVELOPMENT, code::Code, evidence::binding, frame::Message};

/// Serves one connection like a security module whose PCR 0 is 48 times 7.
///
/// Documents are the CBOR of user data and nonce. Each waits for `go`.
fn serve_module(socket: &Path, go: mpsc::Receiver<()>) {
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        while let Some(request) = read_request(&mut stream) {
            let response = match request {
                Request::DescribePCR { index: 0 } => Response::DescribePCR {
                    lock: true,
                    data: vec![7; 48],
                },
                Request::Attestation {
                    user_data, nonce, ..
                } => {
                    if go.recv().is_err() {
                        return;
                    }
                    let document = serde_cbor::to_vec(&[user_data, nonce]).unwrap();
                    Response::Attestation { document }
                }
                other => panic!("not expected: {other:?}"),
            };
            let body = serde_cbor::to_vec(&response).unwrap();
            let length = u32::try_from(body.len()).unwrap().to_be_bytes();
            stream
                .write_all(&[&length, body.as_slice()].concat())
                .unwrap();
        }
    });
}

fn read_request(stream: &mut UnixStream) -> Option<Request> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_be_bytes(length).try_into().unwrap()];
    stream.read_exact(&mut body).unwrap();
    Some(serde_cbor::from_slice(&body).unwrap())
}

#[test]
fn evidence_is_bound_to_nonce_and_identity_while_jobs_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("nsm.sock");
    let (go, may_go) = mpsc::channel();
    serve_module(&socket, may_go);
    let enclave = Enclave::start(&["--nsm-socket", socket.to_str().unwrap()]);
    let mut client = enclave.connect();
    let measurement_id = format!("nitro:{}", "07".repeat(48));
    assert_eq!(client.info.kind, "nitro");
    assert_eq!(client.info.measurement_id, measurement_id);
    assert!(enclave.log().contains(&measurement_id));

    // The module is slow, and a request is proved meanwhile, sealed to the measurement.
    let mut asking = enclave.connect();
    let question = asking.send(Message::Attest { nonce: [3; 32] });
    let answer = client.prove(&honest());
    assert!(matches!(answer, SealedAnswerBody::Proved { .. }));

    go.send(()).unwrap();
    let Message::Attested { offer } = asking.answer_to(question) else {
        panic!("no evidence");
    };
    assert!(offer.info.is_signed());
    assert_eq!(offer.info, client.info);
    let evidence = offer.evidence.unwrap();
    assert_eq!(evidence.platform, "nitro");
    assert_eq!(evidence.nonce, [3; 32]);
    let [user_data, nonce]: [serde_bytes::ByteBuf; 2] =
        serde_cbor::from_slice(&evidence.document).unwrap();
    assert_eq!(user_data, binding(&[3; 32], &client.info.identity_key));
    assert_eq!(nonce, [3; 32]);

    // A module that went away leaves the rest of the enclave as it was.
    drop(go);
    for _ in 0..2 {
        let code = Code::EvidenceUnavailable;
        let answer = client.ask(Message::Attest { nonce: [4; 32] });
        assert_eq!(answer, Message::Failed { code });
    }
    assert!(enclave.log().contains("no evidence"));
    assert_eq!(client.running(), 0);
}

/// Does what the kernel of an SEV-SNP guest does with entries under `root`; never ends.
///
/// A report is 1184 bytes: the data at 0x50, a measurement of 48 times 7 at 0x90.
fn animate_reports(root: PathBuf) {
    let put = |entry: &Path, attribute: &str, bytes: &[u8]| {
        let unfinished = entry.join(".new");
        // The entry may be gone already.
        let _ = fs::write(&unfinished, bytes)
            .and_then(|()| fs::rename(unfinished, entry.join(attribute)));
    };
    thread::spawn(move || {
        // Attributes that go are not made again.
        let mut known = HashSet::new();
        while let Ok(entries) = fs::read_dir(&root) {
            for entry in entries.map(|entry| entry.unwrap().path()) {
                if known.insert(entry.clone()) {
                    put(&entry, "generation", b"0");
                    put(&entry, "provider", b"sev_guest");
                    put(&entry, "inblob", b"");
                }
                let data = fs::read(entry.join("inblob")).unwrap_or_default();
                if data.len() == 64 {
                    let mut report = vec![0; 1184];
                    report[0x50..0x90].copy_from_slice(&data);
                    report[0x90..0xc0].fill(7);
                    put(&entry, "outblob", &report);
                    put(&entry, "auxblob", b"certificates");
                    put(&entry, "inblob", b"");
                    put(&entry, "generation", b"1");
                }
            }
            thread::sleep(Duration::from_millis(1));
        }
    });
}

#[test]
fn a_confined_enclave_still_gets_reports() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_owned();
    animate_reports(root.clone());
    let arguments = ["--evidence", "sev-snp", "--tsm-root"];
    let enclave = Enclave::start(&[arguments.as_slice(), &[root.to_str().unwrap()]].concat());
    let mut client = enclave.connect();
    assert_eq!(
        client.info.measurement_id,
        format!("sev-snp:{}", "07".repeat(48))
    );
    for byte in 0..3 {
        let nonce = [byte; 32];
        let Message::Attested { offer } = client.ask(Message::Attest { nonce }) else {
            panic!("no evidence: {}", enclave.log());
        };
        let evidence = offer.evidence.unwrap();
        assert_eq!(evidence.platform, "sev-snp");
        let bound = binding(&nonce, &client.info.identity_key);
        assert_eq!(evidence.document[0x50..0x90], bound);
        assert_eq!(evidence.endorsements, b"certificates");
    }
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0, "entries are left");
}

#[test]
fn without_a_source_it_says_so() {
    let enclave = Enclave::start(&["--evidence", "none"]);
    let mut client = enclave.connect();
    assert_eq!(client.info.kind, UNATTESTED_DEVELOPMENT);
    assert_eq!(client.info.measurement_id, UNATTESTED_DEVELOPMENT);
    let code = Code::EvidenceUnavailable;
    let answer = client.ask(Message::Attest { nonce: [4; 32] });
    assert_eq!(answer, Message::Failed { code });
}

#[test]
fn a_platform_that_is_not_there_is_named_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let gone = directory.path().join("gone");
    let gone = gone.to_str().unwrap();
    let cases: [(&[&str], &str); 4] = [
        (&["--evidence", "sev-snp", "--tsm-root", gone], "--tsm-root"),
        (&["--evidence", "tdx", "--tsm-root", gone], "modprobe"),
        (&["--nsm-socket", gone], "--nsm-socket"),
        (&["--evidence", "nitro"], "/dev/nsm"),
    ];
    for (arguments, expected) in cases {
        if arguments == ["--evidence", "nitro"] && Path::new("/dev/nsm").exists() {
            continue;
        }
        let output = Command::new(PROGRAM)
            .arg("--socket")
            .arg(directory.path().join("e.sock"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}
