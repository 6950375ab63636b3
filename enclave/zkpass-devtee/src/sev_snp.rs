//! AMD SEV-SNP: attestation reports and the certificates that endorse them.
//!
//! A root plays AMD: its ARK signs itself and its ASK. The ASK signs the
//! endorsement key (VCEK) of a chip in one state of its firmware, and that key
//! signs reports. The layouts are those of AMD's documents 56860 (firmware ABI),
//! 57230 (certificates) and 56421 (guest-host communication); the product is Milan.

pub mod forge;
mod x509;

use std::fmt;

use p384::ecdsa::{Signature, SigningKey, signature::Signer as _};
use rand_core::CryptoRng;
use rsa::{
    PrivateKey,
    pkcs8::{
        DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding,
        der::Document,
    },
    traits::PublicKeyParts as _,
};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

/// Length of a report in bytes.
pub const REPORT_BYTES: usize = 0x4A0;

/// How many of its first bytes are signed.
pub const SIGNED_BYTES: usize = 0x2A0;

/// Bits of the keys of a root.
const RSA_BITS: usize = 4096;

const ARK_NAME: &str = "ARK-Milan";
const ASK_NAME: &str = "SEV-Milan";

/// Label of a certificate in PEM.
const CERTIFICATE: &str = "CERTIFICATE";

const YEAR: i64 = 31_557_600;
const AUTHORITY_YEARS: i64 = 20;
const VCEK_YEARS: i64 = 7;

/// Family, model and stepping that a Milan processor shows in CPUID.
const MILAN_CPUID: [u8; 3] = [0x19, 0x01, 0x01];

/// Build, minor and major version of a Milan firmware, and a reserved byte.
const FIRMWARE: [u8; 4] = [29, 55, 1, 0];

// Identifiers of the certificate table's entries (document 56421, SNP Extended
// Guest Request), in the order of their digits.

/// The chip's endorsement key.
pub const VCEK_GUID: u128 = 0x63da758d_e664_4564_adc5_f4b93be8accd;
/// The cloud provider's endorsement key.
pub const VLEK_GUID: u128 = 0xa8074bc2_a25a_483e_aae6_39c045a0b8a1;
/// The key that signed either: ASK or ASVK.
pub const ASK_GUID: u128 = 0x4ab7b379_bbac_4fe4_a02f_05aef327c782;
/// The root.
pub const ARK_GUID: u128 = 0xc0b406a4_a803_4952_9743_3fb6014cd0ae;

/// Why there is no root, certificate or report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SnpError {
    /// No RSA key was found.
    #[error("no key could be made")]
    KeyGeneration,
    /// A text is not what [`SnpRoot::to_pem`] writes.
    #[error("the root is malformed")]
    MalformedRoot,
    /// A key has another size than AMD's.
    #[error("the root's keys do not have {RSA_BITS} bits")]
    KeySize,
    /// A certificate of the root belongs to another key.
    #[error("the root's certificates and keys do not belong together")]
    KeyMismatch,
    /// A time is before 1970 or after 9999.
    #[error("the time is out of range")]
    Time,
    /// Something could not be signed.
    #[error("signing failed")]
    Signing,
}

/// A self-made root in the place of AMD's: whoever has it can sign any report.
pub struct SnpRoot {
    ark: Authority,
    ask: Authority,
}

struct Authority {
    name: String,
    key: PrivateKey,
    certificate: Vec<u8>,
}

impl fmt::Debug for SnpRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnpRoot").finish_non_exhaustive()
    }
}

