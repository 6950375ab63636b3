//! What comes with a report: one certificate, or the host's table of them.

use std::borrow::Cow;

use x509_cert::der::Document;

use super::{
    error::{Role, SevSnpError},
    report::{MAX_ENDORSEMENT_BYTES, SigningKey},
};

/// What each entry of the table begins with: GUID, offset and length.
const ENTRY_BYTES: usize = 24;

/// Identifiers of the table's entries (GHCB specification, document 56421, SNP
/// Extended Guest Request), in the order of their digits. The entry for the ASK also holds the ASVK.
const GUIDS: [([u8; 16], Entry); 4] = [
    (
        0x63da758d_e664_4564_adc5_f4b93be8accd_u128.to_be_bytes(),
        Entry::Vcek,
    ),
    (
        0xa8074bc2_a25a_483e_aae6_39c045a0b8a1_u128.to_be_bytes(),
        Entry::Vlek,
    ),
    (
        0x4ab7b379_bbac_4fe4_a02f_05aef327c782_u128.to_be_bytes(),
        Entry::Ask,
    ),
    (
        0xc0b406a4_a803_4952_9743_3fb6014cd0ae_u128.to_be_bytes(),
        Entry::Ark,
    ),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    Vcek,
    Vlek,
    Ask,
    Ark,
}

/// Certificates in DER, found and not read.
#[derive(Default)]
pub(super) struct Endorsements<'a> {
    /// The only certificate: of whichever endorsement key the report names.
    single: Option<Cow<'a, [u8]>>,
    vcek: Option<Cow<'a, [u8]>>,
    vlek: Option<Cow<'a, [u8]>>,
    ask: Option<Cow<'a, [u8]>>,
    ark: Option<Cow<'a, [u8]>>,
}

impl<'a> Endorsements<'a> {
    /// Finds the certificates. None at all is not an error yet.
    pub fn find(bytes: &'a [u8]) -> Result<Self, SevSnpError> {
        if bytes.len() > MAX_ENDORSEMENT_BYTES {
            return Err(SevSnpError::EndorsementsTooLarge);
        }
        match bytes {
            [] => Ok(Self::default()),
            // A certificate of between 256 and 65,535 bytes. No known GUID begins so.
            [0x30, 0x82, ..] | [b'-', b'-', b'-', b'-', b'-', ..] => Ok(Self {
                single: Some(certificate(bytes)?),
                ..Self::default()
            }),
            _ => Self::find_in_table(bytes),
        }
    }

    /// A table ends with an entry of zeros; entries without a known GUID are passed over.
    fn find_in_table(bytes: &'a [u8]) -> Result<Self, SevSnpError> {
        let malformed = || SevSnpError::MalformedEndorsements;
        let mut found = Self::default();
        let mut rest = bytes;
        loop {
            let (entry, next) = rest
                .split_first_chunk::<ENTRY_BYTES>()
                .ok_or_else(malformed)?;
            if entry.iter().all(|byte| *byte == 0) {
                return Ok(found);
            }
            rest = next;
            let (guid, place) = entry.split_first_chunk::<16>().ok_or_else(malformed)?;
            let (offset, length) = place.split_first_chunk::<4>().ok_or_else(malformed)?;
            let length: [u8; 4] = length.try_into().map_err(|_| malformed())?;
            let offset = u32::from_le_bytes(*offset) as usize;
            let end = offset.checked_add(u32::from_le_bytes(length) as usize);
            let end = end.ok_or_else(malformed)?;
            let content = bytes.get(offset..end).ok_or_else(malformed)?;
            let known = GUIDS.iter().find(|(known, _)| known == guid);
            let (slot, role) = match known.map(|(_, entry)| entry) {
                None => continue,
                Some(Entry::Vcek) => (&mut found.vcek, Role::Vcek),
                Some(Entry::Vlek) => (&mut found.vlek, Role::Vlek),
                Some(Entry::Ask) => (&mut found.ask, Role::Ask),
                Some(Entry::Ark) => (&mut found.ark, Role::Ark),
            };
            if slot.replace(certificate(content)?).is_some() {
                return Err(SevSnpError::DuplicateCertificate(role));
            }
        }
    }

    /// The endorsement key's certificate.
    pub fn vek(&self, role: Role) -> Result<&[u8], SevSnpError> {
        let entry = if role == Role::Vlek {
            &self.vlek
        } else {
            &self.vcek
        };
        let found = self.single.as_ref().or(entry.as_ref());
        found
            .map(AsRef::as_ref)
            .ok_or(SevSnpError::MissingCertificate(role))
    }

    /// What is there for the key that a report names, or for any if it names none.
    pub fn any_vek(&self, key: SigningKey) -> Option<(Role, &[u8])> {
        let roles = match key {
            SigningKey::Vlek => [Role::Vlek, Role::Vcek],
            _ => [Role::Vcek, Role::Vlek],
        };
        roles
            .into_iter()
            .find_map(|role| Some((role, self.vek(role).ok()?)))
    }

    /// The ASK's or ASVK's certificate in the table.
    pub fn intermediate(&self, role: Role) -> Result<&[u8], SevSnpError> {
        let missing = SevSnpError::MissingCertificate(role);
        self.ask.as_deref().ok_or(missing)
    }

    /// The root's certificate in the table.
    pub fn root(&self) -> Result<&[u8], SevSnpError> {
        let missing = SevSnpError::MissingCertificate(Role::Ark);
        self.ark.as_deref().ok_or(missing)
    }
}

/// DER as it is, PEM decoded.
fn certificate(bytes: &[u8]) -> Result<Cow<'_, [u8]>, SevSnpError> {
    if !bytes.starts_with(b"-----") {
        return Ok(Cow::Borrowed(bytes));
    }
    let text = std::str::from_utf8(bytes).ok();
    let (label, document) = text
        .and_then(|text| Document::from_pem(text).ok())
        .ok_or(SevSnpError::MalformedEndorsements)?;
    if label != "CERTIFICATE" {
        return Err(SevSnpError::MalformedEndorsements);
    }
    Ok(Cow::Owned(document.into_vec()))
}
