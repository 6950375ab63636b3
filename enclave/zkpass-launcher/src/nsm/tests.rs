use std::{
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
};

use super::*;

const MEASURED: Measurements = Measurements {
    pcr0: [1; 48],
    pcr1: [2; 48],
    pcr2: [3; 48],
};

fn device() -> Device {
    let root = NitroRoot::generate(&mut randomness(), now()).unwrap();
    Device::new(Arc::new(Authority::new(root)), &MEASURED)
}

fn ask(device: &mut Device, request: &Request) -> Response {
    let response = device.respond(&serde_cbor::to_vec(request).unwrap());
    serde_cbor::from_slice(&response).unwrap()
}

/// The name of the error, or what was not one.
fn error(response: &Response) -> String {
    match response {
        Response::Error(code) => format!("{code:?}"),
        other => format!("{other:?}"),
    }
}

fn describe(device: &mut Device, index: u16) -> (bool, Vec<u8>) {
    match ask(device, &Request::DescribePCR { index }) {
        Response::DescribePCR { lock, data } => (lock, data),
        other => panic!("{other:?}"),
    }
}

fn attestation(user_data: usize, nonce: usize, public_key: usize) -> Request {
    let bytes = |count| Some(ByteBuf::from(vec![9; count]));
    Request::Attestation {
        user_data: bytes(user_data),
        nonce: bytes(nonce),
        public_key: bytes(public_key),
    }
}

#[test]
fn the_module_describes_itself_and_its_registers() {
    let mut device = device();
    let described = ask(&mut device, &Request::DescribeNSM);
    let Response::DescribeNSM {
        module_id,
        max_pcrs: 32,
        locked_pcrs,
        digest: Digest::SHA384,
        ..
    } = described
    else {
        panic!("{described:?}");
    };
    assert!(
        module_id.starts_with("i-zkpass-development-enc"),
        "{module_id}"
    );
    assert!(locked_pcrs.into_iter().eq(0..16));
    for (index, value) in [(0, 1), (1, 2), (2, 3), (3, 0), (15, 0)] {
        assert_eq!(describe(&mut device, index), (true, vec![value; 48]));
    }
    for index in [16, 31] {
        assert_eq!(describe(&mut device, index), (false, vec![0; 48]));
    }
}

#[test]
fn registers_are_extended_until_they_are_locked() {
    let mut device = device();
    let extend = |data: &[u8]| Request::ExtendPCR {
        index: 20,
        data: data.to_vec(),
    };
    let mut expected = [0; 48];
    for data in [&b"one"[..], b"", b"two"] {
        expected = Sha384::digest([&expected[..], data].concat()).into();
        match ask(&mut device, &extend(data)) {
            Response::ExtendPCR { data } => assert_eq!(data, expected),
            other => panic!("{other:?}"),
        }
    }
    let lock = Request::LockPCR { index: 20 };
    assert!(matches!(ask(&mut device, &lock), Response::LockPCR));
    assert_eq!(describe(&mut device, 20), (true, expected.to_vec()));
    assert_eq!(error(&ask(&mut device, &extend(b"three"))), "ReadOnlyIndex");
    assert_eq!(error(&ask(&mut device, &lock)), "ReadOnlyIndex");

    let range = Request::LockPCRs { range: 32 };
    assert!(matches!(ask(&mut device, &range), Response::LockPCRs));
    assert_eq!(describe(&mut device, 31), (true, vec![0; 48]));
    assert_eq!(describe(&mut device, 20), (true, expected.to_vec()));
}

