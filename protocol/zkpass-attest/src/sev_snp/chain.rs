//! From a root that is trusted to the key that signed the report.

use p384::ecdsa::VerifyingKey;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use x509_cert::der::{Decode as _, asn1::Ia5StringRef};

use super::{
    certificate::{Certificate, arcs_below_amd},
    endorsements::Endorsements,
    error::{Role, SevSnpError},
    report::Product,
};
use crate::policy::Roots;

/// The certificates that AMD publishes for one product.
struct Pinned {
    ark: &'static [u8],
    ask: &'static [u8],
    asvk: &'static [u8],
}

const PINNED: [Pinned; 3] = [
    Pinned {
        ark: include_bytes!("../../roots/sev-snp/milan-ark.der"),
        ask: include_bytes!("../../roots/sev-snp/milan-ask.der"),
        asvk: include_bytes!("../../roots/sev-snp/milan-asvk.der"),
    },
    Pinned {
        ark: include_bytes!("../../roots/sev-snp/genoa-ark.der"),
        ask: include_bytes!("../../roots/sev-snp/genoa-ask.der"),
        asvk: include_bytes!("../../roots/sev-snp/genoa-asvk.der"),
    },
    Pinned {
        ark: include_bytes!("../../roots/sev-snp/turin-ark.der"),
        ask: include_bytes!("../../roots/sev-snp/turin-ask.der"),
        asvk: include_bytes!("../../roots/sev-snp/turin-asvk.der"),
    },
];

/// What a verified chain says.
pub(super) struct Endorsed {
    pub key: VerifyingKey,
    pub product: Product,
    pub extensions: VekExtensions,
    /// First and last second of the endorsement key's own certificate.
    pub vek_validity: (i64, i64),
    /// Last second at which every certificate is valid, in Unix time.
    pub valid_until: i64,
}

/// Verifies the chain of an endorsement key, up to a root that is trusted.
pub(super) fn verify(
    endorsements: &Endorsements<'_>,
    role: Role,
    roots: Roots,
    now: i64,
) -> Result<Endorsed, SevSnpError> {
    let vek = Certificate::read(role, endorsements.vek(role)?)?;
    let extensions = VekExtensions::read(&vek)?;
    if extensions.role() != role {
        return Err(SevSnpError::SigningKeyKind);
    }
    let upper_role = if role == Role::Vlek {
        Role::Asvk
    } else {
        Role::Ask
    };
    let (root, upper) = match roots {
        Roots::Vendor => pinned(&vek, upper_role)?,
        Roots::Development { sha256 } => {
            let root = endorsements.root()?;
            if !bool::from(Sha256::digest(root).as_slice().ct_eq(&sha256)) {
                return Err(SevSnpError::UntrustedRoot);
            }
            let upper = endorsements.intermediate(upper_role)?;
            (
                Certificate::read(Role::Ark, root)?,
                Certificate::read(upper_role, upper)?,
            )
        }
    };

    // The root signs itself; the key below it signs endorsement keys of one kind.
    root.check_issued_by(&root)?;
    root.check_authority(1)?;
    let product = product(&upper, role)?;
    upper.check_issued_by(&root)?;
    upper.check_authority(0)?;
    vek.check_issued_by(&upper)?;
    let key = vek.p384_key()?;
    if extensions.product() != Some(product) {
        return Err(SevSnpError::VekProduct);
    }

    let mut valid_until = i64::MAX;
    for certificate in [&root, &upper, &vek] {
        valid_until = valid_until.min(certificate.check_time(now)?);
    }
    Ok(Endorsed {
        key,
        product,
        extensions,
        vek_validity: vek.validity(),
        valid_until,
    })
}

/// The pinned certificates above an endorsement key, found by the issuer's name.
fn pinned(
    vek: &Certificate<'_>,
    upper: Role,
) -> Result<(Certificate<'static>, Certificate<'static>), SevSnpError> {
    for pinned in &PINNED {
        let der = if upper == Role::Asvk {
            pinned.asvk
        } else {
            pinned.ask
        };
        let upper = Certificate::read(upper, der)?;
        if vek.names_as_issuer(&upper) {
            return Ok((Certificate::read(Role::Ark, pinned.ark)?, upper));
        }
    }
    Err(SevSnpError::Issuer(vek.role()))
}

