//! What a relying party accepts: measurements first, then options per platform.
//!
//! A policy file is TOML; unknown members are refused. Byte strings are
//! lower-case hexadecimal, times are TOML date-times with an offset.
//!
//! ```toml
//! version = 1
//! name = "lender, production"          # for people
//! not_after = 2027-06-30T00:00:00Z     # nothing is accepted after it
//!
//! [[measurements]]                     # at least one
//! name = "zkpass-enclave 0.1.0"
//! platform = "nitro"
//! # Any PCRs, at least one, none of them zero.
//! pcrs.0 = "108b32466f5dc0a9971e0bc8e3e4074e7821bb2dcad3841bdec9a08b30f173386f0394a01486df181f316b39443dab34"
//! not_after = 2027-01-01T00:00:00Z     # this entry ends before the policy does
//!
//! [[measurements]]
//! name = "zkpass-enclave 0.1.0, SEV-SNP"
//! platform = "sev-snp"
//! measurement = "7f51e17f72a04d5422cb2c00998166536019a217376f3aa45a630e59c805a599847ff250dbffcd07e1ba639771d6f05d"
//!
//! [nitro]
//! max_age_seconds = 300
//!
//! [sev-snp]
//! minimum_tcb.milan = { bootloader = 4, tee = 0, snp = 23, microcode = 213 }
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;
use zkpass_core::{date::Date, encoding::from_hex};

use crate::{EvidenceError, Platform, tdx};

/// Largest policy file in bytes: a few hundred measurements.
pub const MAX_POLICY_BYTES: usize = 256 * 1024;

/// Highest PCR of a Nitro Enclave plus one (NSM API: 32 registers).
pub const NITRO_PCRS: u8 = 32;

/// What a relying party accepts.
#[derive(Clone, Debug)]
pub struct Policy {
    name: Option<String>,
    not_after: Option<i64>,
    measurements: Vec<Measurement>,
    roots: Roots,
    /// Options for Nitro documents.
    pub nitro: NitroOptions,
    /// Options for SEV-SNP reports.
    pub sev_snp: SevSnpOptions,
    /// Options for TDX quotes.
    pub tdx: TdxOptions,
}

/// Under which roots evidence must stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Roots {
    /// Those of the vendors, which are part of this crate.
    Vendor,
    /// One self-made root, by the SHA-256 of its certificate in DER.
    Development {
        /// The fingerprint.
        sha256: [u8; 32],
    },
}

/// One accepted build on one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// For people; unique in its policy.
    pub name: String,
    /// Unix time in seconds of the last second at which it is accepted.
    pub not_after: Option<i64>,
    /// What must be measured.
    pub values: MeasuredValues,
}

/// What must be measured, in the terms of a platform. `None` is not compared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a policy holds a few, for its whole life"
)]
pub enum MeasuredValues {
    /// Platform configuration registers by index; each must be present and equal.
    Nitro {
        /// At least one, below [`NITRO_PCRS`], none all zero.
        pcrs: BTreeMap<u8, [u8; 48]>,
    },
    /// Fields of a SEV-SNP report.
    SevSnp {
        /// MEASUREMENT: the launch digest.
        measurement: [u8; 48],
        /// HOST_DATA.
        host_data: Option<[u8; 32]>,
        /// ID_KEY_DIGEST.
        id_key_digest: Option<[u8; 48]>,
        /// AUTHOR_KEY_DIGEST.
        author_key_digest: Option<[u8; 48]>,
    },
    /// Fields of a TD report.
    Tdx {
        /// MRTD: what was loaded before the TD started.
        mrtd: [u8; 48],
        /// RTMR0 to RTMR3: what it extended since.
        rtmrs: [Option<[u8; 48]>; 4],
        /// MRCONFIGID.
        mrconfigid: Option<[u8; 48]>,
        /// MROWNER.
        mrowner: Option<[u8; 48]>,
        /// MROWNERCONFIG.
        mrownerconfig: Option<[u8; 48]>,
        /// MRSEAM: the TDX module.
        mrseam: Option<[u8; 48]>,
    },
}