#[test]
fn wrong_requests_get_the_codes_of_the_device() {
    let data = vec![0];
    for (request, expected) in [
        (Request::DescribePCR { index: 32 }, "InvalidIndex"),
        (Request::LockPCR { index: 32 }, "InvalidIndex"),
        (Request::LockPCR { index: 0 }, "ReadOnlyIndex"),
        (Request::LockPCRs { range: 33 }, "InvalidIndex"),
        (
            Request::ExtendPCR {
                index: u16::MAX,
                data: data.clone(),
            },
            "InvalidIndex",
        ),
        (Request::ExtendPCR { index: 15, data }, "ReadOnlyIndex"),
        (attestation(513, 0, 0), "InputTooLarge"),
        (attestation(0, 513, 0), "InputTooLarge"),
        (attestation(0, 0, 1025), "InputTooLarge"),
    ] {
        assert_eq!(
            error(&ask(&mut device(), &request)),
            expected,
            "{request:?}"
        );
    }
    let largest = ask(&mut device(), &attestation(512, 512, 1024));
    assert!(matches!(largest, Response::Attestation { .. }));
}

#[test]
fn malformed_requests_are_refused() {
    let nested = vec![0x81; 4000];
    for bytes in [
        &b""[..],
        b"\xff",
        // "DescribeNSM" cut, with a byte too many, and in other letters.
        b"\x6bDescribeNS",
        b"\x6bDescribeNSM\x00",
        b"\x6bdescribeNSM",
        // An index that is a text, one that is too large, and none.
        b"\xa1\x6bDescribePCR\xa1\x65index\x61x",
        b"\xa1\x6bDescribePCR\xa1\x65index\x1a\x00\x01\x00\x00",
        b"\xa1\x6bDescribePCR\xa0",
        // A length that no memory has.
        b"\xa1\x69ExtendPCR\xa2\x65index\x10\x64data\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
        &nested,
    ] {
        let response = device().respond(bytes);
        // {"Error": "InvalidOperation"}
        assert_eq!(response, b"\xa1\x65Error\x70InvalidOperation", "{bytes:x?}");
    }
    let response = device().respond(&[0; 4097]);
    assert_eq!(response, b"\xa1\x65Error\x6dInputTooLarge");
}

#[test]
fn random_bytes_differ() {
    let mut device = device();
    let mut random = || match ask(&mut device, &Request::GetRandom) {
        Response::GetRandom { random } => random,
        other => panic!("{other:?}"),
    };
    let one = random();
    assert_eq!(one.len(), 256);
    assert_ne!(random(), one);
}

fn exchange(stream: &mut UnixStream, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap();
    let message = [&length.to_be_bytes(), body].concat();
    stream.write_all(&message).unwrap();
    receive(stream)
}

fn receive(stream: &mut UnixStream) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut body = vec![0; u32::from_be_bytes(length).try_into().unwrap()];
    stream.read_exact(&mut body).unwrap();
    body
}

#[test]
fn the_server_keeps_one_module_for_all_connections() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("nsm.sock");
    let entered = runtime.enter();
    let server = Server::start(&path, device()).unwrap();
    drop(entered);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let mut one = UnixStream::connect(&path).unwrap();
    let mut two = UnixStream::connect(&path).unwrap();
    let lock = serde_cbor::to_vec(&Request::LockPCR { index: 16 }).unwrap();
    assert_eq!(exchange(&mut one, &lock), b"\x67LockPCR");
    assert_eq!(exchange(&mut two, &lock), b"\xa1\x65Error\x6dReadOnlyIndex");
    // A request that makes no sense does not end the connection,
    assert_eq!(
        exchange(&mut two, b""),
        b"\xa1\x65Error\x70InvalidOperation"
    );
    assert_eq!(exchange(&mut two, &lock), b"\xa1\x65Error\x6dReadOnlyIndex");
    // one that is too long does, without being read.
    two.write_all(&[0, 0, 0x10, 1]).unwrap();
    assert_eq!(receive(&mut two), b"\xa1\x65Error\x6dInputTooLarge");
    assert_eq!(two.read(&mut [0]).unwrap(), 0);

    drop(server);
    assert_eq!(one.read(&mut [0]).unwrap(), 0);
    assert!(!path.exists());
}
