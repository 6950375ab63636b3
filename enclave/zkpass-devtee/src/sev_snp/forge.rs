//! Evidence that no genuine platform makes, with valid signatures: for tests of verifiers.

use p384::{ecdsa::SigningKey, elliptic_curve::Generate as _, pkcs8::EncodePublicKey as _};
use rand_core::CryptoRng;
use rsa::PrivateKey;

use super::{
    ASK_NAME, SnpError, SnpRoot, SnpSigner, SnpTcb, VCEK_YEARS, YEAR, public_key,
    x509::{Certificate, ia5_string, integer},
};

pub use super::x509::Extension;

/// What the certificate of an ARK, ASK or ASVK says.
#[derive(Clone, Debug)]
pub struct Authority {
    /// Such as `SEV-Milan`.
    pub common_name: String,
    /// Unix time in seconds.
    pub not_before: i64,
    /// Unix time in seconds.
    pub not_after: i64,
    /// Its extensions.
    pub extensions: Vec<Extension>,
    /// SubjectPublicKeyInfo in DER, in the place of its own.
    pub public_key: Option<Vec<u8>>,
}

impl Authority {
    /// An authority above so many others; any number if `None`.
    pub fn new(
        common_name: &str,
        path_length: Option<u8>,
        not_before: i64,
        not_after: i64,
    ) -> Self {
        Self {
            common_name: common_name.to_owned(),
            not_before,
            not_after,
            extensions: vec![
                Extension::basic_constraints(true, path_length),
                Extension::key_cert_sign(),
            ],
            public_key: None,
        }
    }

    /// The root with another certificate for its ASK.
    pub fn replace_ask<R: CryptoRng + ?Sized>(
        &self,
        root: &SnpRoot,
        rng: &mut R,
    ) -> Result<SnpRoot, SnpError> {
        let key = root.ask.key.clone();
        let certificate = self.sign(&key, &root.ark.name, &root.ark.key, rng)?;
        let ark = &root.ark;
        Ok(SnpRoot {
            ark: super::Authority::new(&ark.name, ark.key.clone(), ark.certificate.clone()),
            ask: super::Authority::new(&self.common_name, key, certificate),
        })
    }

    /// The root with another certificate for its ARK, and so another fingerprint. The
    /// certificate of its ASK stays.
    pub fn replace_ark<R: CryptoRng + ?Sized>(
        &self,
        root: &SnpRoot,
        rng: &mut R,
    ) -> Result<SnpRoot, SnpError> {
        let key = root.ark.key.clone();
        let certificate = self.sign(&key, &self.common_name, &key, rng)?;
        let ask = &root.ask;
        Ok(SnpRoot {
            ark: super::Authority::new(&self.common_name, key, certificate),
            ask: super::Authority::new(&ask.name, ask.key.clone(), ask.certificate.clone()),
        })
    }

    pub(super) fn sign<R: CryptoRng + ?Sized>(
        &self,
        own: &PrivateKey,
        issuer_name: &str,
        issuer: &PrivateKey,
        rng: &mut R,
    ) -> Result<Vec<u8>, SnpError> {
        let own = public_key(own)?;
        let is_root = self.common_name == issuer_name;
        Certificate {
            serial: if is_root { &[1, 0, 0] } else { &[1, 0, 1] },
            issuer: issuer_name,
            subject: &self.common_name,
            not_before: self.not_before,
            not_after: self.not_after,
            public_key: self.public_key.as_ref().unwrap_or(&own),
            extensions: &self.extensions,
        }
        .sign(issuer, rng)
    }
}

/// What the certificate of an endorsement key says, and what its reports will.
#[derive(Clone, Debug)]
pub struct Vek {
    /// Whether reports name the VLEK as their key.
    pub is_vlek: bool,
    /// Unix time in seconds.
    pub not_before: i64,
    /// Unix time in seconds.
    pub not_after: i64,
    /// Name of the issuer.
    pub issuer: String,
    /// Its extensions.
    pub extensions: Vec<Extension>,
    /// SubjectPublicKeyInfo in DER, in the place of its own.
    pub public_key: Option<Vec<u8>>,
    /// CHIP_ID in reports.
    pub chip_id: [u8; 64],
    /// The four TCB_VERSIONs in reports.
    pub tcb: [u8; 8],
}

