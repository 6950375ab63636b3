//! Reports of SEV-SNP and TDX, by way of configfs-tsm
//! (`Documentation/ABI/testing/configfs-tsm` of Linux).
//!
//! A directory made under the root is an entry with attributes: 64 bytes
//! written to `inblob` are report data, `outblob` is then the report and
//! `auxblob` what comes with it. `generation` counts writes, so that a report
//! for the data of somebody else is noticed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use getrandom::SysRng;
use zkpass_channel::rand_core::TryRng as _;
use zkpass_core::{
    encoding::hex,
    evidence::{BINDING_BYTES, Nonce},
};

use super::{Evidence, EvidenceSource, EvidenceSourceError, EvidenceUnavailable, Platform};
use crate::hardening::Needs;

/// Reports have a kilobyte or two, quotes five; certificate tables a few pages.
const MAX_BLOB_BYTES: usize = 64 * 1024;

const MAX_TEXT_BYTES: usize = 64;

/// The firmware may make others wait, for seconds when it limits the rate.
const PATIENCE: Duration = Duration::from_secs(10);

const PAUSE: Duration = Duration::from_millis(5);

/// How often the data are written anew after somebody else wrote.
const MAX_WRITES: usize = 4;

/// `mkdir` when no provider is registered.
const ENXIO: i32 = 6;

/// A configfs-tsm provider.
#[derive(Debug)]
pub(super) struct Tsm {
    root: PathBuf,
    platform: Platform,
    measurement_id: String,
    patience: Duration,
}

/// A directory of our own; it is removed when this is dropped.
#[derive(Debug)]
struct Entry {
    path: PathBuf,
    deadline: Instant,
}

impl Tsm {
    /// Opens the provider under `root`, which must be that of `wanted` if it is given.
    pub(super) fn open(root: &Path, wanted: Option<Platform>) -> Result<Self, EvidenceSourceError> {
        Self::open_within(root, wanted, PATIENCE)
    }

    fn open_within(
        root: &Path,
        wanted: Option<Platform>,
        patience: Duration,
    ) -> Result<Self, EvidenceSourceError> {
        let broken = |cause: EvidenceUnavailable| EvidenceSourceError::Broken {
            platform: wanted.map_or("configfs-tsm", Platform::name),
            cause: cause.to_string(),
        };
        let entry = Entry::make(root, patience).map_err(|error| match error {
            EvidenceUnavailable::Io(error)
                if error.kind() == io::ErrorKind::NotFound
                    || error.raw_os_error() == Some(ENXIO) =>
            {
                EvidenceSourceError::NoTsmProvider {
                    path: root.display().to_string(),
                }
            }
            other => broken(other),
        })?;
        let provider = entry.text("provider").map_err(broken)?;
        let platform = [Platform::SevSnp, Platform::Tdx]
            .into_iter()
            .find(|platform| provider_of(*platform) == provider)
            .filter(|platform| wanted.is_none_or(|wanted| wanted == *platform))
            .ok_or_else(|| EvidenceSourceError::OtherProvider {
                wanted: wanted.map_or("auto", Platform::name),
                needed: wanted.map_or("sev_guest or tdx_guest", provider_of),
                found: provider.escape_default().to_string(),
            })?;

        let data = [0; BINDING_BYTES];
        let report = entry.report(&data).map_err(broken)?.document;
        let measurement = bound_measurement(platform, &report, &data).map_err(broken)?;
        Ok(Self {
            measurement_id: format!("{}:{}", platform.name(), hex(measurement)),
            root: root.to_owned(),
            platform,
            patience,
        })
    }
}

impl EvidenceSource for Tsm {
    fn platform(&self) -> Platform {
        self.platform
    }

    fn measurement_id(&self) -> &str {
        &self.measurement_id
    }

    /// These platforms have no place for a nonce: the binding covers it.
    fn evidence(
        &mut self,
        binding: &[u8; BINDING_BYTES],
        _nonce: &Nonce,
    ) -> Result<Evidence, EvidenceUnavailable> {
        let evidence = Entry::make(&self.root, self.patience)?.report(binding)?;
        bound_measurement(self.platform, &evidence.document, binding)?;
        Ok(evidence)
    }

    fn needs(&self) -> Needs<'_> {
        Needs::Directory(&self.root)
    }
}

impl Entry {
    fn make(root: &Path, patience: Duration) -> Result<Self, EvidenceUnavailable> {
        let mut name = [0; 16];
        SysRng
            .try_fill_bytes(&mut name)
            .map_err(|error| io::Error::other(error.to_string()))?;
        let path = root.join(format!("zkpass-{}", hex(&name)));
        fs::create_dir(&path)?;
        Ok(Self {
            path,
            deadline: Instant::now() + patience,
        })
    }

