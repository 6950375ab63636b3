//! Vectors, policies and a development enclave.

use std::{collections::BTreeMap, convert::Infallible, sync::LazyLock};

use sha2::{Digest, Sha256};
use zkpass_attest::{
    Binding, Claims, Evidence, EvidenceError, Measurement, Policy, danger, nitro::NitroError,
    policy::MeasuredValues, verify,
};
use zkpass_devtee::{
    nitro::{NitroDocument, NitroRoot, NitroSigner, cbor, forge},
    rand_core::{TryCryptoRng, TryRng},
};

pub type Pcrs = BTreeMap<u8, [u8; 48]>;

/// Repeatable, so that a failure is.
pub struct SeededRng(pub u64);

impl TryRng for SeededRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut out = [0; 4];
        self.try_fill_bytes(&mut out)?;
        Ok(u32::from_le_bytes(out))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut out = [0; 8];
        self.try_fill_bytes(&mut out)?;
        Ok(u64::from_le_bytes(out))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(32) {
            let block = Sha256::digest(self.0.to_be_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
            self.0 += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for SeededRng {}

pub fn pin(pcrs: Pcrs) -> Policy {
    Policy::new([measurement("build", pcrs)]).unwrap()
}

pub fn measurement(name: &str, pcrs: Pcrs) -> Measurement {
    Measurement {
        name: name.to_owned(),
        not_after: None,
        values: MeasuredValues::Nitro { pcrs },
    }
}

pub fn judge(
    document: &[u8],
    policy: &Policy,
    binding: &Binding<'_>,
    now: i64,
) -> Result<Claims, EvidenceError> {
    verify(&Evidence::Nitro { document }, policy, binding, now)
}

/// A time at which the development enclave's chain is valid.
pub const NOW: i64 = 1_790_000_000;

pub const USER_DATA: [u8; 64] = [0x42; 64];
pub const NONCE: [u8; 20] = [0x17; 20];

pub static ROOT: LazyLock<NitroRoot> =
    LazyLock::new(|| NitroRoot::generate(&mut SeededRng(1), NOW - 86_400).unwrap());

pub static SIGNER: LazyLock<NitroSigner> =
    LazyLock::new(|| ROOT.instance(&mut SeededRng(1 << 32), NOW).unwrap());

/// What a production enclave says: PCR0 to PCR4 and PCR8 set.
pub fn document() -> NitroDocument {
    NitroDocument {
        module_id: "i-0-enc0".to_owned(),
        timestamp_ms: NOW as u64 * 1000 + 999,
        pcrs: (0..16).map(|index| (index, pcr(index))).collect(),
        public_key: Some(vec![4; 32]),
        user_data: Some(USER_DATA.to_vec()),
        nonce: Some(NONCE.to_vec()),
    }
}

pub fn pcr(index: u8) -> [u8; 48] {
    match index {
        0..=4 | 8 => [index + 1; 48],
        _ => [0; 48],
    }
}

/// Pins PCR0 to PCR2 under the development root.
pub fn policy() -> Policy {
    trusting(pin((0..3).map(|index| (index, pcr(index))).collect()))
}

pub fn trusting(policy: Policy) -> Policy {
    danger::trust_development_root(policy, ROOT.fingerprint())
}

pub fn binding() -> Binding<'static> {
    Binding::to(&USER_DATA).with_nonce(&NONCE)
}

/// Judges a document of the development enclave by all that it should be.
pub fn judge_forged(document: &[u8]) -> Result<Claims, EvidenceError> {
    judge(document, &policy(), &binding(), NOW)
}

/// The error of a document of the development enclave.
pub fn refusal(document: &[u8]) -> EvidenceError {
    judge_forged(document).unwrap_err()
}

/// The same, of errors that only Nitro documents have.
pub fn nitro_refusal(document: &[u8]) -> NitroError {
    match refusal(document) {
        EvidenceError::Nitro(error) => error,
        other => panic!("{other:?}"),
    }
}

/// The members of a good document.
pub fn members() -> Vec<(&'static str, Vec<u8>)> {
    forge::members(&SIGNER, &document())
}

/// A signed document in which this member has this content, or none.
pub fn with_member(name: &str, content: Option<Vec<u8>>) -> Vec<u8> {
    let members = members()
        .into_iter()
        .filter_map(|(other, value)| match other == name {
            true => content.clone().map(|content| (other, content)),
            false => Some((other, value)),
        });
    forge::sign_payload(&SIGNER, &cbor::members(members))
}

/// One genuine document and what `vectors.json` says of it.
pub struct Vector {
    pub file: String,
    pub bytes: Vec<u8>,
    pub entry: serde_json::Value,
}

impl Vector {
    pub fn all() -> Vec<Self> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/nitro");
        let list = std::fs::read_to_string(format!("{folder}/vectors.json")).unwrap();
        let list: serde_json::Value = serde_json::from_str(&list).unwrap();
        let vectors = list["vectors"].as_array().unwrap();
        let read = |entry: &serde_json::Value| {
            let file = entry["file"].as_str().unwrap().to_owned();
            let bytes = std::fs::read(format!("{folder}/{file}")).unwrap();
            Self {
                file,
                bytes,
                entry: entry.clone(),
            }
        };
        vectors.iter().map(read).collect()
    }

    pub fn production() -> Vec<Self> {
        let mut vectors = Self::all();
        vectors.retain(|vector| !vector.is_debug());
        vectors
    }

    pub fn named(part: &str) -> Self {
        let found = Self::all()
            .into_iter()
            .find(|vector| vector.file.contains(part));
        found.unwrap()
    }

    pub fn is_debug(&self) -> bool {
        self.entry["debug_mode"].as_bool().unwrap()
    }

    pub fn has_valid_signature(&self) -> bool {
        self.entry["signature_valid"].as_bool().unwrap()
    }

    pub fn timestamp_ms(&self) -> u64 {
        self.entry["timestamp_ms"].as_u64().unwrap()
    }

    /// Its own time in whole seconds.
    pub fn now(&self) -> i64 {
        (self.timestamp_ms() / 1000) as i64
    }

    pub fn seconds(&self, member: &str) -> i64 {
        unix(self.entry[member].as_str().unwrap())
    }

    pub fn bytes_of(&self, member: &str) -> Option<Vec<u8>> {
        self.entry[member].as_str().map(unhex)
    }

    pub fn pcrs(&self) -> Pcrs {
        let pcrs = self.entry["pcrs"].as_object().unwrap();
        pcrs.iter()
            .map(|(index, value)| {
                let value = unhex(value.as_str().unwrap());
                (index.parse().unwrap(), value.try_into().unwrap())
            })
            .collect()
    }

    /// Pins all of its registers that are not zero.
    pub fn policy(&self) -> Policy {
        pin(self.pcrs())
    }

    /// Its verdict at its own time, by its own registers, data and nonce.
    pub fn verdict(&self) -> Result<Claims, EvidenceError> {
        self.verdict_on(&self.bytes, self.now())
    }

    pub fn verdict_on(&self, document: &[u8], now: i64) -> Result<Claims, EvidenceError> {
        let (data, nonce) = (self.bytes_of("user_data"), self.bytes_of("nonce"));
        let mut binding = data.as_deref().map_or(Binding::unbound(), Binding::to);
        if let Some(nonce) = &nonce {
            binding = binding.with_nonce(nonce);
        }
        judge(document, &self.policy(), &binding, now)
    }
}

pub fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Unix time of `YYYY-MM-DDTHH:MM:SSZ`.
fn unix(text: &str) -> i64 {
    let (date, clock) = text.split_once('T').unwrap();
    let date = zkpass_core::date::Date::parse_iso(date).unwrap();
    let epoch = zkpass_core::date::Date::new(1970, 1, 1).unwrap();
    let clock = clock.strip_suffix('Z').unwrap();
    let seconds = clock
        .split(':')
        .fold(0, |sum, part| sum * 60 + part.parse::<i64>().unwrap());
    epoch.days_until(date) * 86_400 + seconds
}
