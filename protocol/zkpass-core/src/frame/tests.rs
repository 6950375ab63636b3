use proptest::prelude::*;

use super::*;
use crate::keys::SigningKey;

fn info() -> Box<EnclaveInfo> {
    let key = SigningKey::from_bytes(&[5; 32]).unwrap();
    Box::new(EnclaveInfo {
        enclave_id: "e-1".into(),
        kind: crate::api::UNATTESTED_DEVELOPMENT.into(),
        measurement_id: crate::api::UNATTESTED_DEVELOPMENT.into(),
        key_id: "k-1".into(),
        hpke_public_key: "AAEC".into(),
        identity_key: key.public(),
        encryption_key: key.public(),
        not_before: 1,
        not_after: 2,
        signature: "AA".into(),
    })
}

fn messages() -> Vec<Message> {
    vec![
        Message::Hello { info: info() },
        Message::Info,
        Message::Prove {
            deadline_ms: 30_000,
            key_id: "k-1".into(),
            sealed: vec![1, 2, 3],
        },
        Message::Cancel,
        Message::Answer {
            sealed: vec![9; 300],
        },
        Message::Failed {
            code: Code::ReAttest,
        },
        Message::Health,
        Message::Healthy {
            waiting: 2,
            running: 1,
        },
        Message::Attest { nonce: [4; 32] },
        Message::Attested {
            offer: Box::new(EnclaveOffer {
                info: *info(),
                evidence: Some(crate::evidence::EvidenceDocument {
                    platform: "nitro".into(),
                    nonce: vec![4; 32],
                    document: vec![1, 2],
                    endorsements: Vec::new(),
                }),
            }),
        },
        Message::ProveJwe {
            deadline_ms: 30_000,
            user_data: "a.b".into(),
            dvr: "c.d".into(),
        },
        Message::Proof {
            token: "e.f.g".into(),
        },
    ]
}

fn frames() -> Vec<Frame> {
    let ids = [0, 1, 7, u64::MAX].into_iter().cycle();
    let frame = |(message, request_id)| Frame {
        request_id,
        message,
    };
    messages().into_iter().zip(ids).map(frame).collect()
}

fn decode_all(stream: &[u8], chunk: usize) -> Vec<Frame> {
    let mut decoder = Decoder::default();
    let mut decoded = Vec::new();
    for bytes in stream.chunks(chunk) {
        decoder.push(bytes);
        while let Some(frame) = decoder.next_frame().unwrap() {
            decoded.push(frame);
        }
    }
    assert!(decoder.is_empty());
    decoded
}

#[test]
fn bytes_are_fixed() {
    let frame = Frame {
        request_id: 0x0102,
        message: Message::Prove {
            deadline_ms: 0x0304,
            key_id: "ab".into(),
            sealed: vec![0xff],
        },
    };
    let expected = [
        &[0, 0, 0, 23, 1, 3][..],
        &[0, 0, 0, 0, 0, 0, 1, 2],
        &[0, 0, 0, 0, 0, 0, 3, 4],
        &[0, 2, b'a', b'b', 0xff],
    ];
    assert_eq!(frame.encode().unwrap(), expected.concat());
}

#[test]
fn a_stream_is_cut_anywhere() {
    let stream: Vec<u8> = frames()
        .iter()
        .flat_map(|frame| frame.encode().unwrap())
        .collect();
    for chunk in [1, 2, 3, 5, 64, stream.len()] {
        assert_eq!(decode_all(&stream, chunk), frames(), "chunks of {chunk}");
    }
}

#[test]
fn an_incomplete_frame_is_waited_for() {
    let bytes = frames()[2].encode().unwrap();
    for end in 0..bytes.len() {
        let mut decoder = Decoder::default();
        decoder.push(&bytes[..end]);
        assert_eq!(decoder.next_frame(), Ok(None), "{end}");
        assert_eq!(decoder.is_empty(), end == 0);
    }
}

#[test]
fn each_fault_has_its_error() {
    let body = |kind: u8, rest: &[u8]| [&[1, kind][..], &[0; 8], rest].concat();
    for (bytes, expected) in [
        (vec![], FrameError::TooShort),
        (vec![1, 2, 0], FrameError::TooShort),
        (vec![2, 2], FrameError::UnsupportedVersion { version: 2 }),
        (body(0, &[]), FrameError::UnknownKind { kind: 0 }),
        (body(13, &[]), FrameError::UnknownKind { kind: 13 }),
        (body(2, &[0]), FrameError::TrailingBytes),
        (body(8, &[0; 7]), FrameError::TooShort),
        (body(8, &[0; 9]), FrameError::TrailingBytes),
        (
            body(3, &[0, 0, 0, 0, 0, 0, 0, 1, 0, 2, b'a']),
            FrameError::TooShort,
        ),
        (
            body(3, &[0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0xff]),
            FrameError::BadText,
        ),
        (body(6, b"no-such-code"), FrameError::BadText),
        (body(6, &[0xff]), FrameError::BadText),
        (body(1, b"{}"), FrameError::BadText),
        (body(9, &[0; 31]), FrameError::TooShort),
        (body(9, &[0; 33]), FrameError::TrailingBytes),
        (body(10, b"{}"), FrameError::BadText),
        (
            body(11, &[0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]),
            FrameError::TooShort,
        ),
        (body(12, &[0xff]), FrameError::BadText),
    ] {
        assert_eq!(Frame::decode(&bytes), Err(expected), "{bytes:?}");
    }
}

#[test]
fn a_length_above_the_limit_is_refused_before_the_bytes_come() {
    let limit = 16;
    let mut decoder = Decoder::new(limit);
    decoder.push(&17u32.to_be_bytes());
    assert_eq!(decoder.next_frame(), Err(FrameError::TooLarge { limit }));
    let limit = MAX_FRAME_BYTES;
    let mut decoder = Decoder::default();
    decoder.push(&[0xff; 4]);
    assert_eq!(decoder.next_frame(), Err(FrameError::TooLarge { limit }));
    let sealed = vec![0; MAX_FRAME_BYTES];
    let frame = Frame {
        request_id: 1,
        message: Message::Answer { sealed },
    };
    assert_eq!(frame.encode(), Err(FrameError::TooLarge { limit }));
}

#[test]
fn debug_shows_no_bytes() {
    let shown = format!("{:?}", messages());
    assert!(shown.contains("Answer(300 bytes)"), "{shown}");
    assert!(!shown.contains("9, 9"), "{shown}");
}

proptest! {
    #[test]
    fn frames_round_trip(
        request_id: u64, deadline_ms: u64, key_id in ".{0,12}",
        sealed in prop::collection::vec(any::<u8>(), 0..64), chunk in 1usize..9,
    ) {
        let frame = Frame { request_id, message: Message::Prove { deadline_ms, key_id, sealed } };
        prop_assert_eq!(decode_all(&frame.encode().unwrap(), chunk), vec![frame]);
    }

    #[test]
    fn hostile_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Frame::decode(&bytes);
        if let [version, kind, ..] = bytes.as_mut_slice() {
            (*version, *kind) = (1, *kind % 9);
        }
        let _ = Frame::decode(&bytes);
        let mut decoder = Decoder::default();
        decoder.push(&bytes);
        while let Ok(Some(_)) = decoder.next_frame() {}
    }
}
