//! What Intel signed about processors, quoting enclaves and revocation.

use dcap_qvl::{QeIdentity, QuoteCollateralV3, TcbInfo};
use x509_cert::{certificate::Rfc5280, crl::CertificateList, der::Decode};
use zkpass_core::{date::Date, json};

use super::{TdxError, quote::PckChain};

/// Largest collateral in bytes. It has about 20 KiB today, a quarter of it the
/// list of revoked PCK certificates, of which this leaves room for thousands.
pub const MAX_COLLATERAL_BYTES: usize = 512 * 1024;

const MEMBERS: [&str; 10] = [
    "pck_crl_issuer_chain",
    "root_ca_crl",
    "pck_crl",
    "tcb_info_issuer_chain",
    "tcb_info",
    "tcb_info_signature",
    "qe_identity_issuer_chain",
    "qe_identity",
    "qe_identity_signature",
    "pck_certificate_chain",
];

/// Collateral of which nothing is verified but its form.
pub(super) struct Collateral {
    /// Without its PCK certificate chain, so that the quote's is the only one.
    pub(super) unverified: QuoteCollateralV3,
    pub(super) tcb_info: TcbInfo,
    pub(super) tcb_info_window: Window,
    qe_identity: QeIdentity,
    qe_identity_window: Window,
    root_crl: Window,
    pck_crl: Window,
    pck_chain: Option<String>,
}

/// From when and until when something holds, in Unix seconds; both included.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Collateral {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, TdxError> {
        if bytes.is_empty() {
            return Err(TdxError::NoCollateral);
        }
        if bytes.len() > MAX_COLLATERAL_BYTES {
            return Err(TdxError::CollateralTooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| TdxError::MalformedCollateral)?;
        if !has_known_members(text) {
            return Err(TdxError::MalformedCollateral);
        }
        let mut unverified: QuoteCollateralV3 = decode(text)?;
        let pck_chain = unverified.pck_certificate_chain.take();
        let tcb_info: TcbInfo = decode(&unverified.tcb_info)?;
        let qe_identity: QeIdentity = decode(&unverified.qe_identity)?;
        Ok(Self {
            tcb_info_window: Window::parse(&tcb_info.issue_date, &tcb_info.next_update)?,
            qe_identity_window: Window::parse(&qe_identity.issue_date, &qe_identity.next_update)?,
            root_crl: Window::of_crl(&unverified.root_ca_crl)?,
            pck_crl: Window::of_crl(&unverified.pck_crl)?,
            unverified,
            tcb_info,
            qe_identity,
            pck_chain,
        })
    }

    /// A chain in the collateral may only repeat the one in the quote.
    ///
    /// `dcap-qvl` prefers it to the quote's. It could not forge a platform,
    /// because its key must have signed the quote; but the certificate states
    /// the platform's security versions and its flags, and whoever delivers the
    /// collateral must not choose among certificates. Services that fetch
    /// collateral copy the chain out of the quote, so an equal one is harmless.
    pub(super) fn check_pck_chain(&self, quotes_own: &PckChain) -> Result<(), TdxError> {
        match &self.pck_chain {
            None => Ok(()),
            Some(text) if PckChain::parse(text.as_bytes())? == *quotes_own => Ok(()),
            Some(_) => Err(TdxError::PckChainReplaced),
        }
    }

    /// It must be of TDX and of this family of processors.
    pub(super) fn check_kind(&self, fmspc: &[u8; 6]) -> Result<(), TdxError> {
        if self.tcb_info.id != "TDX" {
            return Err(TdxError::WrongTcbInfo);
        }
        if self.qe_identity.id != "TD_QE" {
            return Err(TdxError::WrongQeIdentity);
        }
        // Intel writes it in either case.
        let stated = self.tcb_info.fmspc.to_ascii_lowercase();
        if stated != zkpass_core::encoding::hex(fmspc) {
            return Err(TdxError::FmspcMismatch);
        }
        Ok(())
    }

    /// All of it must hold at `now`.
    pub(super) fn check_time(&self, now: i64) -> Result<(), TdxError> {
        use TdxError as E;
        for (window, early, late) in [
            (
                self.tcb_info_window,
                E::TcbInfoNotYetValid,
                E::TcbInfoExpired,
            ),
            (
                self.qe_identity_window,
                E::QeIdentityNotYetValid,
                E::QeIdentityExpired,
            ),
            (self.root_crl, E::CrlNotYetValid, E::CrlExpired),
            (self.pck_crl, E::CrlNotYetValid, E::CrlExpired),
        ] {
            if now < window.first {
                return Err(early);
            }
            if now > window.last {
                return Err(late);
            }
        }
        Ok(())
    }

    /// The last second at which all of it holds.
    pub(super) fn last(&self) -> i64 {
        [
            self.tcb_info_window,
            self.qe_identity_window,
            self.root_crl,
            self.pck_crl,
        ]
        .into_iter()
        .fold(i64::MAX, |last, window| last.min(window.last))
    }
}

impl Window {
    fn parse(first: &str, last: &str) -> Result<Self, TdxError> {
        Ok(Self {
            first: unix_seconds(first).ok_or(TdxError::MalformedCollateral)?,
            last: unix_seconds(last).ok_or(TdxError::MalformedCollateral)?,
        })
    }

    /// A list without an end is refused. It has ended at its `nextUpdate`,
    /// unlike TCB info, which holds through it: `dcap-qvl` says so.
    fn of_crl(der: &[u8]) -> Result<Self, TdxError> {
        let list = CertificateList::<Rfc5280>::from_der(der).map_err(|_| TdxError::MalformedCrl)?;
        let list = list.tbs_cert_list;
        let seconds = |time: x509_cert::time::Time| {
            i64::try_from(time.to_unix_duration().as_secs()).map_err(|_| TdxError::MalformedCrl)
        };
        let next = list.next_update.ok_or(TdxError::MalformedCrl)?;
        Ok(Self {
            first: seconds(list.this_update)?,
            last: seconds(next)?.saturating_sub(1),
        })
    }
}

fn decode<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, TdxError> {
    json::decode(text).map_err(|_| TdxError::MalformedCollateral)
}

fn has_known_members(text: &str) -> bool {
    let Ok(value) = json::parse(text) else {
        return false;
    };
    value.as_object().is_some_and(|members| {
        members
            .iter()
            .all(|(name, _)| MEMBERS.contains(&&*name.decode()))
    })
}

/// Reads exactly `YYYY-MM-DDTHH:MM:SSZ`, the only form in which Intel writes times.
fn unix_seconds(text: &str) -> Option<i64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let days = Date::parse_iso(date)?.day_number() - Date::new(1970, 1, 1)?.day_number();
    let mut parts = clock.split(':').map(|part| {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<i64>().ok()).flatten()
    });
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let exists = hour < 24 && minute < 60 && second < 60 && parts.next().is_none();
    exists.then(|| days * 86_400 + hour * 3600 + minute * 60 + second)
}
