//! The simulated hardware of each platform; where it puts measurements is the
//! table of [`DevPlatform`](crate::DevPlatform).

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use zkpass_devtee::{
    rand_core::Rng as _,
    sev_snp::{SnpReportFields, SnpSigner, SnpTcb},
    tdx::{TdxPlatform, TdxQuoteFields, TdxRoot},
};

use crate::{
    Measurements, RootError,
    measure::{NSM_SOCKET, TSM_DIRECTORY},
    nsm::{Authority, Device, Server},
    roots::{Root, now, randomness},
    tsm::{REQUEST_BYTES, Report, Reporter, Simulator},
};

/// The state of a Milan chip whose firmware is up to date.
const SNP_TCB: SnpTcb = SnpTcb {
    bootloader: 4,
    tee: 0,
    snp: 24,
    microcode: 219,
};

/// A platform is made anew so long before its certificates and collateral end, in seconds.
const RENEW_BEFORE: i64 = 3600;

/// What vouches for all lives of an enclave.
#[derive(Debug)]
pub(crate) enum Machine {
    Nitro {
        authority: Arc<Authority>,
        measurements: Measurements,
    },
    Tsm(Arc<dyn Reporter>),
}

/// What one life of an enclave talks to, held for its drop.
#[derive(Debug)]
#[expect(dead_code, reason = "held for their drop")]
pub(crate) enum Hardware {
    Nsm(Server),
    Tsm(Simulator),
}

impl Machine {
    /// A machine under a root, that runs an enclave measured so.
    pub(crate) fn new(root: Root, measurements: Measurements) -> Result<Self, RootError> {
        Ok(match root {
            Root::Nitro(root) => Self::Nitro {
                authority: Arc::new(Authority::new(root)),
                measurements,
            },
            Root::SevSnp(root) => {
                let mut chip_id = [0; 64];
                randomness().fill_bytes(&mut chip_id);
                let chip = root.chip(&mut randomness(), now(), chip_id, SNP_TCB);
                let chip = chip.map_err(|error| RootError::Unusable(error.to_string()))?;
                Self::Tsm(Arc::new(Snp { chip, measurements }))
            }
            Root::Tdx(root) => Self::Tsm(Arc::new(Tdx {
                root,
                platform: Mutex::default(),
                measurements,
            })),
        })
    }

    /// The hardware of a new life: registers begin anew. It needs a runtime of tokio.
    pub(crate) fn start(&self, directory: &Path) -> io::Result<Hardware> {
        match self {
            Self::Nitro {
                authority,
                measurements,
            } => {
                let device = Device::new(Arc::clone(authority), measurements);
                Server::start(directory.join(NSM_SOCKET), device).map(Hardware::Nsm)
            }
            Self::Tsm(reporter) => {
                let root = directory.join(TSM_DIRECTORY);
                Simulator::start(root, Arc::clone(reporter)).map(Hardware::Tsm)
            }
        }
    }
}

#[derive(Debug)]
struct Snp {
    chip: SnpSigner,
    measurements: Measurements,
}

impl Reporter for Snp {
    fn provider(&self) -> &'static str {
        "sev_guest"
    }

    fn report(&self, data: &[u8; REQUEST_BYTES]) -> Option<Report> {
        let fields = SnpReportFields {
            host_data: self.measurements.host_data(),
            ..SnpReportFields::new(self.measurements.pcr0, *data)
        };
        Some(Report {
            outblob: self.chip.report(&fields).ok()?,
            auxblob: self.chip.certificate_table(),
        })
    }
}

struct Tdx {
    root: TdxRoot,
    // Its collateral lives 30 days.
    platform: Mutex<Option<TdxPlatform>>,
    measurements: Measurements,
}

impl std::fmt::Debug for Tdx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tdx").finish_non_exhaustive()
    }
}

impl Reporter for Tdx {
    fn provider(&self) -> &'static str {
        "tdx_guest"
    }

    fn report(&self, data: &[u8; REQUEST_BYTES]) -> Option<Report> {
        let mut kept = self.platform.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        let platform = match kept.take() {
            Some(platform) if platform.not_after().saturating_sub(RENEW_BEFORE) > now => platform,
            _ => self.root.platform(&mut randomness(), now).ok()?,
        };
        let Measurements { pcr0, pcr1, pcr2 } = self.measurements;
        let fields = TdxQuoteFields {
            rtmrs: [pcr1, pcr2, [0; 48], [0; 48]],
            ..TdxQuoteFields::new(pcr0, *data)
        };
        let report = Report {
            outblob: platform.quote(&fields),
            auxblob: platform.collateral_json(),
        };
        *kept = Some(platform);
        Some(report)
    }
}

#[cfg(test)]
mod tests;
