//! Frames between service and enclave, and what is sealed inside.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::LazyLock;

use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable as _, OpModeS, Serializable as _};
use zkpass_channel::{
    Binding, BodyError, ENCAPSULATION_BYTES, Opened, PrivateKey, ResponseFormat, STEP,
    SealedRequestBody, open, seal,
};

use zkpass_core::api::{EnclaveInfo, EnclaveOffer, UNATTESTED_DEVELOPMENT};
use zkpass_core::code::Code;
use zkpass_core::evidence::EvidenceDocument;
use zkpass_core::frame::{Decoder, Frame, FrameError, Message};

use super::token;
use crate::Target;

pub const FRAME: Target = Target {
    name: "frame",
    seeds: || vec![stream()],
    run: run_frame,
    runs: 5_000,
};

pub const SEALED_REQUEST: Target = Target {
    name: "sealed-request",
    seeds: || vec![SEALED.clone()],
    run: run_sealed_request,
    runs: 500,
};

pub const SEALED_BODY: Target = Target {
    name: "sealed-body",
    seeds: || {
        vec![padded(
            &serde_json::to_vec(&body()).expect("a body has a JSON form"),
        )]
    },
    run: run_sealed_body,
    runs: 500,
};

type Kem = hpke::kem::XWing;
type Kdf = hpke::kdf::HkdfSha256;
type Aead = hpke::aead::ChaCha20Poly1305;

const BINDING: Binding<'static> = Binding {
    key_id: "key",
    measurement_id: "measurement",
};

static PRIVATE_KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate(&mut rng()));

static SEALED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    seal(&body(), &PRIVATE_KEY.public_key(), &BINDING, &mut rng())
        .expect("a valid body")
        .0
});

/// Repeatable numbers where the channel wants random ones.
pub struct Repeatable(fastrand::Rng);

pub fn rng() -> Repeatable {
    Repeatable(fastrand::Rng::with_seed(7))
}

impl TryRng for Repeatable {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.u32(..))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.u64(..))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for Repeatable {}

fn body() -> SealedRequestBody {
    SealedRequestBody {
        tokens: BTreeMap::from([(String::new(), token::user_data_token())]),
        dvr_token: token::dvr_token(),
        idempotency_id: "7d0b".to_owned(),
        response_format: ResponseFormat::ProofToken,
    }
}

/// One frame of every kind.
fn stream() -> Vec<u8> {
    let info = EnclaveInfo {
        enclave_id: "e".to_owned(),
        kind: UNATTESTED_DEVELOPMENT.to_owned(),
        measurement_id: UNATTESTED_DEVELOPMENT.to_owned(),
        key_id: BINDING.key_id.to_owned(),
        hpke_public_key: "AAEC".to_owned(),
        identity_key: token::key().public(),
        encryption_key: token::key().public(),
        not_before: 1,
        not_after: 2,
        signature: String::new(),
    }
    .signed_by(&token::key());
    let messages = [
        Message::Hello {
            info: Box::new(info.clone()),
        },
        Message::Info,
        Message::Prove {
            deadline_ms: 1_000,
            key_id: BINDING.key_id.to_owned(),
            sealed: vec![7; 40],
        },
        Message::Cancel,
        Message::Answer {
            sealed: vec![8; 40],
        },
        Message::Failed {
            code: Code::DeadlineExceeded,
        },
        Message::Health,
        Message::Healthy {
            waiting: 1,
            running: 2,
        },
        Message::Attest { nonce: [9; 32] },
        Message::Attested {
            offer: Box::new(EnclaveOffer {
                info,
                evidence: Some(EvidenceDocument {
                    platform: "nitro".to_owned(),
                    nonce: vec![9; 32],
                    document: vec![10; 40],
                    endorsements: vec![11; 4],
                }),
            }),
        },
        Message::ProveJwe {
            deadline_ms: 1_000,
            user_data: "a.b.c.d.e".to_owned(),
            dvr: "f.g.h.i.j".to_owned(),
        },
        Message::Proof {
            token: "a.b.c".to_owned(),
        },
    ];
    let frames = messages.into_iter().zip(1..);
    frames
        .flat_map(|(message, request_id)| {
            let frame = Frame {
                request_id,
                message,
            };
            frame.encode().expect("a small frame")
        })
        .collect()
}

