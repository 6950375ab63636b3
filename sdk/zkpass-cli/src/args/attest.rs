//! `zkpass attest`: evidence of trusted execution environments.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use zkpass_client::attestation::Platform;

use crate::files::{Input, Output};
use crate::parse;

#[derive(Subcommand, Debug)]
pub enum Attest {
    Verify(AttestVerify),
    Inspect(AttestInspect),
    Show(AttestShow),
    Policy(AttestPolicy),
    Measure(AttestMeasure),
    Fetch(AttestFetch),
}

/// Whose hardware evidence comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PlatformArg {
    /// AWS Nitro Enclaves: an attestation document
    Nitro,
    /// AMD SEV-SNP: an attestation report
    SevSnp,
    /// Intel TDX: a quote
    Tdx,
}

impl From<PlatformArg> for Platform {
    fn from(platform: PlatformArg) -> Self {
        match platform {
            PlatformArg::Nitro => Self::Nitro,
            PlatformArg::SevSnp => Self::SevSnp,
            PlatformArg::Tdx => Self::Tdx,
        }
    }
}

/// Evidence in files, or a record that `zkpass prove` kept.
#[derive(Args, Debug)]
pub struct Files {
    /// A record of evidence, as `zkpass prove` and `zkpass attest fetch` write it
    #[arg(
        value_name = "RECORD.json",
        required_unless_present = "evidence",
        conflicts_with_all = ["platform", "evidence", "vek", "collateral"]
    )]
    pub record: Option<Input>,

    /// Whose hardware the evidence comes from
    #[arg(long, value_enum, value_name = "PLATFORM", requires = "evidence")]
    pub platform: Option<PlatformArg>,

    /// The evidence as the hardware gives it, in binary
    #[arg(long, value_name = "FILE", requires = "platform")]
    pub evidence: Option<Input>,

    /// SEV-SNP: the VCEK or VLEK certificate (DER), or the certificate table of `auxblob`
    #[arg(long, value_name = "FILE", requires = "evidence")]
    pub vek: Option<Input>,

    /// TDX: the collateral in JSON
    #[arg(long, value_name = "FILE", requires = "evidence")]
    pub collateral: Option<Input>,
}

/// Verify evidence by a policy, offline
///
/// Checks signatures and certificate chains up to the pinned root of the vendor, their validity at
/// the given time, debug mode, measurements and options of the policy, and what the evidence is
/// bound to. With --json the answer is {"verified": true, "claims": {...}} or {"verified": false,
/// "error": {"code": "..."}}.
///
/// A record is checked for the time at which it was accepted, unless --at is given, and for its own
/// nonce and identity key.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  zkpass attest verify --platform nitro --evidence doc.cose --policy policy.toml --at 1758628609
  zkpass attest verify --platform sev-snp --evidence report.bin --vek vcek.der \\
      --policy policy.toml --binding 6b0a... --json
  zkpass attest verify --platform tdx --evidence quote.bin --collateral collateral.json \\
      --policy policy.toml
  zkpass attest verify proof.jws.evidence.json --policy policy.toml

Policy files:
  version = 1
  [[measurements]]
  name = \"enclave 0.1.0\"
  platform = \"nitro\"               # pcrs.N; at least one, none of them zero
  pcrs.0 = \"108b...\"               # 48 bytes in lower-case hexadecimal
  [[measurements]]
  name = \"enclave 0.1.0 on AMD\"
  platform = \"sev-snp\"             # measurement; optional: host_data, id_key_digest, ...
  measurement = \"7f51...\"
  [[measurements]]
  name = \"enclave 0.1.0 on Intel\"
  platform = \"tdx\"                 # mrtd; optional: rtmr0 to rtmr3, mrconfigid, mrowner, ...
  mrtd = \"91eb...\"

  `zkpass attest policy` writes one from evidence. Options per platform are in docs/attestation.md.

Exit status:
  0  verified
  1  refused
  2  wrong usage, or the system failed")]
pub struct AttestVerify {
    #[command(flatten)]
    pub files: Files,

    /// The policy
    #[arg(long, value_name = "POLICY.toml")]
    pub policy: Input,

    /// The time to verify for, in seconds since 1970; now unless given
    #[arg(long, value_name = "UNIX_SECONDS", allow_negative_numbers = true)]
    pub at: Option<i64>,

