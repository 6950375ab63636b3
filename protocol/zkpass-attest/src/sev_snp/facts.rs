//! What a report and its endorsement say, for people and logs.

use serde::Serialize;

use super::{
    certificate::Certificate,
    chain::VekExtensions,
    error::{Role, SevSnpError},
    report::{GuestPolicyFacts, Product, Report, SigningKey},
};
use crate::{format::Hex, policy::TcbVersion};

/// What a report says, and what its endorsement key's certificate says if it is there.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Facts {
    /// Version of the report's layout.
    pub version: u32,
    /// The processor, if it is known: from the chain, else as the report says.
    pub product: Option<Product>,
    /// Virtual machine privilege level that asked; 4294967295: the host.
    pub vmpl: u32,
    /// Security version of the guest.
    pub guest_svn: u32,
    /// What the guest permits or demands.
    pub policy: GuestPolicyFacts,
    /// FAMILY_ID.
    pub family_id: Hex<[u8; 16]>,
    /// IMAGE_ID.
    pub image_id: Hex<[u8; 16]>,
    /// Which key signed.
    pub signing_key: SigningKey,
    /// Whether the host masked the chip's own key.
    pub chip_key_masked: bool,
    /// Whether an author key certified the key of the ID block.
    pub author_key: bool,
    /// Settings of the platform.
    pub platform_info: PlatformInfo,
    /// REPORT_DATA.
    pub report_data: Hex<[u8; 64]>,
    /// MEASUREMENT: the launch digest.
    pub measurement: Hex<[u8; 48]>,
    /// HOST_DATA.
    pub host_data: Hex<[u8; 32]>,
    /// ID_KEY_DIGEST.
    pub id_key_digest: Hex<[u8; 48]>,
    /// AUTHOR_KEY_DIGEST.
    pub author_key_digest: Hex<[u8; 48]>,
    /// CHIP_ID; zero if the host masked it.
    pub chip_id: Hex<[u8; 64]>,
    /// REPORTED_TCB: what the host reports, and what the endorsement key is made for.
    pub reported_tcb: Tcb,
    /// CURRENT_TCB.
    pub current_tcb: Tcb,
    /// COMMITTED_TCB: what the host can no longer go below.
    pub committed_tcb: Tcb,
    /// LAUNCH_TCB: the current one when the guest was started.
    pub launch_tcb: Tcb,
    /// The endorsement key's certificate.
    pub endorsement: Option<Endorsement>,
}

/// PLATFORM_INFO.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PlatformInfo {
    /// All of it, in hexadecimal.
    pub raw: String,
    /// Simultaneous multithreading is on.
    pub smt: bool,
    /// Transparent memory encryption is on.
    pub tsme: bool,
    /// Memory has error correction.
    pub ecc: bool,
    /// Running average power limit is off.
    pub rapl_disabled: bool,
    /// Ciphertext is hidden from the host.
    pub ciphertext_hiding: bool,
    /// Memory was checked for aliases since the last reset.
    pub alias_check_complete: bool,
}

impl PlatformInfo {
    fn new(raw: u64) -> Self {
        let bit = |number: u32| raw >> number & 1 == 1;
        Self {
            raw: format!("0x{raw:x}"),
            smt: bit(0),
            tsme: bit(1),
            ecc: bit(2),
            rapl_disabled: bit(3),
            ciphertext_hiding: bit(4),
            alias_check_complete: bit(5),
        }
    }
}

/// TCB_VERSION.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Tcb {
    /// Its bytes as they stand in the report.
    pub raw: Hex<[u8; 8]>,
    /// The security versions, if the product is known.
    pub versions: Option<TcbVersion>,
}

impl Tcb {
    fn new(raw: [u8; 8], product: Option<Product>) -> Self {
        Self {
            raw: Hex(raw),
            versions: product.map(|product| product.tcb(raw)),
        }
    }
}

/// What the certificate of an endorsement key says.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Endorsement {
    /// Unix time in seconds of its first second.
    pub not_before: i64,
    /// Unix time in seconds of its last second.
    pub not_after: i64,
    /// The product it was issued for, such as `Milan-B0`.
    pub product_name: String,
    /// The chip it was issued for, of a VCEK.
    pub hardware_id: Option<Hex<Vec<u8>>>,
    /// The cloud provider it was issued for, of a VLEK.
    pub csp_id: Option<String>,
    /// The TCB it was issued for, if the product is known.
    pub tcb: Option<TcbVersion>,
}

impl Endorsement {
    /// Reads it from a certificate in DER.
    pub(super) fn read(role: Role, der: &[u8]) -> Result<(Self, Option<Product>), SevSnpError> {
        let certificate = Certificate::read(role, der)?;
        let extensions = VekExtensions::read(&certificate)?;
        let endorsement = Self::new(&extensions, certificate.validity());
        Ok((endorsement, extensions.product()))
    }

    pub(super) fn new(extensions: &VekExtensions, (not_before, not_after): (i64, i64)) -> Self {
        let product = extensions.product();
        Self {
            not_before,
            not_after,
            product_name: extensions.product_name.clone(),
            hardware_id: extensions.hardware_id.clone().map(Hex),
            csp_id: extensions.csp_id.clone(),
            tcb: product.map(|product| product.tcb(extensions.tcb(product))),
        }
    }
}

impl Facts {
    pub(super) fn new(
        report: &Report<'_>,
        product: Option<Product>,
        endorsement: Option<Endorsement>,
    ) -> Self {
        let tcb = |raw| Tcb::new(raw, product);
        Self {
            version: report.version,
            product,
            vmpl: report.vmpl,
            guest_svn: report.guest_svn,
            policy: report.policy.facts(),
            family_id: Hex(report.family_id),
            image_id: Hex(report.image_id),
            signing_key: report.signer.signing_key(),
            chip_key_masked: report.signer.chip_key_masked(),
            author_key: report.signer.author_key(),
            platform_info: PlatformInfo::new(report.platform_info),
            report_data: Hex(report.report_data),
            measurement: Hex(report.measurement),
            host_data: Hex(report.host_data),
            id_key_digest: Hex(report.id_key_digest),
            author_key_digest: Hex(report.author_key_digest),
            chip_id: Hex(report.chip_id),
            reported_tcb: tcb(report.reported_tcb),
            current_tcb: tcb(report.current_tcb),
            committed_tcb: tcb(report.committed_tcb),
            launch_tcb: tcb(report.launch_tcb),
            endorsement,
        }
    }
}
