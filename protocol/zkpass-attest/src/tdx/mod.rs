//! Intel TDX: quotes.

use serde::Serialize;

use crate::{Binding, EvidenceError, Policy, evidence::Verified};

/// What a quote says.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {}

/// Why a quote is refused, beyond what every platform checks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TdxError {}

impl TdxError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match *self {}
    }
}

pub(crate) fn verify(
    _quote: &[u8],
    _collateral: &[u8],
    _policy: &Policy,
    _binding: &Binding<'_>,
    _now: i64,
) -> Result<Verified<Facts>, EvidenceError> {
    todo!()
}

pub(crate) fn inspect(_quote: &[u8], _collateral: &[u8]) -> Result<Facts, EvidenceError> {
    todo!()
}
