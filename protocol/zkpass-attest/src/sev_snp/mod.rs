//! AMD SEV-SNP: attestation reports.

use serde::Serialize;

use crate::{Binding, EvidenceError, Policy, evidence::Verified};

/// What a report says.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {}

/// Why a report is refused, beyond what every platform checks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SevSnpError {}

impl SevSnpError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match *self {}
    }
}

pub(crate) fn verify(
    _report: &[u8],
    _endorsements: &[u8],
    _policy: &Policy,
    _binding: &Binding<'_>,
    _now: i64,
) -> Result<Verified<Facts>, EvidenceError> {
    todo!()
}

pub(crate) fn inspect(_report: &[u8], _endorsements: &[u8]) -> Result<Facts, EvidenceError> {
    todo!()
}