impl Vek {
    /// A genuine VCEK.
    pub fn vcek(now: i64, chip_id: &[u8; 64], tcb: SnpTcb) -> Self {
        let mut extensions = extensions("Milan-B0", tcb);
        extensions.push(Extension::amd(&[4], chip_id.to_vec()));
        Self {
            is_vlek: false,
            not_before: now,
            not_after: now.saturating_add(VCEK_YEARS * YEAR),
            issuer: ASK_NAME.to_owned(),
            extensions,
            public_key: None,
            chip_id: *chip_id,
            tcb: tcb.to_bytes(),
        }
    }

    /// A genuine VLEK, for a root whose ASK is replaced with an ASVK: `SEV-VLEK-Milan`.
    pub fn vlek(now: i64, csp_id: &str, tcb: SnpTcb) -> Self {
        let mut extensions = extensions("Milan", tcb);
        extensions.push(Extension::amd(&[5], ia5_string(csp_id)));
        Self {
            is_vlek: true,
            not_after: now.saturating_add(YEAR),
            issuer: "SEV-VLEK-Milan".to_owned(),
            extensions,
            chip_id: [0; 64],
            ..Self::vcek(now, &[0; 64], tcb)
        }
    }

    /// Changes the content of one of AMD's extensions, by its arcs; `None` takes it away.
    #[must_use]
    pub fn with_extension(mut self, arcs: &[u8], value: Option<Vec<u8>>) -> Self {
        let new = Extension::amd(arcs, value.clone().unwrap_or_default());
        self.extensions.retain(|extension| extension.id != new.id);
        self.extensions.extend(value.map(|_| new));
        self
    }

    /// Makes the key, and its certificate under the root's ASK.
    pub fn issue<R: CryptoRng + ?Sized>(
        &self,
        root: &SnpRoot,
        rng: &mut R,
    ) -> Result<SnpSigner, SnpError> {
        let key = SigningKey::generate_from_rng(rng);
        let own = key.verifying_key().to_public_key_der();
        let own = own.map_err(|_| SnpError::KeyGeneration)?.into_vec();
        let vek = Certificate {
            serial: &[0],
            issuer: &self.issuer,
            subject: if self.is_vlek { "SEV-VLEK" } else { "SEV-VCEK" },
            not_before: self.not_before,
            not_after: self.not_after,
            public_key: self.public_key.as_ref().unwrap_or(&own),
            extensions: &self.extensions,
        }
        .sign(&root.ask.key, rng)?;
        Ok(SnpSigner {
            key,
            is_vlek: self.is_vlek,
            chip_id: self.chip_id,
            tcb: self.tcb,
            vek,
            ask: root.ask.certificate.clone(),
            ark: root.ark.certificate.clone(),
        })
    }
}

/// Those that both kinds of key have, in AMD's order.
fn extensions(product_name: &str, tcb: SnpTcb) -> Vec<Extension> {
    let spl = |number: u8, value: u8| Extension::amd(&[3, number], integer(value));
    vec![
        Extension::amd(&[1], integer(0)),
        Extension::amd(&[2], ia5_string(product_name)),
        spl(1, tcb.bootloader),
        spl(2, tcb.tee),
        spl(4, 0),
        spl(5, 0),
        spl(6, 0),
        spl(7, 0),
        spl(3, tcb.snp),
        spl(8, tcb.microcode),
    ]
}

/// A DER INTEGER, as in the extensions for security versions.
pub fn der_integer(value: u8) -> Vec<u8> {
    integer(value)
}

/// A DER IA5String, as in the extension for the name of the product.
pub fn der_text(text: &str) -> Vec<u8> {
    ia5_string(text)
}

/// A certificate table of any content, in the layout of document 56421.
pub fn certificate_table(entries: &[(u128, &[u8])]) -> Vec<u8> {
    const ENTRY_BYTES: usize = 24;
    let mut offset = (entries.len() + 1) * ENTRY_BYTES;
    let mut table = Vec::new();
    for (guid, content) in entries {
        table.extend(guid.to_be_bytes());
        for number in [offset, content.len()] {
            // A table of 4 GiB cannot be written, nor read by anyone.
            table.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
        }
        offset += content.len();
    }
    table.extend([0; ENTRY_BYTES]);
    table.extend(entries.iter().flat_map(|(_, content)| content.iter()));
    table
}