    /// What the evidence must be bound to: user data of a Nitro document, report data of the others
    /// (64 bytes)
    #[arg(long, value_name = "HEX", value_parser = parse::hex_bytes, conflicts_with = "record")]
    pub binding: Option<parse::Bytes>,

    /// The nonce that a Nitro document must carry
    #[arg(long, value_name = "HEX", value_parser = parse::hex_bytes, conflicts_with = "record")]
    pub nonce: Option<parse::Bytes>,

    /// Trust a development TEE's own root, by its SHA-256 fingerprint, instead of the vendors' roots:
    /// whoever runs such a TEE can read what is sent to it
    #[arg(long, value_name = "HEX", value_parser = parse::fingerprint)]
    pub danger_development_root: Option<[u8; 32]>,
}

/// Show what evidence says, without judging it
///
/// Measurements, flags, certificates' validity and everything else the evidence holds. No signature,
/// root or time is checked.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  zkpass attest inspect --platform nitro --evidence doc.cose
  zkpass attest inspect --platform sev-snp --evidence report.bin --vek vcek.der --json")]
pub struct AttestInspect {
    #[command(flatten)]
    pub files: Files,
}

/// Show a kept record: which enclave, which keys, which evidence, when
///
/// Nothing is verified; `zkpass attest verify RECORD.json --policy POLICY.toml` does that.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  zkpass attest show proof.jws.evidence.json")]
pub struct AttestShow {
    /// The record
    #[arg(value_name = "RECORD.json")]
    pub record: Input,
}

/// Write a policy that accepts what evidence shows
///
/// A start for a policy of one's own: compare the measurements with those of a build you trust before
/// you use it. The evidence is not verified.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  zkpass attest policy --platform nitro --evidence doc.cose --out policy.toml
  zkpass attest policy service.evidence.json --name 'zkpass-enclave 0.1.0' --out -")]
pub struct AttestPolicy {
    #[command(flatten)]
    pub files: Files,

    /// Name of the measurement
    #[arg(long, value_name = "NAME", default_value = "pinned")]
    pub name: String,

    /// Where to write the policy
    #[arg(long, value_name = "POLICY.toml")]
    pub out: Output,
}

/// Ask a service for evidence and keep it, unverified
///
/// Sends a fresh nonce and nothing else.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  zkpass attest fetch --url https://zkpass.example --out service.evidence.json")]
pub struct AttestFetch {
    /// The service
    #[arg(long, value_name = "URL")]
    pub url: String,

    /// The enclave, where the service has several; the first unless given
    #[arg(long, value_name = "ENCLAVE_ID")]
    pub enclave: Option<String>,

    /// Where to write the record
    #[arg(long, value_name = "RECORD.json")]
    pub out: PathBuf,
}

/// Compute what a development TEE measures, and write a policy that accepts it
///
/// PCR0 is over the enclave program, PCR1 over its arguments, PCR2 over its confinement. Without
/// --program it is the enclave that `zkpass serve` starts, which is this program.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  zkpass attest measure --out policy.toml
  zkpass attest measure --program /usr/local/bin/zkpass-enclave -- --provers 2
  zkpass attest measure --simulate tdx --json")]
pub struct AttestMeasure {
    /// The enclave program
    #[arg(long, value_name = "PROGRAM")]
    pub program: Option<PathBuf>,

    #[command(flatten)]
    pub tee: DevelopmentTee,

    /// Where to write a policy that accepts this enclave
    #[arg(long, value_name = "POLICY.toml")]
    pub out: Option<PathBuf>,

    /// The enclave's arguments
    #[arg(last = true, value_name = "ARGUMENT", requires = "program")]
    pub arguments: Vec<OsString>,
}

/// The development TEE's choices.
#[derive(Args, Clone, Copy, Debug)]
pub struct DevelopmentTee {
    /// The platform in whose layout the development TEE signs evidence
    #[arg(long, value_enum, value_name = "PLATFORM", default_value_t = PlatformArg::Nitro)]
    pub simulate: PlatformArg,

    /// Start the enclave without namespaces, Landlock and seccomp where the system has none; its
    /// measurement shows it
    #[arg(long)]
    pub danger_unconfined: bool,
}
