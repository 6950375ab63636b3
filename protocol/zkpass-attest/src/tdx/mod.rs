//! Intel TDX: quotes, judged by collateral.
//!
//! Signatures, certificates, revocation and TCB levels are the work of
//! `dcap-qvl`. Around it: what is read has bounds and no slack, the root and the
//! certificate chain are not for the sender to choose, and what the policy must
//! decide is decided here, by type. A check here only ever refuses more.

mod collateral;
mod error;
mod facts;
mod quote;
mod refusal;

use std::panic::{AssertUnwindSafe, catch_unwind};

use dcap_qvl::{
    PckCertFlag, Policy as _, QuoteClaims, QuotePolicy, TcbStatus,
    config::CryptoProvider,
    configs::RustCryptoConfig,
    crypto::RustCryptoCrypto,
    quote::{Report, TDReport10},
    verify::QuoteVerifier,
};
use subtle::ConstantTimeEq;
use zkpass_core::encoding::hex;

pub use collateral::MAX_COLLATERAL_BYTES;
pub use error::TdxError;
pub use facts::{CollateralFacts, Facts, PlatformFacts, TcbFacts, Tdx15ExtendedFacts, Tdx15Facts};
pub use quote::MAX_QUOTE_BYTES;

use crate::{
    Binding, EvidenceError, Platform, Policy,
    evidence::Verified,
    policy::{MeasuredValues, Roots, TdxOptions},
};
use collateral::Collateral;
use quote::{ParsedQuote, PckChain, base, check_attributes};

/// Intel SGX Root CA, which signs TDX too; valid from 2018-05-21 to 2049-12-31.
/// From <https://certificates.trustedservices.intel.com/IntelSGXRootCA.der>, SHA-256
/// `44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3`.
const INTEL_ROOT: &[u8] = include_bytes!("../../roots/intel-sgx-root-ca.der");

/// The statuses that a policy may accept; revoked platforms never pass.
const TCB_STATUSES: [TcbStatus; 8] = [
    TcbStatus::UpToDate,
    TcbStatus::SWHardeningNeeded,
    TcbStatus::ConfigurationNeeded,
    TcbStatus::ConfigurationAndSWHardeningNeeded,
    TcbStatus::OutOfDate,
    TcbStatus::OutOfDateConfigurationNeeded,
    TcbStatus::TDRelaunchAdvised,
    TcbStatus::TDRelaunchAdvisedConfigurationNeeded,
];

/// The status of this name, if a policy may accept it.
fn tcb_status(name: &str) -> Option<TcbStatus> {
    TCB_STATUSES
        .into_iter()
        .find(|status| status.to_string() == name)
}

/// Whether a policy may accept a TCB status of this name.
pub(crate) fn is_tcb_status(name: &str) -> bool {
    tcb_status(name).is_some()
}

pub(crate) fn verify(
    quote: &[u8],
    collateral: &[u8],
    policy: &Policy,
    binding: &Binding<'_>,
    now: i64,
) -> Result<Verified<Facts>, EvidenceError> {
    if binding.nonce.is_some() {
        return Err(EvidenceError::NonceNotSupported(Platform::Tdx));
    }
    let unix_now = u64::try_from(now).map_err(|_| TdxError::TimeOutOfRange)?;
    let parsed = ParsedQuote::parse(quote)?;
    let collateral = Collateral::parse(collateral)?;
    let chain = parsed.pck_chain()?;
    let root = trusted_root(&chain, policy.roots())?;
    collateral.check_pck_chain(&chain)?;
    let platform = chain.platform()?;
    collateral.check_kind(&platform.fmspc)?;
    collateral.check_time(now)?;

    let claims = verify_signatures(quote, &collateral, &root, unix_now, parsed.report())?;
    check_attributes(&claims.report)?;
    check_platform(&claims, &policy.tdx, unix_now)?;

    let td = base(&claims.report)?;
    if td.mr_td == [0; 48] {
        return Err(EvidenceError::ZeroMeasurement);
    }
    let entry = policy.matching(Platform::Tdx, now, |values| is_measured(td, values))?;
    check_binding(td, binding)?;

    let mut facts = Facts::of(&parsed, Some(platform), Some(&collateral))?;
    facts.tcb = Some(TcbFacts {
        status: claims.tcb.status.to_string(),
        advisory_ids: claims.tcb.advisory_ids.clone(),
    });
    // Its end covers the certificates; the collateral's is exact for revocation lists.
    let certificates = i64::try_from(claims.earliest_expiration_date).unwrap_or(i64::MAX);
    Ok(Verified {
        measurement: entry.name.clone(),
        measurement_id: format!("{}:{}", Platform::Tdx, hex(&td.mr_td)),
        valid_until: policy.valid_until(entry, collateral.last().min(certificates)),
        facts,
    })
}

