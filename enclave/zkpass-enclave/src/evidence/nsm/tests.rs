use std::{
    os::unix::net::UnixListener,
    thread::{self, JoinHandle},
};

use aws_nitro_enclaves_nsm_api::api::ErrorCode;

use super::*;

/// What the other end does with one request after the first, which asks for PCR 0.
type Behaviour = fn(Request, &mut UnixStream);

fn read_request(stream: &mut UnixStream) -> Option<Request> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_be_bytes(length).try_into().unwrap()];
    stream.read_exact(&mut body).unwrap();
    Some(serde_cbor::from_slice(&body).unwrap())
}

fn send(stream: &mut UnixStream, body: &[u8]) {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    stream
        .write_all(&[length.as_slice(), body].concat())
        .unwrap();
}

fn respond(stream: &mut UnixStream, response: &Response) {
    send(stream, &serde_cbor::to_vec(response).unwrap());
}

/// A security module whose PCR 0 is 48 times 7.
fn module(behaviour: Behaviour) -> (Nsm, JoinHandle<()>) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let serving = thread::spawn(move || {
        let first = read_request(&mut theirs).unwrap();
        assert!(matches!(first, Request::DescribePCR { index: 0 }));
        let pcr = Response::DescribePCR {
            lock: true,
            data: vec![7; 48],
        };
        respond(&mut theirs, &pcr);
        while let Some(request) = read_request(&mut theirs) {
            behaviour(request, &mut theirs);
        }
    });
    let socket = Socket::new(ours, Duration::from_millis(200)).unwrap();
    (Nsm::new(Box::new(socket)).unwrap(), serving)
}

/// Like the device: the document holds what it was asked to hold.
fn attest(request: Request, stream: &mut UnixStream) {
    let Request::Attestation {
        user_data: Some(user_data),
        nonce: Some(nonce),
        public_key: None,
    } = request
    else {
        panic!("another question: {request:?}");
    };
    assert_eq!(nonce.as_ref(), [9; 32]);
    let document = serde_cbor::to_vec(&[user_data, nonce]).unwrap();
    respond(stream, &Response::Attestation { document });
}

fn ask(module: &mut Nsm) -> Result<Evidence, EvidenceUnavailable> {
    module.evidence(&[8; BINDING_BYTES], &[9; 32])
}

#[test]
fn documents_carry_binding_and_nonce() {
    let (mut module, serving) = module(attest);
    assert_eq!(module.platform().name(), "nitro");
    assert_eq!(
        module.measurement_id(),
        format!("nitro:{}", "07".repeat(48))
    );
    for _ in 0..3 {
        let evidence = ask(&mut module).unwrap();
        assert!(evidence.document.windows(64).any(|part| part == [8; 64]));
        assert!(evidence.endorsements.is_empty());
    }
    drop(module);
    serving.join().unwrap();
}

#[test]
fn the_request_is_the_cbor_that_the_device_takes() {
    // A map of one text to a map of three, written by hand after the driver's format.
    let request = Request::Attestation {
        user_data: Some(ByteBuf::from([1, 2])),
        nonce: None,
        public_key: None,
    };
    let mut expected = vec![0xa1, 0x6b];
    expected.extend(b"Attestation");
    expected.extend([0xa3, 0x69]);
    expected.extend(b"user_data");
    expected.extend([0x42, 1, 2, 0x65]);
    expected.extend(b"nonce");
    expected.extend([0xf6, 0x6a]);
    expected.extend(b"public_key");
    expected.push(0xf6);
    assert_eq!(serde_cbor::to_vec(&request).unwrap(), expected);
}

#[test]
fn refusals_pass_and_the_next_question_is_answered() {
    let (mut module, _serving) = module(|request, stream| {
        respond(stream, &Response::Error(ErrorCode::InvalidOperation));
        // The next one as it should be.
        drop(request);
        let next = read_request(stream).unwrap();
        attest(next, stream);
    });
    assert!(matches!(
        ask(&mut module),
        Err(EvidenceUnavailable::Refused(ErrorCode::InvalidOperation))
    ));
    assert!(ask(&mut module).is_ok());
}