impl SnpRoot {
    /// Makes a root at the Unix time `now`, in seconds. Two RSA keys of 4096 bits
    /// are searched for, which takes seconds, and much longer without optimisation:
    /// keep the root with [`to_pem`](Self::to_pem).
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R, now: i64) -> Result<Self, SnpError> {
        let mut key = || PrivateKey::new(rng, RSA_BITS).map_err(|_| SnpError::KeyGeneration);
        let (ark, ask) = (key()?, key()?);
        Self::from_keys(ark, ask, rng, now)
    }

    fn from_keys<R: CryptoRng + ?Sized>(
        ark: PrivateKey,
        ask: PrivateKey,
        rng: &mut R,
        now: i64,
    ) -> Result<Self, SnpError> {
        let not_after = now.saturating_add(AUTHORITY_YEARS * YEAR);
        let ark_template = forge::Authority::new(ARK_NAME, None, now, not_after);
        let ask_template = forge::Authority::new(ASK_NAME, Some(0), now, not_after);
        let ark_certificate = ark_template.sign(&ark, ARK_NAME, &ark, rng)?;
        let ask_certificate = ask_template.sign(&ask, ARK_NAME, &ark, rng)?;
        Ok(Self {
            ark: Authority::new(ARK_NAME, ark, ark_certificate),
            ask: Authority::new(ASK_NAME, ask, ask_certificate),
        })
    }

    /// Both keys and their certificates: a secret.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, SnpError> {
        let mut text = Zeroizing::new(String::new());
        for authority in [&self.ark, &self.ask] {
            let key = authority.key.to_pkcs8_pem(LineEnding::LF);
            text.push_str(&key.map_err(|_| SnpError::MalformedRoot)?);
            let certificate = Document::try_from(authority.certificate.as_slice())
                .and_then(|document| document.to_pem(CERTIFICATE, LineEnding::LF));
            text.push_str(&certificate.map_err(|_| SnpError::MalformedRoot)?);
        }
        Ok(text)
    }

    /// Reads what [`to_pem`](Self::to_pem) wrote.
    pub fn from_pem(text: &str) -> Result<Self, SnpError> {
        let (ark, rest) = Authority::from_pem(ARK_NAME, text)?;
        let (ask, rest) = Authority::from_pem(ASK_NAME, rest)?;
        if rest.trim().is_empty() {
            Ok(Self { ark, ask })
        } else {
            Err(SnpError::MalformedRoot)
        }
    }

    /// SHA-256 of the ARK's certificate in DER: what those who trust this root name it by.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.ark.certificate).into()
    }

    /// Makes the endorsement key of a chip in one state of its firmware, at the
    /// Unix time `now`, in seconds.
    pub fn chip<R: CryptoRng + ?Sized>(
        &self,
        rng: &mut R,
        now: i64,
        chip_id: [u8; 64],
        tcb: SnpTcb,
    ) -> Result<SnpSigner, SnpError> {
        forge::Vek::vcek(now, &chip_id, tcb).issue(self, rng)
    }
}

impl Authority {
    fn new(name: &str, key: PrivateKey, certificate: Vec<u8>) -> Self {
        Self {
            name: name.to_owned(),
            key,
            certificate,
        }
    }

    /// Reads a key and its certificate, and says what follows them.
    fn from_pem<'a>(name: &str, text: &'a str) -> Result<(Self, &'a str), SnpError> {
        let malformed = SnpError::MalformedRoot;
        let (key, rest) = pem_block(text).ok_or(malformed)?;
        let key = PrivateKey::from_pkcs8_pem(key).map_err(|_| malformed)?;
        if key.n_bytes().len() * 8 != RSA_BITS {
            return Err(SnpError::KeySize);
        }
        let (certificate, rest) = pem_block(rest).ok_or(malformed)?;
        let (label, certificate) = Document::from_pem(certificate).map_err(|_| malformed)?;
        if label != CERTIFICATE {
            return Err(malformed);
        }
        let authority = Self::new(name, key, certificate.into_vec());
        let public_key = authority.public_key()?;
        let mut places = authority.certificate.windows(public_key.len());
        if places.any(|place| place == public_key) {
            Ok((authority, rest))
        } else {
            Err(SnpError::KeyMismatch)
        }
    }

    /// SubjectPublicKeyInfo in DER.
    fn public_key(&self) -> Result<Vec<u8>, SnpError> {
        public_key(&self.key)
    }
}

fn public_key(key: &PrivateKey) -> Result<Vec<u8>, SnpError> {
    let document = key.as_public_key().to_public_key_der();
    document
        .map(Document::into_vec)
        .map_err(|_| SnpError::MalformedRoot)
}

/// Splits a text after its first PEM block.
fn pem_block(text: &str) -> Option<(&str, &str)> {
    let footer = text.find("-----END ")?;
    let length = text.get(footer..)?.find('\n')?;
    text.split_at_checked(footer + length + 1)
}

/// The security versions of a Milan platform (document 56860, TCB_VERSION).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnpTcb {
    /// Boot loader.
    pub bootloader: u8,
    /// PSP operating system.
    pub tee: u8,
    /// SNP firmware.
    pub snp: u8,
    /// Microcode.
    pub microcode: u8,
}

impl SnpTcb {
    /// TCB_VERSION.
    pub fn to_bytes(self) -> [u8; 8] {
        [
            self.bootloader,
            self.tee,
            0,
            0,
            0,
            0,
            self.snp,
            self.microcode,
        ]
    }
}

