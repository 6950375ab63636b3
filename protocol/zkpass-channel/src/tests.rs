use std::{collections::BTreeMap, convert::Infallible};

use hpke::rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};
use zkpass_core::{code::Code, limits::MAX_SEALED_REQUEST_BYTES};

use super::*;

/// Repeatable bytes: SHA-256 of a seed and a counter.
pub(crate) struct SeededRng {
    seed: &'static str,
    counter: u64,
}

impl TryRng for SeededRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(32) {
            let block = Sha256::new()
                .chain_update(self.seed)
                .chain_update(self.counter.to_be_bytes())
                .finalize();
            chunk.copy_from_slice(&block[..chunk.len()]);
            self.counter += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for SeededRng {}

pub(crate) fn rng(seed: &'static str) -> SeededRng {
    SeededRng { seed, counter: 0 }
}

const BINDING: Binding<'static> = Binding {
    key_id: "k1",
    measurement_id: "m1",
};

fn request() -> SealedRequestBody {
    SealedRequestBody {
        tokens: BTreeMap::from([("bank".to_owned(), "aaa.bbb.ccc".to_owned())]),
        dvr_token: "ddd.eee.fff".to_owned(),
        idempotency_id: "7d0b".to_owned(),
        response_format: ResponseFormat::ProofToken,
    }
}

fn refusal() -> SealedAnswerBody {
    SealedAnswerBody::Refused(Refusal {
        code: Code::Internal,
        pointer: Some("/0/assign".to_owned()),
        message: "no".to_owned(),
    })
}

fn sealed() -> (PrivateKey, Vec<u8>, AnswerOpener) {
    let key = PrivateKey::generate(&mut rng("key"));
    let (sealed, opener) = seal(&request(), &key.public_key(), &BINDING, &mut rng("seal")).unwrap();
    (key, sealed, opener)
}

#[test]
fn a_request_and_its_answer_make_the_round_trip() {
    let (key, sealed, opener) = sealed();
    let opened = open(&sealed, &key, &BINDING).unwrap();
    assert_eq!(opened.body.unwrap(), request());

    let answer = SealedAnswerBody::Proved {
        proof: "x".repeat(200_000),
        idempotency_id: "7d0b".to_owned(),
    };
    let bytes = opened.answer.seal(&answer, &mut rng("answer")).unwrap();
    assert_eq!(opener.open(&bytes).unwrap(), answer);
    // The relay may hand over the same answer again.
    assert_eq!(opener.open(&bytes).unwrap(), answer);
}

#[test]
fn the_wire_form_does_not_move() {
    let (key, sealed, _) = sealed();
    let answer = open(&sealed, &key, &BINDING)
        .unwrap()
        .answer
        .seal(&refusal(), &mut rng("answer"))
        .unwrap();
    let digest = Sha256::new()
        .chain_update(key.public_key().to_bytes())
        .chain_update(&sealed)
        .chain_update(&answer)
        .finalize();
    assert_eq!(format!("{digest:x}"), WIRE_DIGEST);
}

/// Changes when the encoding of a body, the padding, the labels or the suite change: raise the version in the labels then.
const WIRE_DIGEST: &str = "8595aae7699ebe262d5b2a38f922b87b53aff4487d75aec9d8ac4b67b47a25ae";

#[test]
fn bodies_of_one_bucket_have_one_size() {
    let key = PrivateKey::generate(&mut rng("key"));
    let sizes: Vec<usize> = [1, 300, 2000]
        .map(|length| {
            let mut body = request();
            body.tokens.insert("bank".to_owned(), "t".repeat(length));
            seal(&body, &key.public_key(), &BINDING, &mut rng("seal"))
                .unwrap()
                .0
                .len()
        })
        .to_vec();
    assert_eq!(
        sizes,
        [1, 1, 3].map(|steps| ENCAPSULATION_BYTES + steps * STEP + 16)
    );

    let sizes = [refusal(), {
        SealedAnswerBody::Refused(Refusal {
            code: Code::QueueFull,
            pointer: None,
            message: "another message, longer".to_owned(),
        })
    }]
    .map(|body| {
        let (key, sealed, _) = sealed();
        let opened = open(&sealed, &key, &BINDING).unwrap();
        opened.answer.seal(&body, &mut rng("a")).unwrap().len()
    });
    assert_eq!(sizes, [32 + STEP + 16; 2]);
}