impl MeasuredValues {
    /// Whose values they are.
    pub fn platform(&self) -> Platform {
        match self {
            Self::Nitro { .. } => Platform::Nitro,
            Self::SevSnp { .. } => Platform::SevSnp,
            Self::Tdx { .. } => Platform::Tdx,
        }
    }

    fn is_zero(&self) -> bool {
        let zero = |bytes: &[u8; 48]| bytes.iter().all(|byte| *byte == 0);
        match self {
            Self::Nitro { pcrs } => pcrs.values().any(zero),
            Self::SevSnp { measurement, .. } => zero(measurement),
            Self::Tdx { mrtd, .. } => zero(mrtd),
        }
    }
}

/// Options for Nitro documents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NitroOptions {
    /// Oldest document accepted, in seconds. Without it the chain bounds the
    /// age: the leaf certificate lives three hours.
    pub max_age_seconds: Option<u32>,
    /// How far the time in a document may lie in the future, in seconds.
    pub clock_skew_seconds: u32,
}

/// Options for SEV-SNP reports.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SevSnpOptions {
    /// Highest virtual machine privilege level that may ask for evidence; 0, the most trusted, unless set.
    pub max_vmpl: u32,
    /// Whether simultaneous multithreading may be on; true unless set.
    pub allow_smt: bool,
    /// Whether a migration agent may be associated; false unless set.
    pub allow_migration_agent: bool,
    /// Whether reports signed with a cloud provider's VLEK count like those signed with the chip's VCEK; true unless set.
    pub allow_vlek: bool,
    /// Lowest security versions, per product.
    pub minimum_tcb: MinimumTcb,
    /// Lowest GUEST_SVN.
    pub minimum_guest_svn: u32,
    /// The only chips accepted (CHIP_ID, 64 bytes in hexadecimal); empty: any.
    pub chip_ids: Vec<String>,
}

impl Default for SevSnpOptions {
    fn default() -> Self {
        Self {
            max_vmpl: 0,
            allow_smt: true,
            allow_migration_agent: false,
            allow_vlek: true,
            minimum_tcb: MinimumTcb::default(),
            minimum_guest_svn: 0,
            chip_ids: Vec::new(),
        }
    }
}

/// Lowest security versions by product: their numbers cannot be compared across products.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MinimumTcb {
    /// For Milan.
    pub milan: TcbVersion,
    /// For Genoa.
    pub genoa: TcbVersion,
    /// For Turin.
    pub turin: TcbVersion,
}

/// Security version numbers of a platform's parts (SEV-SNP ABI, TCB_VERSION); zero is lowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TcbVersion {
    /// FMC; Turin only.
    pub fmc: u8,
    /// Boot loader.
    pub bootloader: u8,
    /// PSP operating system.
    pub tee: u8,
    /// SNP firmware.
    pub snp: u8,
    /// Microcode.
    pub microcode: u8,
}

/// Options for TDX quotes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TdxOptions {
    /// Accepted TCB statuses as Intel spells them; `["UpToDate"]` unless set. `Revoked` is none:
    /// it never passes. `OutOfDate` passes whatever the age.
    pub tcb_statuses: Vec<String>,
    /// Whether platforms may gain packages after their registration; true unless set.
    pub allow_dynamic_platform: bool,
    /// Whether platform root keys may be cached by Intel; true unless set.
    pub allow_cached_keys: bool,
    /// Whether simultaneous multithreading may be on; true unless set.
    pub allow_smt: bool,
    /// The only platforms accepted (PPID of the PCK certificate, 16 bytes in hexadecimal); empty: any.
    pub ppids: Vec<String>,
}

impl Default for TdxOptions {
    fn default() -> Self {
        Self {
            tcb_statuses: vec!["UpToDate".to_owned()],
            allow_dynamic_platform: true,
            allow_cached_keys: true,
            allow_smt: true,
            ppids: Vec::new(),
        }
    }
}

