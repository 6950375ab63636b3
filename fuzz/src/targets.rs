//! The list of targets; each module holds those of one part.

mod attest_snp;
mod attest_tdx;
mod channel;
mod proof;
mod query;
mod token;

use crate::Target;

/// All targets.
pub const TARGETS: &[Target] = &[
    query::JSON,
    query::QUERY,
    token::TOKEN,
    token::TOKEN_PARTS,
    token::KEY,
    token::DVR,
    token::STATEMENT,
    proof::PROOF_TOKEN,
    proof::PROOF_BYTES,
    channel::FRAME,
    channel::SEALED_REQUEST,
    channel::SEALED_BODY,
    attest_snp::SNP_EVIDENCE,
    attest_tdx::TDX_QUOTE,
    attest_tdx::TDX_COLLATERAL,
];

/// The input as text; none of the text formats is defined for anything else.
fn text(input: &[u8]) -> Option<&str> {
    std::str::from_utf8(input).ok()
}