#[test]
fn answers_to_other_questions_are_refused() {
    let (mut other_kind, _serving) = module(|_, stream| respond(stream, &Response::LockPCR));
    assert!(matches!(
        ask(&mut other_kind),
        Err(EvidenceUnavailable::WrongResponse)
    ));
    let (mut other_data, _serving) = module(|_, stream| {
        let document = vec![8; BINDING_BYTES - 1];
        respond(stream, &Response::Attestation { document });
    });
    assert!(matches!(
        ask(&mut other_data),
        Err(EvidenceUnavailable::NotBound)
    ));
}

#[test]
fn broken_cbor_is_refused() {
    let (mut truncated, _serving) = module(|_, stream| {
        let document = vec![8; BINDING_BYTES];
        let mut body = serde_cbor::to_vec(&Response::Attestation { document }).unwrap();
        body.pop();
        send(stream, &body);
    });
    let (mut trailing, _serving) = module(|_, stream| {
        let document = vec![8; BINDING_BYTES];
        let mut body = serde_cbor::to_vec(&Response::Attestation { document }).unwrap();
        body.push(0);
        send(stream, &body);
    });
    let (mut empty, _serving) = module(|_, stream| send(stream, &[]));
    for module in [&mut truncated, &mut trailing, &mut empty] {
        assert!(matches!(ask(module), Err(EvidenceUnavailable::Malformed)));
        // The frame was whole: the stream is still in step.
        assert!(matches!(ask(module), Err(EvidenceUnavailable::Malformed)));
    }
}

#[test]
fn too_much_and_too_slow_end_the_connection() {
    let (mut large, _serving) = module(|_, stream| stream.write_all(&[0, 0, 0x30, 1]).unwrap());
    assert!(matches!(
        ask(&mut large),
        Err(EvidenceUnavailable::TooLarge { limit: 0x3000 })
    ));
    assert!(matches!(ask(&mut large), Err(EvidenceUnavailable::Lost)));

    let (mut silent, _serving) = module(|_, _| {});
    assert!(matches!(
        ask(&mut silent),
        Err(EvidenceUnavailable::TimedOut)
    ));
    assert!(matches!(ask(&mut silent), Err(EvidenceUnavailable::Lost)));

    let (mut dripping, _serving) = module(|_, stream| {
        stream.write_all(&[0, 0, 0x20, 0]).unwrap();
        // A byte in time, each time, until nobody reads.
        while stream.write_all(&[0]).is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let begin = Instant::now();
    assert!(matches!(
        ask(&mut dripping),
        Err(EvidenceUnavailable::TimedOut)
    ));
    assert!(begin.elapsed() < Duration::from_secs(5));

    let (mut closed, _serving) = module(|_, stream| {
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    });
    assert!(matches!(ask(&mut closed), Err(EvidenceUnavailable::Io(_))));
}

#[test]
fn a_module_without_a_measurement_is_refused_at_the_start() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    thread::spawn(move || {
        read_request(&mut theirs).unwrap();
        let short = Response::DescribePCR {
            lock: true,
            data: vec![7; 32],
        };
        respond(&mut theirs, &short);
    });
    let socket = Socket::new(ours, PATIENCE).unwrap();
    assert!(matches!(
        Nsm::new(Box::new(socket)),
        Err(EvidenceUnavailable::NoMeasurement)
    ));
}

#[test]
fn a_missing_socket_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("nsm.sock");
    drop(UnixListener::bind(&path).unwrap());
    let message = Nsm::connect(&path).unwrap_err().to_string();
    assert!(message.contains("--nsm-socket"), "{message}");
    assert!(message.contains("nsm.sock"), "{message}");
}
