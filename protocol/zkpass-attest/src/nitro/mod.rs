//! AWS Nitro Enclaves: attestation documents.

use serde::Serialize;

use crate::{Binding, EvidenceError, Policy, evidence::Verified};

/// What a document says.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {}

/// Why a document is refused, beyond what every platform checks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NitroError {}

impl NitroError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match *self {}
    }
}

pub(crate) fn verify(
    _document: &[u8],
    _policy: &Policy,
    _binding: &Binding<'_>,
    _now: i64,
) -> Result<Verified<Facts>, EvidenceError> {
    todo!()
}

pub(crate) fn inspect(_document: &[u8]) -> Result<Facts, EvidenceError> {
    todo!()
}