    fn report(&self, data: &[u8; BINDING_BYTES]) -> Result<Evidence, EvidenceUnavailable> {
        for _ in 0..MAX_WRITES {
            let before = self.generation()?;
            self.retry(|| self.write("inblob", data))?;
            // It counts our write at once, or a moment later where it is not the kernel that counts.
            let ours = before.wrapping_add(1);
            let counted = self.until(|| {
                let now = self.generation()?;
                Ok((now != before).then_some(now))
            })?;
            if counted != ours {
                continue;
            }
            let document = self.until(|| {
                let blob = self.retry(|| self.read("outblob", MAX_BLOB_BYTES))?;
                Ok(Some(blob).filter(|blob| !blob.is_empty()))
            })?;
            let endorsements = match self.read("auxblob", MAX_BLOB_BYTES) {
                // Not every provider has one.
                Err(EvidenceUnavailable::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                    Vec::new()
                }
                Err(EvidenceUnavailable::Io(error)) if is_transient(&error) => {
                    self.retry(|| self.read("auxblob", MAX_BLOB_BYTES))?
                }
                blob => blob?,
            };
            if self.generation()? == ours {
                return Ok(Evidence {
                    document,
                    endorsements,
                });
            }
        }
        Err(EvidenceUnavailable::Contended)
    }

    fn generation(&self) -> Result<u64, EvidenceUnavailable> {
        // A number that is being written is not there yet.
        self.until(|| Ok(self.text("generation")?.parse().ok()))
    }

    fn text(&self, attribute: &str) -> Result<String, EvidenceUnavailable> {
        self.until(|| {
            let bytes = self.retry(|| self.read(attribute, MAX_TEXT_BYTES))?;
            let text = String::from_utf8_lossy(&bytes).trim().to_owned();
            Ok(Some(text).filter(|text| !text.is_empty()))
        })
    }

    fn read(&self, attribute: &str, limit: usize) -> Result<Vec<u8>, EvidenceUnavailable> {
        let mut bytes = Vec::new();
        let most = u64::try_from(limit).unwrap_or(u64::MAX);
        File::open(self.path.join(attribute))?
            .take(most.saturating_add(1))
            .read_to_end(&mut bytes)?;
        if bytes.len() > limit {
            return Err(EvidenceUnavailable::TooLarge { limit });
        }
        Ok(bytes)
    }

    /// Never makes the file: attributes are there or not.
    fn write(&self, attribute: &str, bytes: &[u8]) -> Result<(), EvidenceUnavailable> {
        let path = self.path.join(attribute);
        let mut file = OpenOptions::new().write(true).open(path)?;
        Ok(file.write_all(bytes)?)
    }

    /// Again until it does not fail in passing.
    fn retry<T>(
        &self,
        attempt: impl Fn() -> Result<T, EvidenceUnavailable>,
    ) -> Result<T, EvidenceUnavailable> {
        self.until(|| match attempt() {
            Err(EvidenceUnavailable::Io(error)) if is_transient(&error) => Ok(None),
            result => result.map(Some),
        })
    }

    /// Again until there is a value.
    fn until<T>(
        &self,
        attempt: impl Fn() -> Result<Option<T>, EvidenceUnavailable>,
    ) -> Result<T, EvidenceUnavailable> {
        loop {
            if let Some(value) = attempt()? {
                return Ok(value);
            }
            if Instant::now() > self.deadline {
                return Err(EvidenceUnavailable::TimedOut);
            }
            thread::sleep(PAUSE);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // In configfs the attributes go with their directory; where a tree only
        // looks like it they are files, and one may be written just now. An entry
        // that stays costs a little memory.
        let mut removed = fs::remove_dir(&self.path).is_ok();
        for _ in 0..REMOVALS {
            removed = removed || fs::remove_dir_all(&self.path).is_ok();
        }
    }
}

/// How often an entry is removed that is still written to.
const REMOVALS: u32 = 8;

fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ResourceBusy
            | io::ErrorKind::WouldBlock
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NotFound
    )
}

/// What the driver of a platform calls itself in `provider`.
fn provider_of(platform: Platform) -> &'static str {
    match platform {
        Platform::SevSnp => "sev_guest",
        Platform::Tdx => "tdx_guest",
        Platform::Nitro => "none",
    }
}

/// The launch measurement in a report, which must be one for `data`.
fn bound_measurement<'a>(
    platform: Platform,
    report: &'a [u8],
    data: &[u8; BINDING_BYTES],
) -> Result<&'a [u8], EvidenceUnavailable> {
    let (report_data, measurement) = match platform {
        // SEV-SNP firmware ABI specification (AMD 56860), table ATTESTATION_REPORT.
        Platform::SevSnp => (0x50, 0x90),
        Platform::Tdx => {
            // Intel TDX DCAP quoting library API, appendix A.3: a header of 48
            // bytes; version 5 adds type (2 bytes) and size (4) of the body.
            let body = match report.get(..2) {
                Some([4, 0]) => 48,
                Some([5, 0]) => 54,
                _ => return Err(EvidenceUnavailable::NoMeasurement),
            };
            (body + 520, body + 136)
        }
        Platform::Nitro => return Err(EvidenceUnavailable::NoMeasurement),
    };
    let field = |offset: usize, length| report.get(offset..)?.get(..length);
    let measurement = field(measurement, 48).ok_or(EvidenceUnavailable::NoMeasurement)?;
    if field(report_data, BINDING_BYTES) != Some(data) {
        return Err(EvidenceUnavailable::NotBound);
    }
    Ok(measurement)
}

#[cfg(test)]
mod tests;
