//! The attestation report as AMD's SEV-SNP ABI specification (document 56860) lays it out,
//! and the terms that it uses. Numbers are little-endian.

use serde::Serialize;

use super::error::{SevSnpError, TcbComponent};
use crate::policy::TcbVersion;

/// Length of a report in bytes (ABI specification, ATTESTATION_REPORT).
pub const REPORT_BYTES: usize = 0x4A0;

/// How many of its first bytes are signed.
const SIGNED_BYTES: usize = 0x2A0;

/// Largest endorsements in bytes: a table of four certificates takes two pages of 4 KiB.
pub const MAX_ENDORSEMENT_BYTES: usize = 64 * 1024;

/// Bytes of r and of s in the signature, and how many of them P-384 uses.
const SCALAR_FIELD: usize = 72;
const SCALAR: usize = 48;

/// A report, taken apart and not judged.
pub(super) struct Report<'a> {
    /// The bytes that are signed.
    pub signed: &'a [u8],
    pub version: u32,
    pub guest_svn: u32,
    pub policy: GuestPolicy,
    pub family_id: [u8; 16],
    pub image_id: [u8; 16],
    pub vmpl: u32,
    pub signature_algorithm: u32,
    pub current_tcb: [u8; 8],
    pub platform_info: u64,
    pub signer: SignerInfo,
    pub report_data: [u8; 64],
    pub measurement: [u8; 48],
    pub host_data: [u8; 32],
    pub id_key_digest: [u8; 48],
    pub author_key_digest: [u8; 48],
    pub reported_tcb: [u8; 8],
    /// Family and model of the processor; since version 3.
    pub cpuid: Option<(u8, u8)>,
    pub chip_id: [u8; 64],
    pub committed_tcb: [u8; 8],
    pub launch_tcb: [u8; 8],
    signature_r: [u8; SCALAR_FIELD],
    signature_s: [u8; SCALAR_FIELD],
    signature_padding: &'a [u8],
}

impl<'a> Report<'a> {
    /// Takes a report apart. Only its length can be wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SevSnpError> {
        let wrong = || SevSnpError::ReportLength(bytes.len());
        let bytes: &[u8; REPORT_BYTES] = bytes.try_into().map_err(|_| wrong())?;
        Self::fields(bytes).ok_or_else(wrong)
    }

    fn fields(bytes: &'a [u8; REPORT_BYTES]) -> Option<Self> {
        let (signed, _) = bytes.split_at_checked(SIGNED_BYTES)?;
        let mut fields = Fields(bytes);
        let version = fields.u32()?; // 0x000
        let guest_svn = fields.u32()?; // 0x004
        let policy = GuestPolicy(fields.u64()?); // 0x008
        let family_id = fields.take()?; // 0x010
        let image_id = fields.take()?; // 0x020
        let vmpl = fields.u32()?; // 0x030
        let signature_algorithm = fields.u32()?; // 0x034
        let current_tcb = fields.take()?; // 0x038
        let platform_info = fields.u64()?; // 0x040
        let signer = SignerInfo(fields.u32()?); // 0x048
        fields.take::<4>()?; // 0x04C: reserved
        let report_data = fields.take()?; // 0x050
        let measurement = fields.take()?; // 0x090
        let host_data = fields.take()?; // 0x0C0
        let id_key_digest = fields.take()?; // 0x0E0
        let author_key_digest = fields.take()?; // 0x110
        fields.take::<64>()?; // 0x140: REPORT_ID, REPORT_ID_MA
        let reported_tcb = fields.take()?; // 0x180
        let [family, model] = fields.take()?; // 0x188: reserved before version 3
        fields.take::<22>()?; // 0x18A: CPUID_STEP, reserved
        let chip_id = fields.take()?; // 0x1A0
        let committed_tcb = fields.take()?; // 0x1E0
        fields.take::<8>()?; // 0x1E8: firmware versions, current and committed
        let launch_tcb = fields.take()?; // 0x1F0
        fields.take::<168>()?; // 0x1F8: mitigation vectors (version 5), reserved
        let signature_r = fields.take()?; // 0x2A0
        let signature_s = fields.take()?; // 0x2E8
        Some(Self {
            signed,
            version,
            guest_svn,
            policy,
            family_id,
            image_id,
            vmpl,
            signature_algorithm,
            current_tcb,
            platform_info,
            signer,
            report_data,
            measurement,
            host_data,
            id_key_digest,
            author_key_digest,
            reported_tcb,
            cpuid: (version >= 3).then_some((family, model)),
            chip_id,
            committed_tcb,
            launch_tcb,
            signature_r,
            signature_s,
            signature_padding: fields.0, // 0x330
        })
    }

    /// The product that CPUID names, if the report has it and it is known.
    pub fn product(&self) -> Option<Product> {
        Product::from_cpuid(self.cpuid?)
    }

    /// r and s, big-endian.
    pub fn signature(&self) -> Result<[[u8; SCALAR]; 2], SevSnpError> {
        if self.signature_padding.iter().any(|byte| *byte != 0) {
            return Err(SevSnpError::SignaturePadding);
        }
        Ok([scalar(&self.signature_r)?, scalar(&self.signature_s)?])
    }
}

/// A number of the signature: the upper bytes of its field must be zero.
fn scalar(field: &[u8; SCALAR_FIELD]) -> Result<[u8; SCALAR], SevSnpError> {
    let out_of_range = SevSnpError::SignatureRange;
    let Some((low, high)) = field.split_first_chunk::<SCALAR>() else {
        return Err(out_of_range);
    };
    if high.iter().any(|byte| *byte != 0) {
        return Err(out_of_range);
    }
    let mut scalar = *low;
    scalar.reverse();
    Ok(scalar)
}