/// Why there is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The file is too large.
    #[error("the policy has more than {MAX_POLICY_BYTES} bytes")]
    TooLarge,
    /// It is not TOML, or has unknown, missing or mistyped members.
    #[error("{0}")]
    Malformed(String),
    /// It is of another version of this format.
    #[error("policy version {0} is not supported; this is version 1")]
    UnsupportedVersion(u32),
    /// It accepts no measurement, and so nothing.
    #[error("a policy needs at least one measurement")]
    NoMeasurement,
    /// Two measurements share a name.
    #[error("the name `{0}` is used for two measurements")]
    NameTwice(String),
    /// A measurement pins no value.
    #[error("measurement `{0}` pins no PCR")]
    NoPcr(String),
    /// A measurement pins an all-zero value, which is what debug mode measures.
    #[error("measurement `{0}` pins an all-zero value, as debug enclaves measure")]
    ZeroMeasurement(String),
    /// A PCR index is out of range.
    #[error("measurement `{name}`: there is no PCR {index}")]
    BadPcrIndex {
        /// The name of the measurement.
        name: String,
        /// The index.
        index: String,
    },
    /// A value is not hexadecimal of the right length.
    #[error("`{place}` must be {bytes} bytes in lower-case hexadecimal")]
    BadHex {
        /// Where.
        place: String,
        /// How long it must be.
        bytes: usize,
    },
    /// A TCB status is none of Intel's, or one that never passes.
    #[error("`tdx.tcb_statuses`: `{0}` is no TCB status that can be accepted")]
    UnknownTcbStatus(String),
    /// A time has no offset, or does not exist.
    #[error("`{0}` must be a date-time with an offset, like 2027-06-30T00:00:00Z")]
    BadTime(String),
}

impl PolicyError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "policy-too-large",
            Self::Malformed(_) => "policy-malformed",
            Self::UnsupportedVersion(_) => "policy-version",
            Self::NoMeasurement => "policy-without-measurement",
            Self::NameTwice(_) => "policy-name-twice",
            Self::NoPcr(_) => "policy-without-pcr",
            Self::ZeroMeasurement(_) => "policy-zero-measurement",
            Self::BadPcrIndex { .. } => "policy-pcr-index",
            Self::BadHex { .. } => "policy-bad-hex",
            Self::UnknownTcbStatus(_) => "policy-unknown-tcb-status",
            Self::BadTime(_) => "policy-bad-time",
        }
    }
}

impl Policy {
    /// A policy that accepts these measurements under the vendors' roots.
    pub fn new(measurements: impl IntoIterator<Item = Measurement>) -> Result<Self, PolicyError> {
        let policy = Self {
            name: None,
            not_after: None,
            measurements: measurements.into_iter().collect(),
            roots: Roots::Vendor,
            nitro: NitroOptions::default(),
            sev_snp: SevSnpOptions::default(),
            tdx: TdxOptions::default(),
        };
        policy.check().map(|()| policy)
    }