/// How the stream is cut into reads makes no difference, and a frame that was
/// read can be written. Accepted means: whole frames only.
fn run_frame(input: &[u8]) -> bool {
    let whole = decode([input]);
    assert!(decode(input.chunks(1)) == whole);
    assert!(decode(input.chunks(7)) == whole);
    let (frames, end) = whole;
    for frame in &frames {
        let written = frame
            .encode()
            .expect("a frame that was read can be written");
        assert!(decode([written.as_slice()]) == (vec![frame.clone()], Ok(true)));
    }
    end == Ok(true)
}

/// The frames of a stream, and whether it ended between frames.
fn decode<'a>(reads: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Frame>, Result<bool, FrameError>) {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    for read in reads {
        decoder.push(read);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
    }
    let whole = decoder.is_empty();
    (frames, Ok(whole))
}

/// What was not sealed to the key does not open, and nothing but the sealed
/// bytes themselves opens.
fn run_sealed_request(input: &[u8]) -> bool {
    match open(input, &PRIVATE_KEY, &BINDING) {
        Ok(Opened { body: read, .. }) => {
            assert!(input == *SEALED);
            assert!(read == Ok(body()));
            true
        }
        Err(error) => {
            assert!(input != *SEALED, "{error}");
            false
        }
    }
}

/// The input is the padded plain text, sealed as the protocol says: what only
/// a client that knows the key can send.
fn run_sealed_body(input: &[u8]) -> bool {
    let sealed = seal_raw(input);
    let Ok(opened) = open(&sealed, &PRIVATE_KEY, &BINDING) else {
        // Impossible sizes are refused before anything is decrypted.
        assert!(input.is_empty() || !input.len().is_multiple_of(STEP) || input.len() > 1 << 16);
        return false;
    };
    match opened.body {
        Ok(body) => {
            let again = padded(&serde_json::to_vec(&body).expect("a body has a JSON form"));
            let again = open(&seal_raw(&again), &PRIVATE_KEY, &BINDING).expect("sealed again");
            assert!(again.body == Ok(body));
            true
        }
        Err(error) => {
            assert!(error != BodyError::Padding || unpadded(input).is_none());
            false
        }
    }
}

/// Length, text, zeros: written here from the protocol, not with the channel's own code.
fn padded(text: &[u8]) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("a short text");
    let mut padded = [&length.to_be_bytes(), text].concat();
    padded.resize(padded.len().next_multiple_of(STEP), 0);
    padded
}

fn unpadded(input: &[u8]) -> Option<&[u8]> {
    let length = u32::from_be_bytes(input.get(..4)?.try_into().ok()?);
    let text = input.get(4..)?.get(..length as usize)?;
    (padded(text) == input).then_some(text)
}

fn seal_raw(plain: &[u8]) -> Vec<u8> {
    let mut info = b"zkpass/channel/v1".to_vec();
    for id in [BINDING.key_id, BINDING.measurement_id] {
        info.extend_from_slice(&(id.len() as u32).to_be_bytes());
        info.extend_from_slice(id.as_bytes());
    }
    let key = PRIVATE_KEY.public_key().to_bytes();
    let key = <Kem as hpke::Kem>::PublicKey::from_bytes(&key).expect("a public key");
    let (encapsulation, mut context) =
        hpke::setup_sender_with_rng::<Aead, Kdf, Kem>(&OpModeS::Base, &key, &info, &mut rng())
            .expect("an encapsulation");
    let ciphertext = context.seal(plain, b"").expect("a ciphertext");
    let sealed = [encapsulation.to_bytes().as_slice(), &ciphertext].concat();
    assert!(sealed.len() > ENCAPSULATION_BYTES);
    sealed
}
