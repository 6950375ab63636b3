//! The layout of a quote (Intel TDX DCAP Quoting Library API, "TD Quote Format").

use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use sha2::{Digest, Sha256};

use super::collateral;

const VERSION: u16 = 4;
const ECDSA_P256: u16 = 2;
const TEE_TYPE_TDX: u32 = 0x81;
const QE_REPORT_CERTIFICATION: u16 = 6;
const PCK_CHAIN: u16 = 5;
/// The vendor of the quoting enclave, part of the format: Intel.
const QE_VENDOR: [u8; 16] = [
    0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07,
];
/// Length of what a quoting enclave adds to its attestation key.
const QE_AUTHENTICATION: u8 = 32;

/// What a TD, its owner and the TDX module put into a quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TdxQuoteFields {
    /// TEE_TCB_SVN: security versions of the TDX module.
    pub tee_tcb_svn: [u8; 16],
    /// MRSEAM: the TDX module.
    pub mrseam: [u8; 48],
    /// MRSIGNERSEAM: its signer; zero for Intel's.
    pub mrsignerseam: [u8; 48],
    /// SEAMATTRIBUTES.
    pub seam_attributes: [u8; 8],
    /// TDATTRIBUTES, little-endian; bit 0 is debug.
    pub td_attributes: [u8; 8],
    /// XFAM: the processor features of the TD.
    pub xfam: [u8; 8],
    /// MRTD: what was loaded before the TD started.
    pub mrtd: [u8; 48],
    /// MRCONFIGID.
    pub mrconfigid: [u8; 48],
    /// MROWNER.
    pub mrowner: [u8; 48],
    /// MROWNERCONFIG.
    pub mrownerconfig: [u8; 48],
    /// RTMR0 to RTMR3: what the TD extended since.
    pub rtmrs: [[u8; 48]; 4],
    /// REPORTDATA.
    pub report_data: [u8; 64],
}

impl TdxQuoteFields {
    /// Those of a production TD on a platform that is up to date; what is not
    /// given is zero.
    pub fn new(mrtd: [u8; 48], report_data: [u8; 64]) -> Self {
        Self {
            tee_tcb_svn: collateral::TEE_TCB_SVN,
            mrseam: [0; 48],
            mrsignerseam: [0; 48],
            seam_attributes: [0; 8],
            // SEPT_VE_DISABLE, bit 28.
            td_attributes: [0, 0, 0, 0x10, 0, 0, 0, 0],
            xfam: [0xe7, 0x02, 0x06, 0, 0, 0, 0, 0],
            mrtd,
            mrconfigid: [0; 48],
            mrowner: [0; 48],
            mrownerconfig: [0; 48],
            rtmrs: [[0; 48]; 4],
            report_data,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        [
            self.tee_tcb_svn.as_slice(),
            &self.mrseam,
            &self.mrsignerseam,
            &self.seam_attributes,
            &self.td_attributes,
            &self.xfam,
            &self.mrtd,
            &self.mrconfigid,
            &self.mrowner,
            &self.mrownerconfig,
            self.rtmrs.as_flattened(),
            &self.report_data,
        ]
        .concat()
    }
}

/// Signs quotes with a key that the PCK vouches for.
pub(super) struct QuotingEnclave {
    attestation_key: SigningKey,
    /// All that follows the signature of a quote.
    vouching: Vec<u8>,
}

impl QuotingEnclave {
    pub(super) fn new(attestation_key: SigningKey, pck: &SigningKey, pck_chain: String) -> Self {
        let point = attestation_key.verifying_key().to_sec1_point(false);
        // Without the tag of an uncompressed point.
        let public_key = point.as_bytes().get(1..).unwrap_or_default();
        // Intel's adds the bytes 0 to 31.
        let authentication: Vec<u8> = (0..QE_AUTHENTICATION).collect();
        let bound = Sha256::digest([public_key, &authentication].concat());
        let report = report(&bound.into());
        let signature: Signature = pck.sign(&report);
        // The chain ends in a zero byte, as Intel's does.
        let chain = pck_chain.into_bytes();
        let certification = [
            report.as_slice(),
            &signature.to_bytes(),
            &u16::from(QE_AUTHENTICATION).to_le_bytes(),
            &authentication,
            &certification_data(PCK_CHAIN, &[chain.as_slice(), &[0]].concat()),
        ]
        .concat();
        Self {
            vouching: [
                public_key,
                &certification_data(QE_REPORT_CERTIFICATION, &certification),
            ]
            .concat(),
            attestation_key,
        }
    }

    pub(super) fn quote(&self, fields: &TdxQuoteFields) -> Vec<u8> {
        let signed = [
            VERSION.to_le_bytes().as_slice(),
            &ECDSA_P256.to_le_bytes(),
            &TEE_TYPE_TDX.to_le_bytes(),
            &[0; 4],
            &QE_VENDOR,
            &[0; 20],
            &fields.bytes(),
        ]
        .concat();
        let signature: Signature = self.attestation_key.sign(&signed);
        let signature = [&signature.to_bytes(), self.vouching.as_slice()].concat();
        [signed.as_slice(), &length(&signature), &signature].concat()
    }
}

/// The report of the quoting enclave, an SGX report body of 384 bytes.
fn report(report_data: &[u8; 32]) -> Vec<u8> {
    let enclave: [u8; 32] = Sha256::digest(b"the zkPass development quoting enclave").into();
    [
        collateral::CPU_SVN.as_slice(),
        // MISCSELECT and reserved bytes.
        &[0; 32],
        &collateral::QE_ATTRIBUTES,
        &enclave,
        &[0; 32],
        &collateral::qe_signer(),
        &[0; 96],
        &collateral::QE_PRODUCT.to_le_bytes(),
        &collateral::QE_SVN.to_le_bytes(),
        &[0; 60],
        report_data,
        &[0; 32],
    ]
    .concat()
}

fn certification_data(kind: u16, data: &[u8]) -> Vec<u8> {
    [kind.to_le_bytes().as_slice(), &length(data), data].concat()
}

/// Quotes have a few thousand bytes.
fn length(data: &[u8]) -> [u8; 4] {
    u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes()
}