/// What a guest and its platform say in a report.
#[derive(Clone, Debug)]
pub struct SnpReportFields {
    /// MEASUREMENT: the launch digest.
    pub measurement: [u8; 48],
    /// REPORT_DATA: what the guest binds.
    pub report_data: [u8; 64],
    /// HOST_DATA.
    pub host_data: [u8; 32],
    /// ID_KEY_DIGEST.
    pub id_key_digest: [u8; 48],
    /// AUTHOR_KEY_DIGEST; all zero without an author key.
    pub author_key_digest: [u8; 48],
    /// The guest policy.
    pub policy: u64,
    /// Virtual machine privilege level.
    pub vmpl: u32,
    /// Security version of the guest.
    pub guest_svn: u32,
    /// PLATFORM_INFO.
    pub platform_info: u64,
}

impl SnpReportFields {
    /// A guest at VMPL 0 that permits simultaneous multithreading and nothing else,
    /// on a platform where it is on.
    pub fn new(measurement: [u8; 48], report_data: [u8; 64]) -> Self {
        Self {
            measurement,
            report_data,
            host_data: [0; 32],
            id_key_digest: [0; 48],
            author_key_digest: [0; 48],
            policy: 0x3_0000,
            vmpl: 0,
            guest_svn: 0,
            platform_info: 0x25,
        }
    }
}

/// An endorsement key and its certificates: signs reports of one chip in one state.
pub struct SnpSigner {
    key: SigningKey,
    is_vlek: bool,
    chip_id: [u8; 64],
    tcb: [u8; 8],
    vek: Vec<u8>,
    ask: Vec<u8>,
    ark: Vec<u8>,
}

impl fmt::Debug for SnpSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnpSigner").finish_non_exhaustive()
    }
}

impl SnpSigner {
    /// A signed report of [`REPORT_BYTES`], version 3.
    pub fn report(&self, fields: &SnpReportFields) -> Result<Vec<u8>, SnpError> {
        self.sign(&self.unsigned(fields))
    }

    /// The part of a report that is signed.
    pub fn unsigned(&self, fields: &SnpReportFields) -> Vec<u8> {
        let has_author_key = fields.author_key_digest != [0; 48];
        let signer_info = u32::from(self.is_vlek) << 2 | u32::from(has_author_key);
        let [family, model, stepping] = MILAN_CPUID;
        [
            3_u32.to_le_bytes().as_slice(), // 0x000: VERSION
            &fields.guest_svn.to_le_bytes(),
            &fields.policy.to_le_bytes(),
            &[0; 32],                   // 0x010: FAMILY_ID, IMAGE_ID
            &fields.vmpl.to_le_bytes(), // 0x030
            &1_u32.to_le_bytes(),       // 0x034: ECDSA P-384 with SHA-384
            &self.tcb,                  // 0x038: CURRENT_TCB
            &fields.platform_info.to_le_bytes(),
            &signer_info.to_le_bytes(), // 0x048
            &[0; 4],
            &fields.report_data,        // 0x050
            &fields.measurement,        // 0x090
            &fields.host_data,          // 0x0C0
            &fields.id_key_digest,      // 0x0E0
            &fields.author_key_digest,  // 0x110
            &[0; 32],                   // 0x140: REPORT_ID
            &[0xFF; 32],                // 0x160: REPORT_ID_MA, of no migration agent
            &self.tcb,                  // 0x180: REPORTED_TCB
            &[family, model, stepping], // 0x188
            &[0; 21],
            &self.chip_id, // 0x1A0
            &self.tcb,     // 0x1E0: COMMITTED_TCB
            &FIRMWARE,     // 0x1E8: current
            &FIRMWARE,     // 0x1EC: committed
            &self.tcb,     // 0x1F0: LAUNCH_TCB
            &[0; 168],     // 0x1F8
        ]
        .concat()
    }

    /// Appends the signature to what is signed: [`SIGNED_BYTES`], of any content.
    pub fn sign(&self, signed: &[u8]) -> Result<Vec<u8>, SnpError> {
        let signature: Signature = self.key.try_sign(signed).map_err(|_| SnpError::Signing)?;
        let mut report = signed.to_vec();
        for scalar in [signature.r().to_bytes(), signature.s().to_bytes()] {
            report.extend(scalar.iter().rev());
            report.extend([0; 24]);
        }
        report.resize(REPORT_BYTES, 0);
        Ok(report)
    }

    /// The endorsement key's certificate in DER.
    pub fn certificate(&self) -> &[u8] {
        &self.vek
    }

    /// The certificates, as a host hands them to its guest.
    pub fn certificate_table(&self) -> Vec<u8> {
        let vek = if self.is_vlek { VLEK_GUID } else { VCEK_GUID };
        forge::certificate_table(&[
            (vek, self.vek.as_slice()),
            (ASK_GUID, self.ask.as_slice()),
            (ARK_GUID, self.ark.as_slice()),
        ])
    }
}

#[cfg(test)]
mod tests;