    /// Reads a policy file.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_POLICY_BYTES {
            return Err(PolicyError::TooLarge);
        }
        let file: File =
            toml::from_str(text).map_err(|error| PolicyError::Malformed(error.to_string()))?;
        file.into_policy()
    }

    /// The name that its file gives it.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The accepted measurements.
    pub fn measurements(&self) -> &[Measurement] {
        &self.measurements
    }

    /// Whether a development root is trusted instead of the vendors'.
    pub fn is_development(&self) -> bool {
        self.roots != Roots::Vendor
    }

    pub(crate) fn with_roots(self, roots: Roots) -> Self {
        Self { roots, ..self }
    }

    pub(crate) fn roots(&self) -> Roots {
        self.roots
    }

    pub(crate) fn check_time(&self, now: i64) -> Result<(), EvidenceError> {
        match self.not_after {
            Some(end) if now > end => Err(EvidenceError::PolicyExpired),
            _ => Ok(()),
        }
    }

    /// The first measurement of a platform that `is_equal` and has not ended.
    pub(crate) fn matching(
        &self,
        platform: Platform,
        now: i64,
        is_equal: impl Fn(&MeasuredValues) -> bool,
    ) -> Result<&Measurement, EvidenceError> {
        let mut candidates = self
            .measurements
            .iter()
            .filter(|entry| entry.values.platform() == platform)
            .peekable();
        if candidates.peek().is_none() {
            return Err(EvidenceError::NoMeasurement(platform));
        }
        let mut ended = None;
        for entry in candidates.filter(|entry| is_equal(&entry.values)) {
            match entry.not_after {
                Some(end) if now > end => ended = Some(entry),
                _ => return Ok(entry),
            }
        }
        Err(match ended {
            Some(entry) => EvidenceError::MeasurementExpired {
                name: entry.name.clone(),
            },
            None => EvidenceError::WrongMeasurement,
        })
    }

    /// The earliest of the ends that are known.
    pub(crate) fn valid_until(&self, entry: &Measurement, evidence: i64) -> i64 {
        [self.not_after, entry.not_after]
            .into_iter()
            .flatten()
            .fold(evidence, i64::min)
    }

    fn check(&self) -> Result<(), PolicyError> {
        if self.measurements.is_empty() {
            return Err(PolicyError::NoMeasurement);
        }
        let mut names = std::collections::BTreeSet::new();
        for entry in &self.measurements {
            if !names.insert(&entry.name) {
                return Err(PolicyError::NameTwice(entry.name.clone()));
            }
            if let MeasuredValues::Nitro { pcrs } = &entry.values {
                if pcrs.is_empty() {
                    return Err(PolicyError::NoPcr(entry.name.clone()));
                }
                if let Some(index) = pcrs.keys().find(|index| **index >= NITRO_PCRS) {
                    return Err(PolicyError::BadPcrIndex {
                        name: entry.name.clone(),
                        index: index.to_string(),
                    });
                }
            }
            if entry.values.is_zero() {
                return Err(PolicyError::ZeroMeasurement(entry.name.clone()));
            }
        }
        let statuses = &self.tdx.tcb_statuses;
        if let Some(status) = statuses.iter().find(|name| !tdx::is_tcb_status(name)) {
            return Err(PolicyError::UnknownTcbStatus(status.clone()));
        }
        let lists = [
            ("sev-snp.chip_ids", &self.sev_snp.chip_ids, 64),
            ("tdx.ppids", &self.tdx.ppids, 16),
        ];
        for (place, list, bytes) in lists {
            if list.iter().any(|text| !is_hex(text, bytes)) {
                return Err(PolicyError::BadHex {
                    place: place.to_owned(),
                    bytes,
                });
            }
        }
        Ok(())
    }
}

fn is_hex(text: &str, bytes: usize) -> bool {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == bytes * 2 && text.bytes().all(digit)
}

/// The form of a policy file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    name: Option<String>,
    not_after: Option<toml::value::Datetime>,
    #[serde(default)]
    measurements: Vec<Entry>,
    #[serde(default)]
    nitro: NitroOptions,
    #[serde(default, rename = "sev-snp")]
    sev_snp: SevSnpOptions,
    #[serde(default)]
    tdx: TdxOptions,
}

#[derive(Deserialize)]
#[serde(tag = "platform", rename_all = "kebab-case", deny_unknown_fields)]
enum Entry {
    Nitro {
        name: String,
        not_after: Option<toml::value::Datetime>,
        pcrs: BTreeMap<String, String>,
    },
    SevSnp {
        name: String,
        not_after: Option<toml::value::Datetime>,
        measurement: String,
        host_data: Option<String>,
        id_key_digest: Option<String>,
        author_key_digest: Option<String>,
    },
    Tdx {
        name: String,
        not_after: Option<toml::value::Datetime>,
        mrtd: String,
        rtmr0: Option<String>,
        rtmr1: Option<String>,
        rtmr2: Option<String>,
        rtmr3: Option<String>,
        mrconfigid: Option<String>,
        mrowner: Option<String>,
        mrownerconfig: Option<String>,
        mrseam: Option<String>,
    },
}

impl File {
    fn into_policy(self) -> Result<Policy, PolicyError> {
        if self.version != 1 {
            return Err(PolicyError::UnsupportedVersion(self.version));
        }
        let measurements = self.measurements.into_iter().map(Entry::into_measurement);
        let policy = Policy {
            name: self.name,
            not_after: time("not_after", self.not_after)?,
            measurements: measurements.collect::<Result<_, _>>()?,
            roots: Roots::Vendor,
            nitro: self.nitro,
            sev_snp: self.sev_snp,
            tdx: self.tdx,
        };
        policy.check().map(|()| policy)
    }
}