/// What is left of a report.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

/// The guest policy (ABI specification, "Guest Policy").
#[derive(Clone, Copy)]
pub(super) struct GuestPolicy(pub u64);

impl GuestPolicy {
    fn bit(self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }

    /// Bit 17 must be one and bits 26 and up zero. What a new bit would permit is not known.
    pub fn reserved_is_right(self) -> bool {
        self.bit(17) && self.0 >> 26 == 0
    }

    pub fn smt(self) -> bool {
        self.bit(16)
    }

    pub fn migration_agent(self) -> bool {
        self.bit(18)
    }

    pub fn debug(self) -> bool {
        self.bit(19)
    }

    pub fn facts(self) -> GuestPolicyFacts {
        let [minor, major, ..] = self.0.to_le_bytes();
        GuestPolicyFacts {
            raw: format!("0x{:x}", self.0),
            abi_major: major,
            abi_minor: minor,
            smt: self.smt(),
            migration_agent: self.migration_agent(),
            debug: self.debug(),
            single_socket: self.bit(20),
            cxl: self.bit(21),
            memory_aes_256_xts: self.bit(22),
            rapl_disabled: self.bit(23),
            ciphertext_hiding: self.bit(24),
            page_swap_disabled: self.bit(25),
        }
    }
}

/// A guest policy: what the guest permits or demands.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct GuestPolicyFacts {
    /// All of it, in hexadecimal.
    pub raw: String,
    /// Lowest major version of the firmware's ABI.
    pub abi_major: u8,
    /// Lowest minor version of the firmware's ABI.
    pub abi_minor: u8,
    /// Simultaneous multithreading may be on.
    pub smt: bool,
    /// A migration agent may be associated.
    pub migration_agent: bool,
    /// The host may read and change the guest.
    pub debug: bool,
    /// The guest runs on one socket only.
    pub single_socket: bool,
    /// CXL devices may be there.
    pub cxl: bool,
    /// Memory must be encrypted with AES-256-XTS.
    pub memory_aes_256_xts: bool,
    /// Running average power limit must be off.
    pub rapl_disabled: bool,
    /// Ciphertext must be hidden from the host.
    pub ciphertext_hiding: bool,
    /// Guest pages must not be swapped.
    pub page_swap_disabled: bool,
}

/// The field at 0x48: which key signed, and two bits.
#[derive(Clone, Copy)]
pub(super) struct SignerInfo(u32);

impl SignerInfo {
    pub fn author_key(self) -> bool {
        self.0 & 1 == 1
    }

    pub fn chip_key_masked(self) -> bool {
        self.0 >> 1 & 1 == 1
    }

    pub fn reserved_is_right(self) -> bool {
        self.0 >> 5 == 0
    }

    pub fn signing_key(self) -> SigningKey {
        match self.0 >> 2 & 7 {
            0 => SigningKey::Vcek,
            1 => SigningKey::Vlek,
            7 => SigningKey::None,
            2 => SigningKey::Reserved(2),
            3 => SigningKey::Reserved(3),
            4 => SigningKey::Reserved(4),
            5 => SigningKey::Reserved(5),
            _ => SigningKey::Reserved(6),
        }
    }
}

/// Which key a report says it is signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SigningKey {
    /// The chip's own key.
    Vcek,
    /// A key that the cloud provider loaded.
    Vlek,
    /// None.
    None,
    /// A value without a meaning.
    Reserved(u8),
}

/// A family of processors with its own chain of certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Product {
    /// EPYC 7003.
    Milan,
    /// EPYC 9004 and 8004: Genoa, Bergamo, Siena.
    Genoa,
    /// EPYC 9005.
    Turin,
}

impl Product {
    /// By its name in certificates.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "Milan" => Some(Self::Milan),
            "Genoa" => Some(Self::Genoa),
            "Turin" => Some(Self::Turin),
            _ => None,
        }
    }

    /// By CPUID_FAM_ID and CPUID_MOD_ID, both combined with their extensions.
    fn from_cpuid(family_and_model: (u8, u8)) -> Option<Self> {
        match family_and_model {
            (0x19, 0x00..=0x0F) => Some(Self::Milan),
            (0x19, 0x10..=0x1F | 0xA0..=0xAF) => Some(Self::Genoa),
            (0x1A, 0x00..=0x1F) => Some(Self::Turin),
            _ => None,
        }
    }

    /// What the bytes of TCB_VERSION mean (ABI specification, TCB_VERSION).
    pub(super) fn tcb_layout(self) -> [TcbComponent; 8] {
        use TcbComponent::{Bootloader, Fmc, Microcode, Reserved, Snp, Tee};
        match self {
            Self::Milan | Self::Genoa => [
                Bootloader, Tee, Reserved, Reserved, Reserved, Reserved, Snp, Microcode,
            ],
            Self::Turin => [
                Fmc, Bootloader, Tee, Snp, Reserved, Reserved, Reserved, Microcode,
            ],
        }
    }

    /// Reads TCB_VERSION.
    pub(super) fn tcb(self, raw: [u8; 8]) -> TcbVersion {
        match self {
            Self::Milan | Self::Genoa => {
                let [bootloader, tee, _, _, _, _, snp, microcode] = raw;
                TcbVersion {
                    fmc: 0,
                    bootloader,
                    tee,
                    snp,
                    microcode,
                }
            }
            Self::Turin => {
                let [fmc, bootloader, tee, snp, _, _, _, microcode] = raw;
                TcbVersion {
                    fmc,
                    bootloader,
                    tee,
                    snp,
                    microcode,
                }
            }
        }
    }
}
