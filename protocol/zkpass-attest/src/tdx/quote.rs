//! The form of a quote (Intel TDX DCAP Quoting Library API, "TD Quote Format").

use dcap_qvl::{
    INTEL_QE_VENDOR_ID,
    intel::{PckExtension, parse_pck_extension},
    quote::{Quote, Report, TDAttributes, TDReport10},
};

use super::TdxError;
use crate::EvidenceError;

/// Largest quote in bytes. Quotes have about 5 KiB and come in buffers of up to
/// 32 KiB, filled with zeros; this is twice that.
pub const MAX_QUOTE_BYTES: usize = 64 * 1024;

const TEE_TYPE_TDX: u32 = 0x81;
const ECDSA_P256: u16 = 2;
/// A QE report with further certification data, the only kind around a TD quote.
const QE_REPORT_CERTIFICATION: u16 = 6;
/// A PCK certificate chain in PEM, leaf first.
const PCK_CHAIN: u16 = 5;

/// Lengths in bytes.
const HEADER: usize = 48;
const SIGNATURE_AND_KEY: usize = 64 + 64;
const QE_REPORT_AND_SIGNATURE: usize = 384 + 64;
/// What precedes certification data: its type and length.
const CERTIFICATION_HEAD: usize = 2 + 4;

/// A quote whose lengths add up.
pub(super) struct ParsedQuote {
    pub(super) quote: Quote,
}

impl ParsedQuote {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, TdxError> {
        if bytes.len() > MAX_QUOTE_BYTES {
            return Err(TdxError::QuoteTooLarge);
        }
        check_header(bytes)?;
        // It reads each part by the lengths inside; where those end is checked below.
        let quote = Quote::parse(bytes).map_err(|_| body_refusal(bytes))?;
        check_lengths(bytes, &quote)?;
        Ok(Self { quote })
    }

    pub(super) fn report(&self) -> &Report {
        &self.quote.report
    }

    /// The PCK certificate, the authority that issued it, and the root.
    ///
    /// Other certification data than a chain is refused: it would leave the
    /// choice of the certificate to whoever sends the collateral.
    pub(super) fn pck_chain(&self) -> Result<PckChain, TdxError> {
        if self.quote.inner_cert_type() != PCK_CHAIN {
            return Err(TdxError::NoPckChain);
        }
        PckChain::parse(self.quote.inner_cert_data())
    }
}

/// A PCK certificate, its issuer and a root, in DER.
#[derive(PartialEq, Eq)]
pub(super) struct PckChain([Vec<u8>; 3]);

impl PckChain {
    pub(super) fn parse(text: &[u8]) -> Result<Self, TdxError> {
        let certificates = pem::parse_many(text).map_err(|_| TdxError::MalformedPckChain)?;
        let certificates: Vec<_> = certificates
            .into_iter()
            .map(pem::Pem::into_contents)
            .collect();
        certificates
            .try_into()
            .map(Self)
            .map_err(|_| TdxError::MalformedPckChain)
    }

    pub(super) fn root(&self) -> &[u8] {
        let [_, _, root] = &self.0;
        root
    }

    /// What Intel says of the platform in the PCK certificate.
    pub(super) fn platform(&self) -> Result<PckExtension, TdxError> {
        let [leaf, ..] = &self.0;
        parse_pck_extension(leaf).map_err(|_| TdxError::MalformedPckChain)
    }
}

/// The measured part that all TD reports have.
pub(super) fn base(report: &Report) -> Result<&TDReport10, TdxError> {
    report.as_td10().ok_or(TdxError::NotATd)
}

/// Refuses TDs that are open to their host, or may become so.
pub(super) fn check_attributes(report: &Report) -> Result<(), EvidenceError> {
    let td = base(report)?;
    let attributes = TDAttributes::parse(td.td_attributes).map_err(|_| TdxError::MalformedQuote)?;
    if is_debug(td) {
        return Err(EvidenceError::DebugMode);
    }
    let unsafe_attribute = if attributes.tud != 0 {
        "TUD"
    } else if attributes.reserved != 0 {
        "RESERVED"
    } else if attributes.sec.migratable {
        "MIGRATABLE"
    } else if attributes.sec.servtd_ext {
        "SERVTD_EXT"
    } else if !attributes.sec.sept_ve_disable {
        "SEPT_VE_DISABLE"
    } else {
        ""
    };
    if !unsafe_attribute.is_empty() {
        return Err(TdxError::UnsafeAttribute(unsafe_attribute).into());
    }
    match report.as_td15() {
        Some(td) if td.mr_service_td != [0; 48] => Err(TdxError::ServiceTd.into()),
        _ => Ok(()),
    }
}