#[test]
fn an_altered_byte_is_refused_wherever_it_is() {
    let (key, sealed, opener) = sealed();
    let places = [
        0,
        1087,
        1088,
        1119,
        1120,
        1500,
        sealed.len() - 16,
        sealed.len() - 1,
    ];
    for place in places {
        let mut altered = sealed.clone();
        altered[place] ^= 1;
        let error = open(&altered, &key, &BINDING).unwrap_err();
        assert_eq!(error, OpenError::NotForThisKey, "byte {place}");
        assert_eq!(error.code(), Code::SealedRequestRejected);
    }

    let opened = open(&sealed, &key, &BINDING).unwrap();
    let answer = opened.answer.seal(&refusal(), &mut rng("answer")).unwrap();
    for place in [0, 31, 32, 500, answer.len() - 1] {
        let mut altered = answer.clone();
        altered[place] ^= 1;
        let error = opener.open(&altered).unwrap_err();
        assert_eq!(error, OpenAnswerError::NotForThisRequest, "byte {place}");
    }
}

#[test]
fn a_wrong_length_is_refused_before_decapsulation() {
    let (key, sealed, opener) = sealed();
    let longer = [sealed.as_slice(), &[0]].concat();
    let huge = vec![0; MAX_SEALED_REQUEST_BYTES + STEP];
    let lengths = [
        0,
        1,
        ENCAPSULATION_BYTES,
        ENCAPSULATION_BYTES + 16,
        sealed.len() - 1,
    ];
    let cases = lengths
        .iter()
        .map(|length| &sealed[..*length])
        .chain([longer.as_slice(), huge.as_slice()]);
    for case in cases {
        let error = open(case, &key, &BINDING).unwrap_err();
        assert_eq!(error, OpenError::WrongSize, "{} bytes", case.len());
        assert_eq!(error.code(), Code::SealedRequestRejected);
        assert_eq!(encapsulation(case), Err(OpenError::WrongSize));
    }

    let opened = open(&sealed, &key, &BINDING).unwrap();
    let answer = opened.answer.seal(&refusal(), &mut rng("answer")).unwrap();
    for length in [0, 31, 32, 48, answer.len() - 1] {
        assert_eq!(
            opener.open(&answer[..length]).unwrap_err(),
            OpenAnswerError::WrongSize
        );
    }
}

#[test]
fn key_key_id_and_measurement_must_all_be_the_ones_sealed_to() {
    let (key, sealed, _) = sealed();
    let other = PrivateKey::generate(&mut rng("other key"));
    let binding = |key_id, measurement_id| Binding {
        key_id,
        measurement_id,
    };
    let long = "x".repeat(257);
    let cases = [
        (&other, BINDING),
        (&key, binding("k2", "m1")),
        (&key, binding("k1", "m2")),
        // The same characters, cut elsewhere.
        (&key, binding("k1m", "1")),
        (&key, binding("k1", &long)),
    ];
    for (key, binding) in cases {
        assert_eq!(
            open(&sealed, key, &binding).unwrap_err(),
            OpenError::NotForThisKey,
            "{binding:?}"
        );
    }
    assert_eq!(
        seal(
            &request(),
            &key.public_key(),
            &binding("k1", &long),
            &mut rng("s")
        )
        .unwrap_err(),
        SealError::IdTooLong
    );
}

#[test]
fn a_repeated_request_is_known_by_its_encapsulation() {
    let (key, first, _) = sealed();
    let (second, _) = seal(&request(), &key.public_key(), &BINDING, &mut rng("again")).unwrap();
    assert_eq!(encapsulation(&first), encapsulation(&first.clone()));
    assert_ne!(encapsulation(&first), encapsulation(&second));
    // The encapsulation of one request does not carry the body of another.
    let mixed = [
        encapsulation(&second).unwrap(),
        &first[ENCAPSULATION_BYTES..],
    ]
    .concat();
    assert_eq!(
        open(&mixed, &key, &BINDING).unwrap_err(),
        OpenError::NotForThisKey
    );
}

#[test]
fn an_answer_opens_for_its_own_request_only() {
    let (key, first, _) = sealed();
    let (_, other) = seal(&request(), &key.public_key(), &BINDING, &mut rng("again")).unwrap();
    let opened = open(&first, &key, &BINDING).unwrap();
    let answer = opened.answer.seal(&refusal(), &mut rng("answer")).unwrap();
    assert_eq!(
        other.open(&answer).unwrap_err(),
        OpenAnswerError::NotForThisRequest
    );
}

