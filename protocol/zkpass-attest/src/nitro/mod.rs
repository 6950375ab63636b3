//! AWS Nitro Enclaves: attestation documents.
//!
//! A document is COSE_Sign1 over CBOR, signed by a certificate that lives for
//! three hours and whose chain, which the document contains, ends at one root.

mod cbor;
mod chain;
mod document;
mod error;

use std::collections::BTreeMap;

use serde::Serialize;
use subtle::ConstantTimeEq;
use zkpass_core::date::Date;

pub use cbor::CborError;
pub use chain::CertificateError;
pub use document::{MAX_BUNDLE, MAX_DOCUMENT_BYTES};
pub use error::NitroError;

use self::{chain::Chain, document::Document};
use crate::{
    Binding, EvidenceError, Platform, Policy, evidence::Verified, format::Hex,
    policy::MeasuredValues,
};

/// What a document says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Facts {
    /// The enclave: its instance, and a number of its own.
    pub module_id: String,
    /// When the document was made, in Unix milliseconds by the hypervisor's clock.
    pub timestamp_ms: u64,
    /// The same in RFC 3339, in whole seconds.
    pub timestamp: String,
    /// Platform configuration registers by index, without those that are zero.
    pub pcrs: BTreeMap<u8, Hex<[u8; 48]>>,
    /// Indices of registers that are zero.
    pub zero_pcrs: Vec<u8>,
    /// Whether the enclave runs in debug mode: PCR0, PCR1 and PCR2 are zero.
    pub debug: bool,
    /// What the enclave put into `public_key`.
    pub public_key: Option<Hex<Vec<u8>>>,
    /// What it put into `user_data`.
    pub user_data: Option<Hex<Vec<u8>>>,
    /// What it put into `nonce`.
    pub nonce: Option<Hex<Vec<u8>>>,
    /// Unix time in seconds from which all certificates are valid.
    pub chain_valid_from: i64,
    /// Unix time in seconds until which all certificates are valid.
    pub chain_valid_until: i64,
    /// SHA-256 of the root certificate in DER.
    pub root_sha256: Hex<[u8; 32]>,
}

impl Facts {
    fn new(document: &Document<'_>, chain: &Chain<'_>) -> Self {
        let (zero, pcrs): (BTreeMap<_, _>, BTreeMap<_, _>) = document
            .pcrs
            .iter()
            .map(|(index, value)| (*index, Hex(*value)))
            .partition(|(_, value)| value.0 == [0; 48]);
        let hex = |bytes: Option<&[u8]>| bytes.map(|bytes| Hex(bytes.to_vec()));
        let (chain_valid_from, chain_valid_until) = chain.validity();
        Self {
            module_id: document.module_id.to_owned(),
            timestamp_ms: document.timestamp_ms,
            timestamp: rfc3339(document.timestamp()),
            // Registers 3 and 4 hold the role and the instance in debug mode too.
            debug: [0, 1, 2].iter().all(|index| !pcrs.contains_key(index)),
            pcrs,
            zero_pcrs: zero.into_keys().collect(),
            public_key: hex(document.public_key),
            user_data: hex(document.user_data),
            nonce: hex(document.nonce),
            chain_valid_from,
            chain_valid_until,
            root_sha256: Hex(chain.root_sha256()),
        }
    }
}

pub(crate) fn verify(
    document: &[u8],
    policy: &Policy,
    binding: &Binding<'_>,
    now: i64,
) -> Result<Verified<Facts>, EvidenceError> {
    let document = Document::parse(document)?;
    let chain = Chain::parse(&document)?;
    let key = chain.verify(policy.roots(), now)?;
    document.check_signature(key)?;
    let facts = Facts::new(&document, &chain);
    let last_second = check_age(&document, policy, now)?;

    if facts.debug {
        return Err(EvidenceError::DebugMode);
    }
    if facts.zero_pcrs.contains(&0) {
        return Err(EvidenceError::ZeroMeasurement);
    }
    let pcr0 = facts.pcrs.get(&0).ok_or(NitroError::NoPcr0)?;
    // A register that is zero or absent is not among these, so it equals nothing.
    let is_equal = |values: &MeasuredValues| match values {
        MeasuredValues::Nitro { pcrs } => pcrs.iter().all(|(index, expected)| {
            let actual = facts.pcrs.get(index);
            actual.is_some_and(|actual| actual.0 == *expected)
        }),
        _ => false,
    };
    let entry = policy.matching(Platform::Nitro, now, is_equal)?;

    if !carries(document.user_data, binding.data) {
        return Err(EvidenceError::WrongBinding);
    }
    if !carries(document.nonce, binding.nonce) {
        return Err(EvidenceError::WrongNonce);
    }
    Ok(Verified {
        measurement: entry.name.clone(),
        measurement_id: format!("nitro:{pcr0}"),
        valid_until: policy.valid_until(entry, last_second.min(facts.chain_valid_until)),
        facts,
    })
}

pub(crate) fn inspect(document: &[u8]) -> Result<Facts, EvidenceError> {
    let document = Document::parse(document)?;
    let chain = Chain::parse(&document)?;
    Ok(Facts::new(&document, &chain))
}

/// Compares times in whole seconds and returns the last one at which the document is young enough.
fn check_age(document: &Document<'_>, policy: &Policy, now: i64) -> Result<i64, NitroError> {
    let made = document.timestamp();
    if made > now.saturating_add(i64::from(policy.nitro.clock_skew_seconds)) {
        return Err(NitroError::FromTheFuture);
    }
    let last_second = match policy.nitro.max_age_seconds {
        Some(age) => made.saturating_add(i64::from(age)),
        None => i64::MAX,
    };
    if now > last_second {
        return Err(NitroError::TooOld);
    }
    Ok(last_second)
}

/// Whether a member holds what is expected, if something is. Absent differs from empty.
fn carries(actual: Option<&[u8]>, expected: Option<&[u8]>) -> bool {
    match (actual, expected) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(actual), Some(expected)) => actual.ct_eq(expected).into(),
    }
}

fn rfc3339(seconds: i64) -> String {
    let clock = seconds.rem_euclid(86_400);
    match Date::from_unix_seconds(seconds) {
        Some(date) => format!(
            "{date}T{:02}:{:02}:{:02}Z",
            clock / 3600,
            clock / 60 % 60,
            clock % 60
        ),
        // Not reached: a document's time is before the year 10000.
        None => String::new(),
    }
}
