//! What Intel would publish about a platform (Intel PCS API, version 4).

use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zkpass_core::{date::Date, encoding::hex};

use super::{Lifetime, TdxRootError};

/// The family of processors: no genuine one, "dev" in ASCII.
pub(super) const FMSPC: [u8; 6] = *b"dev\0\0\0";
/// Security versions of the platform's parts.
pub(super) const CPU_SVN: [u8; 16] = [4, 4, 2, 2, 4, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
pub(super) const PCE_SVN: u8 = 11;
/// Those of its TDX module: number 5 of generation 1.
pub(super) const TEE_TCB_SVN: [u8; 16] = [5, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// The quoting enclave.
pub(super) const QE_ATTRIBUTES: [u8; 16] = [0x15, 0, 0, 0, 0, 0, 0, 0, 0xe7, 0, 0, 0, 0, 0, 0, 0];
pub(super) const QE_PRODUCT: u16 = 2;
pub(super) const QE_SVN: u16 = 8;

/// Who signed the quoting enclave: nobody, and so not Intel.
pub(super) fn qe_signer() -> [u8; 32] {
    Sha256::digest(b"signer of the zkPass development quoting enclave").into()
}

pub(super) struct Published {
    pub(super) pck_crl_issuer_chain: String,
    pub(super) root_crl: Vec<u8>,
    pub(super) pck_crl: Vec<u8>,
    pub(super) signer_chain: String,
    pub(super) tcb_info: String,
    pub(super) qe_identity: String,
    pub(super) signer: SigningKey,
}

impl Published {
    pub(super) fn json(&self, tcb_info: &str, qe_identity: &str) -> Vec<u8> {
        json!({
            "pck_crl_issuer_chain": self.pck_crl_issuer_chain,
            "root_ca_crl": hex(&self.root_crl),
            "pck_crl": hex(&self.pck_crl),
            "tcb_info_issuer_chain": self.signer_chain,
            "tcb_info": tcb_info,
            "tcb_info_signature": self.sign(tcb_info),
            "qe_identity_issuer_chain": self.signer_chain,
            "qe_identity": qe_identity,
            "qe_identity_signature": self.sign(qe_identity),
        })
        .to_string()
        .into_bytes()
    }

    fn sign(&self, text: &str) -> String {
        let signature: Signature = self.signer.sign(text.as_bytes());
        hex(&signature.to_bytes())
    }
}

/// TCB info with two levels: the platform's own, and all below, out of date.
pub(super) fn tcb_info(life: Lifetime) -> Result<String, TdxRootError> {
    let zeros = "00".repeat(48);
    let (attributes, mask) = ("0000000000000000", "FFFFFFFFFFFFFFFF");
    let [module_svn, ..] = TEE_TCB_SVN;
    let components = |svns: [u8; 16]| svns.map(|svn| json!({ "svn": svn })).to_vec();
    let level = |sgx, pce: u8, tdx, status: &str| {
        json!({
            "tcb": {
                "sgxtcbcomponents": components(sgx),
                "pcesvn": pce,
                "tdxtcbcomponents": components(tdx),
            },
            "tcbDate": TCB_DATE,
            "tcbStatus": status,
        })
    };
    let info = json!({
        "id": "TDX",
        "version": 3,
        "issueDate": date_time(life.first)?,
        "nextUpdate": date_time(life.last)?,
        "fmspc": hex(&FMSPC).to_uppercase(),
        "pceId": "0000",
        "tcbType": 0,
        "tcbEvaluationDataNumber": EVALUATION,
        "tdxModule": { "mrsigner": zeros, "attributes": attributes, "attributesMask": mask },
        "tdxModuleIdentities": [{
            "id": "TDX_01",
            "mrsigner": zeros,
            "attributes": attributes,
            "attributesMask": mask,
            "tcbLevels": [{
                "tcb": { "isvsvn": module_svn },
                "tcbDate": TCB_DATE,
                "tcbStatus": "UpToDate",
            }],
        }],
        "tcbLevels": [
            level(CPU_SVN, PCE_SVN, TEE_TCB_SVN, "UpToDate"),
            level([0; 16], 0, [0; 16], "OutOfDate"),
        ],
    });
    Ok(info.to_string())
}

/// The identity of the quoting enclave.
pub(super) fn qe_identity(life: Lifetime) -> Result<String, TdxRootError> {
    let upper = |bytes: &[u8]| Value::from(hex(bytes).to_uppercase());
    let identity = json!({
        "id": "TD_QE",
        "version": 2,
        "issueDate": date_time(life.first)?,
        "nextUpdate": date_time(life.last)?,
        "tcbEvaluationDataNumber": EVALUATION,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": "11000000000000000000000000000000",
        "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
        "mrsigner": upper(&qe_signer()),
        "isvprodid": QE_PRODUCT,
        "tcbLevels": [{
            "tcb": { "isvsvn": QE_SVN },
            "tcbDate": TCB_DATE,
            "tcbStatus": "UpToDate",
        }],
    });
    Ok(identity.to_string())
}

const EVALUATION: u32 = 1;
const TCB_DATE: &str = "2025-01-01T00:00:00Z";

/// `YYYY-MM-DDTHH:MM:SSZ`.
fn date_time(seconds: i64) -> Result<String, TdxRootError> {
    let date = Date::from_unix_seconds(seconds).ok_or(TdxRootError::TimeOutOfRange)?;
    let (year, month, day) = (date.year(), date.month(), date.day());
    let clock = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    Ok(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
    ))
}