#[test]
fn bodies_are_decoded_strictly() {
    let good = r#"{"tokens":{"a":"t"},"dvr_token":"d","idempotency_id":"i","response_format":"zkpass-proof+jwt"}"#;
    let decode = |text: &str| SealedRequestBody::decode(text.as_bytes());
    assert!(decode(good).is_ok());
    let cases = [
        (good.replace('}', ",\"x\":1}"), BodyError::WrongMembers),
        (good.replace("\"i\",", "1,"), BodyError::WrongMembers),
        (
            good.replace("zkpass-proof+jwt", "pdf"),
            BodyError::WrongMembers,
        ),
        (
            good.replace("\"dvr_token\":\"d\",", ""),
            BodyError::WrongMembers,
        ),
        (
            good.replace("\"a\":\"t\"", "\"a\":\"t\",\"a\":\"u\""),
            BodyError::NotJson,
        ),
        (format!("{good} {{}}"), BodyError::NotJson),
        ("".to_owned(), BodyError::NotJson),
        (good.replace("\"a\":\"t\"", ""), BodyError::TokenCount),
        (
            good.replace("\"a\":\"t\"", r#""a":"","b":"","c":"","d":"","e":"""#),
            BodyError::TokenCount,
        ),
        (
            good.replace("\"t\"", &format!("\"{}\"", "t".repeat(5000))),
            BodyError::TokenTooLong,
        ),
        (
            good.replace("\"i\"", &format!("\"{}\"", "i".repeat(65))),
            BodyError::IdempotencyIdTooLong,
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(decode(&text).unwrap_err(), expected, "{text}");
    }
    assert_eq!(
        SealedRequestBody::decode(&[0xff]).unwrap_err(),
        BodyError::NotText
    );

    let answer = r#"{"proved":{"proof":"p","idempotency_id":"i","x":1}}"#;
    assert_eq!(
        SealedAnswerBody::decode(answer.as_bytes()).unwrap_err(),
        BodyError::WrongMembers
    );
    let answer = r#"{"refused":{"code":"internal","message":"m"}}"#;
    assert!(SealedAnswerBody::decode(answer.as_bytes()).is_ok());
}

#[test]
fn padding_has_one_form() {
    for length in [0, 1, 1019, 1020, 1021, 5000] {
        let body = vec![7; length];
        let padded = padding::pad(&body, 8192).unwrap();
        assert_eq!(padded.len() % STEP, 0);
        assert_eq!(padding::unpad(&padded), Some(body.as_slice()));
        // A whole step too much, a dirty filler byte, a length beyond the end.
        assert_eq!(
            padding::unpad(&[padded.as_slice(), &[0; STEP]].concat()),
            None
        );
        assert_eq!(padding::unpad(&padded[..padded.len() - 1]), None);
        let mut wrong = padded.to_vec();
        wrong[0] = 0xff;
        assert_eq!(padding::unpad(&wrong), None);
        if let Some(filler) = padded.len().checked_sub(length + 5) {
            wrong = padded.to_vec();
            wrong[4 + length + filler] = 1;
            assert_eq!(padding::unpad(&wrong), None);
        }
    }
    assert!(padding::pad(&[0; 1021], STEP).is_none());
    assert_eq!(padding::unpad(&[]), None);
}

#[test]
fn keys_have_one_encoding() {
    let key = PrivateKey::generate(&mut rng("key")).public_key();
    let bytes = key.to_bytes();
    assert_eq!(bytes.len(), PublicKey::BYTES);
    assert_eq!(PublicKey::from_bytes(&bytes).unwrap(), key);
    assert_eq!(
        PublicKey::from_bytes(&bytes[1..]).unwrap_err(),
        KeyError::WrongLength
    );
    // FIPS 203, section 7.2: coefficients must be below the modulus.
    assert_eq!(
        PublicKey::from_bytes(&[0xff; 1216]).unwrap_err(),
        KeyError::Invalid
    );
}

#[test]
fn debug_output_shows_no_content() {
    let (key, sealed, opener) = sealed();
    let opened = open(&sealed, &key, &BINDING).unwrap();
    let text = format!("{:?} {key:?} {opener:?} {opened:?}", request());
    for secret in ["aaa", "ddd", "bank", "7d0b"] {
        assert!(!text.contains(secret), "{text}");
    }
    let proved = SealedAnswerBody::Proved {
        proof: "ggg".to_owned(),
        idempotency_id: "hhh".to_owned(),
    };
    assert_eq!(format!("{proved:?}"), "Proved(..)");
}
