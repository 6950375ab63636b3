//! Evidence of any platform, what it is checked against, and what remains.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{EvidenceError, Policy, nitro, sev_snp, tdx};

/// Whose hardware the evidence comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Platform {
    /// AWS Nitro Enclaves.
    Nitro,
    /// AMD SEV-SNP.
    SevSnp,
    /// Intel TDX.
    Tdx,
}

impl Platform {
    /// All platforms.
    pub const ALL: [Self; 3] = [Self::Nitro, Self::SevSnp, Self::Tdx];

    /// The name in policies, messages and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nitro => "nitro",
            Self::SevSnp => "sev-snp",
            Self::Tdx => "tdx",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one of `nitro`, `sev-snp`, `tdx`")]
pub struct UnknownPlatform;

impl FromStr for Platform {
    type Err = UnknownPlatform;

    fn from_str(text: &str) -> Result<Self, UnknownPlatform> {
        Self::ALL
            .into_iter()
            .find(|platform| platform.as_str() == text)
            .ok_or(UnknownPlatform)
    }
}

/// Evidence as it came, unverified.
#[derive(Clone, Copy)]
pub enum Evidence<'a> {
    /// An attestation document: COSE_Sign1, tagged or not.
    Nitro {
        /// The document.
        document: &'a [u8],
    },
    /// An attestation report of 1184 bytes and the certificates that endorse it.
    SevSnp {
        /// The report.
        report: &'a [u8],
        /// The VCEK or VLEK certificate in DER, or a certificate table in the
        /// layout of the GHCB specification (what `auxblob` of configfs-tsm holds).
        endorsements: &'a [u8],
    },
    /// A quote and the collateral to judge it by.
    Tdx {
        /// The quote.
        quote: &'a [u8],
        /// JSON of the members of `dcap_qvl::QuoteCollateralV3`.
        collateral: &'a [u8],
    },
}

impl Evidence<'_> {
    /// Whose evidence it is.
    pub fn platform(&self) -> Platform {
        match self {
            Self::Nitro { .. } => Platform::Nitro,
            Self::SevSnp { .. } => Platform::SevSnp,
            Self::Tdx { .. } => Platform::Tdx,
        }
    }
}

/// What evidence must carry to speak for one enclave at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Binding<'a> {
    pub(crate) data: Option<&'a [u8]>,
    pub(crate) nonce: Option<&'a [u8]>,
}

impl<'a> Binding<'a> {
    /// The evidence must carry exactly these bytes: `user_data` of a Nitro
    /// document, `REPORT_DATA` of a SEV-SNP report, `REPORTDATA` of a TDX quote
    /// (64 bytes each on the last two).
    pub fn to(data: &'a [u8]) -> Self {
        Self {
            data: Some(data),
            nonce: None,
        }
    }

    /// The evidence is bound to nothing: it shows that some such build ran
    /// somewhere at some time, and not that a key belongs to it. For audits.
    pub fn unbound() -> Self {
        Self::default()
    }

    /// It must carry this nonce too. Only Nitro documents have a field for it;
    /// on the other platforms a nonce goes into the bound data.
    pub fn with_nonce(self, nonce: &'a [u8]) -> Self {
        Self {
            nonce: Some(nonce),
            ..self
        }
    }
}

/// What evidence says, in the terms of its platform.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "platform", rename_all = "kebab-case")]
pub enum Facts {
    /// Of a Nitro document.
    Nitro(Box<nitro::Facts>),
    /// Of a SEV-SNP report.
    SevSnp(Box<sev_snp::Facts>),
    /// Of a TDX quote.
    Tdx(Box<tdx::Facts>),
}

/// What verification found; there is no other way to make one.
#[derive(Clone, Debug, Serialize)]
pub struct Claims {
    /// The name of the measurement in the policy that the evidence matches.
    // The facts of a platform, written beside it, have a `measurement` too.
    #[serde(rename = "accepted_as")]
    pub(crate) measurement: String,
    /// `PLATFORM:HEX` of the launch measurement (PCR0, MEASUREMENT, MRTD).
    pub(crate) measurement_id: String,
    /// Unix time in seconds after which the same evidence no longer verifies.
    pub(crate) valid_until: i64,
    /// Whether a development root was trusted.
    pub(crate) development: bool,
    #[serde(flatten)]
    pub(crate) facts: Facts,
}

impl Claims {
    /// The name of the measurement in the policy that the evidence matches.
    pub fn measurement(&self) -> &str {
        &self.measurement
    }

    /// `PLATFORM:HEX` of the launch measurement (PCR0, MEASUREMENT, MRTD).
    pub fn measurement_id(&self) -> &str {
        &self.measurement_id
    }

    /// Unix time in seconds after which the same evidence no longer verifies.
    pub fn valid_until(&self) -> i64 {
        self.valid_until
    }

    /// Whether a development root was trusted: the evidence then binds only
    /// those who could not have signed it themselves.
    pub fn is_development(&self) -> bool {
        self.development
    }

    /// All that the evidence says.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }
}

/// What a platform's verifier returns.
pub(crate) struct Verified<F> {
    pub(crate) facts: F,
    pub(crate) measurement: String,
    pub(crate) measurement_id: String,
    pub(crate) valid_until: i64,
}

impl<F> Verified<F> {
    fn into_claims(self, policy: &Policy, wrap: impl FnOnce(F) -> Facts) -> Claims {
        Claims {
            measurement: self.measurement,
            measurement_id: self.measurement_id,
            valid_until: self.valid_until,
            development: policy.is_development(),
            facts: wrap(self.facts),
        }
    }
}

/// Verifies evidence by a policy at the Unix time `now`, in seconds.
pub fn verify(
    evidence: &Evidence<'_>,
    policy: &Policy,
    binding: &Binding<'_>,
    now: i64,
) -> Result<Claims, EvidenceError> {
    policy.check_time(now)?;
    Ok(match *evidence {
        Evidence::Nitro { document } => nitro::verify(document, policy, binding, now)?
            .into_claims(policy, |facts| Facts::Nitro(Box::new(facts))),
        Evidence::SevSnp {
            report,
            endorsements,
        } => sev_snp::verify(report, endorsements, policy, binding, now)?
            .into_claims(policy, |facts| Facts::SevSnp(Box::new(facts))),
        Evidence::Tdx { quote, collateral } => {
            tdx::verify(quote, collateral, policy, binding, now)?
                .into_claims(policy, |facts| Facts::Tdx(Box::new(facts)))
        }
    })
}

/// Shows what evidence says without judging it: no signature, root or time is checked.
/// Endorsements and collateral may be empty; what they would tell is then left out.
pub fn inspect(evidence: &Evidence<'_>) -> Result<Facts, EvidenceError> {
    Ok(match *evidence {
        Evidence::Nitro { document } => Facts::Nitro(Box::new(nitro::inspect(document)?)),
        Evidence::SevSnp {
            report,
            endorsements,
        } => Facts::SevSnp(Box::new(sev_snp::inspect(report, endorsements)?)),
        Evidence::Tdx { quote, collateral } => {
            Facts::Tdx(Box::new(tdx::inspect(quote, collateral)?))
        }
    })
}