/// TDATTRIBUTES.DEBUG.
pub(super) fn is_debug(td: &TDReport10) -> bool {
    let [lowest, ..] = td.td_attributes;
    lowest & 1 != 0
}

fn check_header(bytes: &[u8]) -> Result<(), TdxError> {
    let version = u16_at(bytes, 0).ok_or(TdxError::QuoteTruncated)?;
    if ![4, 5].contains(&version) {
        return Err(TdxError::UnsupportedVersion(version));
    }
    let header = bytes.get(..HEADER).ok_or(TdxError::QuoteTruncated)?;
    if u32_at(header, 4) != Some(TEE_TYPE_TDX) {
        return Err(TdxError::NotATd);
    }
    if u16_at(header, 2) != Some(ECDSA_P256) {
        return Err(TdxError::UnsupportedKeyType);
    }
    if header.get(12..28) != Some(&INTEL_QE_VENDOR_ID) {
        return Err(TdxError::UnknownQeVendor);
    }
    Ok(())
}

/// Why a quote with a good header cannot be read.
fn body_refusal(bytes: &[u8]) -> TdxError {
    let version_5 = u16_at(bytes, 0) == Some(5);
    // Body types: 1 is SGX, 2 to 4 are TDX 1.0, 1.5 and 1.5 with extensions.
    let (head, body) = match (version_5, u16_at(bytes, HEADER)) {
        (false, _) => (0, 584),
        (true, Some(1)) => return TdxError::NotATd,
        (true, Some(2)) => (6, 584),
        (true, Some(3)) => (6, 648),
        (true, Some(4)) => (6, 885),
        (true, Some(_)) => return TdxError::MalformedQuote,
        (true, None) => return TdxError::QuoteTruncated,
    };
    let signature = HEADER + head + body;
    let length = u32_at(bytes, signature).map(|length| length as usize);
    match length {
        Some(length) if length <= bytes.len().saturating_sub(signature + 4) => {
            TdxError::MalformedQuote
        }
        _ => TdxError::QuoteTruncated,
    }
}

/// Refuses bytes that belong to no part, but for zeros after the last one:
/// the kernel's interface hands out buffers of fixed size.
fn check_lengths(bytes: &[u8], quote: &Quote) -> Result<(), TdxError> {
    if quote.report.is_sgx() {
        return Err(TdxError::NotATd);
    }
    let start = quote.signed_length() + 4;
    let length = u32_at(bytes, quote.signed_length()).ok_or(TdxError::QuoteTruncated)? as usize;
    let end = start.saturating_add(length);
    let signature = bytes.get(start..end).ok_or(TdxError::QuoteTruncated)?;
    let rest = bytes.get(end..).ok_or(TdxError::QuoteTruncated)?;

    let outer = certification(signature, SIGNATURE_AND_KEY).ok_or(TdxError::MalformedQuote)?;
    if outer.kind != QE_REPORT_CERTIFICATION || !outer.rest.is_empty() {
        return Err(TdxError::MalformedQuote);
    }
    let authentication = u16_at(outer.data, QE_REPORT_AND_SIGNATURE)
        .ok_or(TdxError::MalformedQuote)
        .map(usize::from)?;
    let inner = certification(outer.data, QE_REPORT_AND_SIGNATURE + 2 + authentication)
        .ok_or(TdxError::MalformedQuote)?;
    if !inner.rest.is_empty() {
        return Err(TdxError::MalformedQuote);
    }
    if rest.iter().any(|byte| *byte != 0) {
        return Err(TdxError::TrailingBytes);
    }
    Ok(())
}

struct Certification<'a> {
    kind: u16,
    data: &'a [u8],
    rest: &'a [u8],
}

fn certification(bytes: &[u8], at: usize) -> Option<Certification<'_>> {
    let kind = u16_at(bytes, at)?;
    let length = u32_at(bytes, at + 2)? as usize;
    let (data, rest) = bytes
        .get(at + CERTIFICATION_HEAD..)?
        .split_at_checked(length)?;
    Some(Certification { kind, data, rest })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let (bytes, _) = bytes.get(at..)?.split_first_chunk()?;
    Some(u16::from_le_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let (bytes, _) = bytes.get(at..)?.split_first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}