impl Entry {
    fn into_measurement(self) -> Result<Measurement, PolicyError> {
        let (name, not_after, values) = match self {
            Self::Nitro {
                name,
                not_after,
                pcrs,
            } => {
                let pcrs = pcrs
                    .into_iter()
                    .map(|(index, value)| {
                        let number = pcr_index(&index).ok_or_else(|| PolicyError::BadPcrIndex {
                            name: name.clone(),
                            index: index.clone(),
                        })?;
                        Ok((number, bytes(&name, &format!("pcrs.{index}"), &value)?))
                    })
                    .collect::<Result<_, _>>()?;
                (name, not_after, MeasuredValues::Nitro { pcrs })
            }
            Self::SevSnp {
                name,
                not_after,
                measurement,
                host_data,
                id_key_digest,
                author_key_digest,
            } => {
                let values = MeasuredValues::SevSnp {
                    measurement: bytes(&name, "measurement", &measurement)?,
                    host_data: optional(&name, "host_data", host_data)?,
                    id_key_digest: optional(&name, "id_key_digest", id_key_digest)?,
                    author_key_digest: optional(&name, "author_key_digest", author_key_digest)?,
                };
                (name, not_after, values)
            }
            Self::Tdx {
                name,
                not_after,
                mrtd,
                rtmr0,
                rtmr1,
                rtmr2,
                rtmr3,
                mrconfigid,
                mrowner,
                mrownerconfig,
                mrseam,
            } => {
                let values = MeasuredValues::Tdx {
                    mrtd: bytes(&name, "mrtd", &mrtd)?,
                    rtmrs: [
                        optional(&name, "rtmr0", rtmr0)?,
                        optional(&name, "rtmr1", rtmr1)?,
                        optional(&name, "rtmr2", rtmr2)?,
                        optional(&name, "rtmr3", rtmr3)?,
                    ],
                    mrconfigid: optional(&name, "mrconfigid", mrconfigid)?,
                    mrowner: optional(&name, "mrowner", mrowner)?,
                    mrownerconfig: optional(&name, "mrownerconfig", mrownerconfig)?,
                    mrseam: optional(&name, "mrseam", mrseam)?,
                };
                (name, not_after, values)
            }
        };
        Ok(Measurement {
            not_after: time(&format!("{name}.not_after"), not_after)?,
            name,
            values,
        })
    }
}

/// A decimal number without sign or leading zeros.
fn pcr_index(text: &str) -> Option<u8> {
    let number: u8 = text.parse().ok()?;
    (number < NITRO_PCRS && number.to_string() == text).then_some(number)
}

fn bytes<const N: usize>(name: &str, field: &str, text: &str) -> Result<[u8; N], PolicyError> {
    from_hex(text).ok_or_else(|| PolicyError::BadHex {
        place: format!("{name}.{field}"),
        bytes: N,
    })
}

fn optional<const N: usize>(
    name: &str,
    field: &str,
    text: Option<String>,
) -> Result<Option<[u8; N]>, PolicyError> {
    text.map(|text| bytes(name, field, &text)).transpose()
}

fn time(place: &str, time: Option<toml::value::Datetime>) -> Result<Option<i64>, PolicyError> {
    let seconds = |time: toml::value::Datetime| {
        let (date, clock, offset) = (time.date?, time.time?, time.offset?);
        let date = Date::new(date.year, date.month, date.day)?;
        let offset = match offset {
            toml::value::Offset::Z => 0,
            toml::value::Offset::Custom { minutes } => i64::from(minutes) * 60,
        };
        let midnight = (date.day_number() - Date::new(1970, 1, 1)?.day_number()) * 86_400;
        let clock = i64::from(clock.hour) * 3600
            + i64::from(clock.minute) * 60
            + i64::from(clock.second.unwrap_or(0));
        Some(midnight + clock - offset)
    };
    time.map(|time| seconds(time).ok_or_else(|| PolicyError::BadTime(place.to_owned())))
        .transpose()
}

#[cfg(test)]
mod tests;