pub(crate) fn inspect(quote: &[u8], collateral: &[u8]) -> Result<Facts, EvidenceError> {
    let parsed = ParsedQuote::parse(quote)?;
    let collateral = match collateral {
        [] => None,
        bytes => Some(Collateral::parse(bytes)?),
    };
    let platform = parsed.pck_chain().and_then(|chain| chain.platform()).ok();
    Ok(Facts::of(&parsed, platform, collateral.as_ref())?)
}

/// The root that the chain must end in. A development root is known by its
/// fingerprint and taken out of the chain.
fn trusted_root(chain: &PckChain, roots: Roots) -> Result<Vec<u8>, TdxError> {
    let is_trusted = match roots {
        Roots::Vendor => chain.root() == INTEL_ROOT,
        Roots::Development { sha256 } => RustCryptoCrypto::sha256(chain.root()) == sha256,
    };
    is_trusted
        .then(|| chain.root().to_vec())
        .ok_or(TdxError::UntrustedRoot)
}

/// All that Intel's signatures say, whether or not the policy likes it.
fn verify_signatures(
    quote: &[u8],
    collateral: &Collateral,
    root: &[u8],
    now: u64,
    report: &Report,
) -> Result<QuoteClaims, EvidenceError> {
    let verifier = QuoteVerifier::<RustCryptoConfig>::new_with_config(root.to_vec());
    let anything = QuotePolicy::claims_only(now);
    // No input is known to make it panic; one that did would stop more than
    // this verification.
    catch_unwind(AssertUnwindSafe(|| {
        verifier
            .verify_with_policy(quote, &collateral.unverified, now, &anything)
            .map_err(|error| {
                let messages = error.chain().map(ToString::to_string);
                refusal::cause(error.downcast_ref(), messages, report)
            })
    }))
    .unwrap_or(Err(TdxError::Rejected.into()))
}

/// What the policy says of the platform.
fn check_platform(
    claims: &QuoteClaims,
    options: &TdxOptions,
    now: u64,
) -> Result<(), EvidenceError> {
    let status = claims.tcb.status.to_string();
    if !options.tcb_statuses.contains(&status) {
        return Err(TdxError::TcbStatus {
            status,
            advisory_ids: claims.tcb.advisory_ids.clone(),
        }
        .into());
    }
    let pck = &claims.platform.pck;
    for (flag, is_allowed, refusal) in [
        (
            pck.dynamic_platform,
            options.allow_dynamic_platform,
            TdxError::DynamicPlatform,
        ),
        (
            pck.cached_keys,
            options.allow_cached_keys,
            TdxError::CachedKeys,
        ),
        (pck.smt_enabled, options.allow_smt, TdxError::SmtEnabled),
    ] {
        if flag == PckCertFlag::True && !is_allowed {
            return Err(refusal.into());
        }
    }
    if !options.ppids.is_empty() && !options.ppids.contains(&hex(&pck.ppid)) {
        return Err(TdxError::WrongPlatform.into());
    }
    // The library's own appraisal must agree.
    library_policy(options, now)
        .validate(claims)
        .map_err(|_| TdxError::Rejected.into())
}

/// The options in the library's terms. It bounds the age of outdated platforms
/// too; here the list of statuses alone decides.
fn library_policy(options: &TdxOptions, now: u64) -> QuotePolicy {
    let any_age = std::time::Duration::MAX;
    options
        .tcb_statuses
        .iter()
        .filter_map(|name| tcb_status(name))
        .fold(QuotePolicy::strict(now), QuotePolicy::allow_status)
        .platform_grace_period(any_age)
        .qe_grace_period(any_age)
        .allow_dynamic_platform(options.allow_dynamic_platform)
        .allow_cached_keys(options.allow_cached_keys)
        .allow_smt(options.allow_smt)
}

fn is_measured(td: &TDReport10, values: &MeasuredValues) -> bool {
    let MeasuredValues::Tdx {
        mrtd,
        rtmrs: [rtmr0, rtmr1, rtmr2, rtmr3],
        mrconfigid,
        mrowner,
        mrownerconfig,
        mrseam,
    } = values
    else {
        return false;
    };
    td.mr_td == *mrtd
        && [
            (rtmr0, td.rt_mr0),
            (rtmr1, td.rt_mr1),
            (rtmr2, td.rt_mr2),
            (rtmr3, td.rt_mr3),
            (mrconfigid, td.mr_config_id),
            (mrowner, td.mr_owner),
            (mrownerconfig, td.mr_owner_config),
            (mrseam, td.mr_seam),
        ]
        .into_iter()
        .all(|(wanted, measured)| wanted.is_none_or(|wanted| wanted == measured))
}

/// REPORTDATA must be the expected 64 bytes. All zero is what a TD reports that
/// was given nothing to report, so it binds to nothing.
fn check_binding(td: &TDReport10, binding: &Binding<'_>) -> Result<(), EvidenceError> {
    let Some(expected) = binding.data else {
        return Ok(());
    };
    let is_equal: bool = td.report_data[..].ct_eq(expected).into();
    if is_equal && td.report_data != [0; 64] {
        Ok(())
    } else {
        Err(EvidenceError::WrongBinding)
    }
}

#[cfg(test)]
mod tests;