/// The key above a VCEK is called `SEV-Milan`, that above a VLEK `SEV-VLEK-Milan`.
fn product(upper: &Certificate<'_>, vek: Role) -> Result<Product, SevSnpError> {
    let wrong = SevSnpError::Intermediate(vek);
    let name = upper.common_name().unwrap_or_default();
    let Some(name) = name.strip_prefix("SEV-") else {
        return Err(wrong);
    };
    let product = match (vek, name.strip_prefix("VLEK-")) {
        (Role::Vlek, Some(product)) => product,
        (Role::Vcek, None) => name,
        _ => return Err(wrong),
    };
    Product::from_name(product).ok_or(SevSnpError::UnknownProduct)
}

/// What AMD writes into the certificate of an endorsement key (document 57230).
pub(super) struct VekExtensions {
    /// Such as `Milan-B0`, or `Milan` in a VLEK.
    pub product_name: String,
    /// The chip, in a VCEK: 64 bytes, or 8 since Turin.
    pub hardware_id: Option<Vec<u8>>,
    /// The cloud provider, in a VLEK.
    pub csp_id: Option<String>,
    /// Security versions: `spl[0]` is 1.3.6.1.4.1.3704.1.3.1, and so on.
    spl: [Option<u8>; 9],
}

impl VekExtensions {
    /// Reads the extensions; those that every endorsement key has must be there.
    pub fn read(certificate: &Certificate<'_>) -> Result<Self, SevSnpError> {
        Self::parse(certificate).ok_or(SevSnpError::VekExtensions(certificate.role()))
    }

    fn parse(certificate: &Certificate<'_>) -> Option<Self> {
        let mut product_name = None;
        let mut hardware_id = None;
        let mut csp_id = None;
        let mut spl = [None; 9];
        for (id, _, value) in certificate.extensions() {
            match *arcs_below_amd(id).as_slice() {
                // structVersion
                [1] => drop(integer(value)?),
                [2] => product_name = Some(text(value)?),
                [3, number] => {
                    *spl.get_mut(number.checked_sub(1)? as usize)? = Some(integer(value)?)
                }
                // The bytes themselves, not a DER value.
                [4] => hardware_id = Some(value.to_vec()),
                [5] => csp_id = Some(text(value).filter(|id| !id.is_empty())?),
                _ => (),
            }
        }
        let [Some(_), Some(_), Some(_), .., Some(_), _] = spl else {
            return None;
        };
        let is_one = hardware_id.is_some() != csp_id.is_some();
        is_one.then_some(Self {
            product_name: product_name?,
            hardware_id,
            csp_id,
            spl,
        })
    }

    /// Which kind of endorsement key has such extensions.
    pub fn role(&self) -> Role {
        if self.hardware_id.is_some() {
            Role::Vcek
        } else {
            Role::Vlek
        }
    }

    /// The product, without the stepping.
    pub fn product(&self) -> Option<Product> {
        Product::from_name(self.product_name.split('-').next()?)
    }

    /// TCB_VERSION as the certificate has it. Reserved parts may be left out.
    pub fn tcb(&self, product: Product) -> [u8; 8] {
        let [bootloader, tee, snp, spl4, spl5, spl6, spl7, microcode, fmc] =
            self.spl.map(Option::unwrap_or_default);
        match product {
            Product::Milan | Product::Genoa => {
                [bootloader, tee, spl4, spl5, spl6, spl7, snp, microcode]
            }
            Product::Turin => [fmc, bootloader, tee, snp, spl5, spl6, spl7, microcode],
        }
    }

    /// Compares with TCB_VERSION of a report.
    pub fn check_tcb(&self, product: Product, reported: [u8; 8]) -> Result<(), SevSnpError> {
        let parts = product.tcb_layout().into_iter();
        for ((part, own), reported) in parts.zip(self.tcb(product)).zip(reported) {
            if own != reported {
                return Err(SevSnpError::VekTcb(part));
            }
        }
        Ok(())
    }

    /// Compares with CHIP_ID of a report. Only a VCEK belongs to a chip.
    pub fn check_chip(&self, product: Product, chip_id: &[u8; 64]) -> Result<(), SevSnpError> {
        let Some(own) = &self.hardware_id else {
            return Ok(());
        };
        let length = match product {
            Product::Milan | Product::Genoa => 64,
            Product::Turin => 8,
        };
        let is_equal = chip_id
            .split_at_checked(length)
            .is_some_and(|(id, rest)| id == own.as_slice() && rest.iter().all(|byte| *byte == 0));
        if is_equal {
            Ok(())
        } else {
            Err(SevSnpError::VekChip)
        }
    }
}

/// A DER INTEGER from 0 to 255: of two bytes when it is over 127.
fn integer(der: &[u8]) -> Option<u8> {
    u8::from_der(der).ok()
}

fn text(der: &[u8]) -> Option<String> {
    let text = Ia5StringRef::from_der(der).ok()?;
    Some(text.as_str().to_owned())
}
