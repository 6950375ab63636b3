//! The development root: what signs evidence in place of a vendor's hardware.

use std::{
    fs::{DirBuilder, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use getrandom::SysRng;
use zkpass_devtee::{
    nitro::{NitroRoot, NitroRootError},
    rand_core::{CryptoRng, UnwrapErr},
};

/// A root in PEM has about two kilobytes, a larger key some more.
const MAX_ROOT_BYTES: u64 = 64 * 1024;

/// The platform that the launcher plays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DevPlatform {
    /// AWS Nitro Enclaves: documents of a Nitro Security Module.
    #[default]
    Nitro,
}

impl DevPlatform {
    /// All platforms.
    pub const ALL: [Self; 1] = [Self::Nitro];

    /// The name in options, configuration and evidence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nitro => "nitro",
        }
    }

    /// The platform of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    fn file_name(self) -> String {
        format!("{}-root.pem", self.name())
    }
}

/// Where development roots are kept. There is none in this repository and none is built in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DevRoots {
    directory: Option<PathBuf>,
}

/// Why there is no development root.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The directory could not be made or looked at.
    #[error("cannot use the state directory `{}`", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Others than this user can read a key or change its directory.
    #[error("`{}` must belong to this user and be closed to all others (chmod go=)", .0.display())]
    Exposed(PathBuf),
    /// The file could not be read or written.
    #[error("cannot use the root in `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file holds no root.
    #[error("`{}` holds no root", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: NitroRootError,
    },
    /// No root could be made, or the root does not certify.
    #[error("the development root cannot be used")]
    Root(#[from] NitroRootError),
}

impl DevRoots {
    /// A new root at each start, which nobody can pin.
    pub fn ephemeral() -> Self {
        Self::default()
    }

    /// Roots in a directory, made at the first start.
    pub fn at(state_directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: Some(state_directory.into()),
        }
    }

    /// The root of a platform, new where there is none.
    pub(crate) fn nitro(&self) -> Result<NitroRoot, RootError> {
        let Some(directory) = &self.directory else {
            return Ok(NitroRoot::generate(&mut randomness(), now())?);
        };
        prepare(directory)?;
        let path = directory.join(DevPlatform::Nitro.file_name());
        let failed = |source| RootError::File {
            path: path.clone(),
            source,
        };
        let text = match read_private(&path)? {
            Some(text) => text,
            None => {
                let made = NitroRoot::generate(&mut randomness(), now())?.to_pem()?;
                write_private(directory, &path, &made).map_err(failed)?;
                // What is there counts: another process may have been faster.
                read_private(&path)?
                    .ok_or_else(|| failed(io::Error::from(io::ErrorKind::NotFound)))?
            }
        };
        NitroRoot::from_pem(&text).map_err(|source| RootError::Malformed { path, source })
    }
}

/// Makes the directory, or checks that it is this user's alone.
fn prepare(directory: &Path) -> Result<(), RootError> {
    let failed = |source| RootError::Directory {
        path: directory.to_owned(),
        source,
    };
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(directory).map_err(failed)?;
    let metadata = directory.metadata().map_err(failed)?;
    check_private(directory, &metadata)
}

fn check_private(path: &Path, metadata: &std::fs::Metadata) -> Result<(), RootError> {
    let is_ours = metadata.uid() == nix::unistd::geteuid().as_raw();
    if is_ours && metadata.mode() & 0o077 == 0 {
        Ok(())
    } else {
        Err(RootError::Exposed(path.to_owned()))
    }
}

/// The text of a file that only this user can read, if it is there.
fn read_private(path: &Path) -> Result<Option<Secret>, RootError> {
    let failed = |source| RootError::File {
        path: path.to_owned(),
        source,
    };
    let opened = File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    check_private(path, &file.metadata().map_err(failed)?)?;
    let mut text = Secret::default();
    let length = file.take(MAX_ROOT_BYTES).read_to_string(&mut text);
    length.map_err(failed)?;
    Ok(Some(text))
}

type Secret = zeroize::Zeroizing<String>;

/// Writes a file in one step, unless it is there by now.
fn write_private(directory: &Path, path: &Path, text: &str) -> io::Result<()> {
    // It has the mode 0600 from the beginning.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
        _ => File::open(directory)?.sync_all(),
    }
}

/// The operating system's randomness. It panics where there is none, which
/// Linux does not know after its start.
pub(crate) fn randomness() -> impl CryptoRng {
    UnwrapErr(SysRng)
}

/// Unix time in seconds.
pub(crate) fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    elapsed.map_or(0, |elapsed| {
        i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt as _,
    };

    use super::*;

    fn closed_directory() -> tempfile::TempDir {
        let closed = Permissions::from_mode(0o700);
        tempfile::Builder::new()
            .permissions(closed)
            .tempdir()
            .unwrap()
    }

    #[test]
    fn a_root_is_made_once_and_kept_closed() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("a/state");
        let roots = DevRoots::at(&state);
        let fingerprint = roots.nitro().unwrap().fingerprint();
        assert_eq!(roots.nitro().unwrap().fingerprint(), fingerprint);
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&state), 0o700);
        assert_eq!(mode(&state.join("nitro-root.pem")), 0o600);
        // Nothing half-written stays.
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
    }

    #[test]
    fn ephemeral_roots_differ() {
        let one = DevRoots::ephemeral().nitro().unwrap().fingerprint();
        assert_ne!(DevRoots::ephemeral().nitro().unwrap().fingerprint(), one);
    }

    #[test]
    fn a_root_that_others_can_read_is_refused() {
        let directory = closed_directory();
        let roots = DevRoots::at(directory.path());
        roots.nitro().unwrap();
        let file = directory.path().join("nitro-root.pem");
        for (path, closed) in [(file.as_path(), 0o600), (directory.path(), 0o700)] {
            for open in [0o040, 0o004, 0o020] {
                fs::set_permissions(path, Permissions::from_mode(closed | open)).unwrap();
                assert!(
                    matches!(roots.nitro(), Err(RootError::Exposed(exposed)) if exposed == path),
                    "{open:o}"
                );
            }
            fs::set_permissions(path, Permissions::from_mode(closed)).unwrap();
            roots.nitro().unwrap();
        }
    }

    #[test]
    fn what_is_not_a_root_is_never_replaced() {
        let directory = closed_directory();
        let roots = DevRoots::at(directory.path());
        let file = directory.path().join("nitro-root.pem");
        write_private(directory.path(), &file, "precious").unwrap();
        assert!(matches!(roots.nitro(), Err(RootError::Malformed { .. })));
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");

        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &file).unwrap();
        assert!(matches!(roots.nitro(), Err(RootError::File { .. })));
    }
}
