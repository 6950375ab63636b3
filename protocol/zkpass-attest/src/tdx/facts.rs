//! What a quote says.

use dcap_qvl::{intel::PckExtension, quote::Report};
use serde::Serialize;

use super::{
    TdxError,
    collateral::Collateral,
    quote::{ParsedQuote, base, is_debug},
};
use crate::format::Hex;

/// What a quote says. Byte strings serialise as lower-case hexadecimal.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Facts {
    /// Version of the quote format, 4 or 5.
    pub quote_version: u16,
    /// TEE_TCB_SVN: security versions of the TDX module at launch.
    pub tee_tcb_svn: Hex<[u8; 16]>,
    /// MRSEAM: the TDX module.
    pub mrseam: Hex<[u8; 48]>,
    /// MRSIGNERSEAM: its signer; zero for Intel's.
    pub mrsignerseam: Hex<[u8; 48]>,
    /// SEAMATTRIBUTES.
    pub seamattributes: Hex<[u8; 8]>,
    /// TDATTRIBUTES, little-endian.
    pub tdattributes: Hex<[u8; 8]>,
    /// TDATTRIBUTES.DEBUG: the host can read the TD.
    pub debug: bool,
    /// XFAM: the processor features of the TD.
    pub xfam: Hex<[u8; 8]>,
    /// MRTD: what was loaded before the TD started.
    pub mrtd: Hex<[u8; 48]>,
    /// MRCONFIGID.
    pub mrconfigid: Hex<[u8; 48]>,
    /// MROWNER.
    pub mrowner: Hex<[u8; 48]>,
    /// MROWNERCONFIG.
    pub mrownerconfig: Hex<[u8; 48]>,
    /// RTMR0.
    pub rtmr0: Hex<[u8; 48]>,
    /// RTMR1.
    pub rtmr1: Hex<[u8; 48]>,
    /// RTMR2.
    pub rtmr2: Hex<[u8; 48]>,
    /// RTMR3.
    pub rtmr3: Hex<[u8; 48]>,
    /// REPORTDATA.
    pub reportdata: Hex<[u8; 64]>,
    /// What TDX 1.5 added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tdx_1_5: Option<Tdx15Facts>,
    /// What the extended report of TDX 1.5 added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tdx_1_5_extended: Option<Tdx15ExtendedFacts>,
    /// What the PCK certificate says of the platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_certificate: Option<PlatformFacts>,
    /// When the TCB info holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collateral: Option<CollateralFacts>,
    /// How the platform compares to the TCB info; only after verification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcb: Option<TcbFacts>,
}

/// What a report of TDX 1.5 says more.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Tdx15Facts {
    /// TEE_TCB_SVN2: security versions of the TDX module that runs now.
    pub tee_tcb_svn2: Hex<[u8; 16]>,
    /// MRSERVICETD: the service TDs bound to it.
    pub mrservicetd: Hex<[u8; 48]>,
}

/// What an extended report of TDX 1.5 says more.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Tdx15ExtendedFacts {
    /// Index of the partition; 0 without partitions.
    pub vmid: u8,
    /// An identifier of this launch of the TD.
    pub td_id: Hex<[u8; 32]>,
    /// Hash of the information on attached devices.
    pub dev_info: Hex<[u8; 48]>,
    /// The service TDs bound at creation.
    pub init_service_td_hash: Hex<[u8; 48]>,
    /// The service TDs bound now.
    pub cur_service_td_hash: Hex<[u8; 48]>,
}

/// What a PCK certificate says.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PlatformFacts {
    /// The family, model and stepping of the processor.
    pub fmspc: Hex<[u8; 6]>,
    /// The platform's identifier.
    pub ppid: Hex<Vec<u8>>,
    /// Security versions of its parts.
    pub cpu_svn: Hex<[u8; 16]>,
    /// Security version of the provisioning enclave.
    pub pce_svn: u16,
}

/// When collateral holds; unverified until a quote was verified with it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct CollateralFacts {
    /// Unix time in seconds at which the TCB info was issued.
    pub tcb_info_issued: i64,
    /// Unix time in seconds of the last second at which it holds.
    pub tcb_info_next_update: i64,
    /// Number of the evaluation that set its levels.
    pub tcb_evaluation_data_number: u32,
}

/// How the platform compares to the TCB info.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TcbFacts {
    /// The status as Intel spells it.
    pub status: String,
    /// The advisories that apply.
    pub advisory_ids: Vec<String>,
}

impl Facts {
    pub(super) fn of(
        parsed: &ParsedQuote,
        platform: Option<PckExtension>,
        collateral: Option<&Collateral>,
    ) -> Result<Self, TdxError> {
        let report = parsed.report();
        let td = base(report)?;
        Ok(Self {
            quote_version: parsed.quote.header.version,
            tee_tcb_svn: Hex(td.tee_tcb_svn),
            mrseam: Hex(td.mr_seam),
            mrsignerseam: Hex(td.mr_signer_seam),
            seamattributes: Hex(td.seam_attributes),
            tdattributes: Hex(td.td_attributes),
            debug: is_debug(td),
            xfam: Hex(td.xfam),
            mrtd: Hex(td.mr_td),
            mrconfigid: Hex(td.mr_config_id),
            mrowner: Hex(td.mr_owner),
            mrownerconfig: Hex(td.mr_owner_config),
            rtmr0: Hex(td.rt_mr0),
            rtmr1: Hex(td.rt_mr1),
            rtmr2: Hex(td.rt_mr2),
            rtmr3: Hex(td.rt_mr3),
            reportdata: Hex(td.report_data),
            tdx_1_5: Tdx15Facts::of(report),
            tdx_1_5_extended: Tdx15ExtendedFacts::of(report),
            platform_certificate: platform.map(|platform| PlatformFacts {
                fmspc: Hex(platform.fmspc),
                ppid: Hex(platform.ppid),
                cpu_svn: Hex(platform.cpu_svn),
                pce_svn: platform.pce_svn,
            }),
            collateral: collateral.map(|collateral| CollateralFacts {
                tcb_info_issued: collateral.tcb_info_window.first,
                tcb_info_next_update: collateral.tcb_info_window.last,
                tcb_evaluation_data_number: collateral.tcb_info.tcb_evaluation_data_number,
            }),
            tcb: None,
        })
    }
}

impl Tdx15Facts {
    fn of(report: &Report) -> Option<Self> {
        let td = report.as_td15()?;
        Some(Self {
            tee_tcb_svn2: Hex(td.tee_tcb_svn2),
            mrservicetd: Hex(td.mr_service_td),
        })
    }
}

impl Tdx15ExtendedFacts {
    fn of(report: &Report) -> Option<Self> {
        let td = report.as_td15_ex()?;
        Some(Self {
            vmid: td.vmid,
            td_id: Hex(td.td_id),
            dev_info: Hex(td.dev_info),
            init_service_td_hash: Hex(td.init_service_td_hash),
            cur_service_td_hash: Hex(td.cur_service_td_hash),
        })
    }
}
