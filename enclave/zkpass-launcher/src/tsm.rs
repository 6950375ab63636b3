//! Linux's configfs-tsm, simulated in a plain directory.
//!
//! An entry is a directory that the enclave makes; its attributes are files
//! (`Documentation/ABI/testing/configfs-tsm` of Linux). 64 bytes written to
//! `inblob` are a request; `generation` then grows by one, and `auxblob` and
//! `outblob` are written in that order.
//!
//! A plain directory differs from the kernel's in three ways: attributes appear
//! a moment after their directory, a request is answered a moment after it was
//! written, and removing an entry means removing its files too.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fmt,
    fs::{self, DirBuilder, File},
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::fs::{AtFlags, Mode, OFlags, openat, renameat, unlinkat};
use tokio::{task::JoinHandle, time::sleep};

/// Report data of SEV-SNP and TDX.
pub(crate) const REQUEST_BYTES: usize = 64;

/// How often entries are looked at, and how often whether there is one.
const TICK: Duration = Duration::from_millis(1);
const IDLE_TICK: Duration = Duration::from_millis(10);

/// Far above what one enclave needs.
const MAX_ENTRIES: usize = 64;

/// A file under construction.
const NEW: &str = ".new";

/// Reports of a platform.
pub(crate) trait Reporter: fmt::Debug + Send + Sync {
    /// What the driver of the platform calls itself.
    fn provider(&self) -> &'static str;

    /// A report on these data, or nothing when none can be signed.
    fn report(&self, data: &[u8; REQUEST_BYTES]) -> Option<Report>;
}

/// A report and what comes with it.
pub(crate) struct Report {
    /// The report or quote.
    pub(crate) outblob: Vec<u8>,
    /// Certificates or collateral.
    pub(crate) auxblob: Vec<u8>,
}

/// A simulated configfs-tsm, until it is dropped.
#[derive(Debug)]
pub(crate) struct Simulator {
    root: PathBuf,
    task: JoinHandle<()>,
}

impl Simulator {
    /// Animates a directory, which is made anew.
    pub(crate) fn start(root: PathBuf, reporter: Arc<dyn Reporter>) -> io::Result<Self> {
        remove(&root)?;
        DirBuilder::new().mode(0o700).create(&root)?;
        let directory = File::options()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
            .open(&root)?;
        let animation = Animation {
            root: root.clone(),
            directory: directory.into(),
            reporter,
            entries: HashMap::new(),
        };
        let task = tokio::spawn(animation.run());
        Ok(Self { root, task })
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.task.abort();
        // What stays is removed by the next start.
        let _ = remove(&self.root);
    }
}

fn remove(root: &Path) -> io::Result<()> {
    match fs::remove_dir_all(root) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

struct Animation {
    root: PathBuf,
    directory: OwnedFd,
    reporter: Arc<dyn Reporter>,
    entries: HashMap<OsString, Entry>,
}

/// A directory of the enclave. It may do there what it likes: nothing is
/// followed out of it.
struct Entry {
    directory: OwnedFd,
    generation: u64,
}

impl Animation {
    async fn run(mut self) {
        // An error means that the directory is gone, and the enclave with it.
        while self.look().is_ok() {
            let is_idle = self.entries.is_empty();
            sleep(if is_idle { IDLE_TICK } else { TICK }).await;
        }
    }

    fn look(&mut self) -> io::Result<()> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.root)?.take(MAX_ENTRIES) {
            names.push(entry?.file_name());
        }
        self.entries.retain(|name, _| names.contains(name));
        for name in names {
            let entry = match self.entries.remove(&name) {
                Some(entry) => Ok(entry),
                None => Entry::adopt(&self.directory, &name, self.reporter.provider()),
            };
            // An entry that cannot be served, because it is no directory or
            // was removed this moment, is looked at again.
            if let Ok(mut entry) = entry
                && entry.serve(&*self.reporter).is_ok()
            {
                self.entries.insert(name, entry);
            }
        }
        Ok(())
    }
}

impl Entry {
    fn adopt(parent: &OwnedFd, name: &OsStr, provider: &str) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let entry = Self {
            directory: openat(parent, name, flags, Mode::empty())?,
            generation: 0,
        };
        entry.put("provider", format!("{provider}\n").as_bytes())?;
        entry.put("privlevel_floor", b"0\n")?;
        for attribute in ["privlevel", "inblob", "outblob", "auxblob"] {
            entry.put(attribute, b"")?;
        }
        // The last one: whoever sees it sees all.
        entry.put("generation", b"0\n")?;
        Ok(entry)
    }

    fn serve(&mut self, reporter: &dyn Reporter) -> io::Result<()> {
        let Some(data) = self.request()? else {
            return Ok(());
        };
        // Nobody takes the last report for the next.
        self.put("outblob", b"")?;
        self.generation = self.generation.wrapping_add(1);
        self.put("generation", format!("{}\n", self.generation).as_bytes())?;
        if let Some(report) = reporter.report(&data) {
            self.put("auxblob", &report.auxblob)?;
            self.put("outblob", &report.outblob)?;
        }
        Ok(())
    }

    /// A complete request, which is taken away: `inblob` cannot be read in the kernel's either.
    fn request(&self) -> io::Result<Option<[u8; REQUEST_BYTES]>> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.directory, "inblob", flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let mut bytes = Vec::new();
        let most = u64::try_from(REQUEST_BYTES).unwrap_or(u64::MAX);
        io::Read::by_ref(&mut file)
            .take(most.saturating_add(1))
            .read_to_end(&mut bytes)?;
        if bytes.len() < REQUEST_BYTES {
            return Ok(None);
        }
        file.set_len(0)?;
        Ok(bytes.try_into().ok())
    }

    /// Writes an attribute in one step.
    fn put(&self, attribute: &str, bytes: &[u8]) -> io::Result<()> {
        let directory = self.directory.as_fd();
        // What a step that failed may have left.
        let _ = unlinkat(directory, NEW, AtFlags::empty());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file = File::from(openat(directory, NEW, flags, mode)?);
        file.write_all(bytes)?;
        Ok(renameat(directory, NEW, directory, attribute)?)
    }
}

#[cfg(test)]
mod tests;
