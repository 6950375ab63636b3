//! The development root: what signs evidence in place of a vendor's hardware.

use std::{
    fmt,
    fs::{DirBuilder, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use getrandom::SysRng;
use zeroize::Zeroizing;
use zkpass_devtee::{
    nitro::NitroRoot,
    rand_core::{CryptoRng, UnwrapErr},
    sev_snp::SnpRoot,
    tdx::TdxRoot,
};

/// A root in PEM has about two kilobytes, a larger key some more.
const MAX_ROOT_BYTES: u64 = 64 * 1024;

/// The platform that the launcher plays, and where its evidence says what was measured.
///
/// | | Nitro | SEV-SNP | TDX |
/// | --- | --- | --- | --- |
/// | program | PCR0 | MEASUREMENT | MRTD |
/// | configuration | PCR1 | in HOST_DATA | RTMR0 |
/// | confinement | PCR2 | in HOST_DATA | RTMR1 |
///
/// HOST_DATA is SHA-256 of PCR1 and PCR2, one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DevPlatform {
    /// AWS Nitro Enclaves: documents of a Nitro Security Module.
    #[default]
    Nitro,
    /// AMD SEV-SNP: reports through configfs-tsm.
    SevSnp,
    /// Intel TDX: quotes through configfs-tsm.
    Tdx,
}

impl DevPlatform {
    /// All platforms.
    pub const ALL: [Self; 3] = [Self::Nitro, Self::SevSnp, Self::Tdx];

    /// The name in options, configuration and evidence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nitro => "nitro",
            Self::SevSnp => "sev-snp",
            Self::Tdx => "tdx",
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
///
/// Clones are the same place.
#[derive(Clone)]
pub struct DevRoots(Place);

#[derive(Clone)]
enum Place {
    Directory(PathBuf),
    /// The texts of the roots, in the order of [`DevPlatform::ALL`].
    Memory(Arc<Mutex<[Option<Secret>; DevPlatform::ALL.len()]>>),
}

impl Default for DevRoots {
    fn default() -> Self {
        Self::ephemeral()
    }
}

impl fmt::Debug for DevRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Directory(path) => f.debug_tuple("DevRoots").field(path).finish(),
            Place::Memory(_) => f.write_str("DevRoots(..)"),
        }
    }
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
    #[error("`{}` holds no root: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// No root could be made.
    #[error("no development root can be made: {0}")]
    Make(String),
    /// The root certifies no machine, for example because it has expired.
    #[error("the development root cannot be used: {0}")]
    Unusable(String),
}

/// A root of a platform.
#[derive(Debug)]
pub(crate) enum Root {
    Nitro(NitroRoot),
    SevSnp(SnpRoot),
    Tdx(TdxRoot),
}

/// Its text: it holds private keys.
type Secret = Zeroizing<String>;

impl Root {
    fn generate(platform: DevPlatform) -> Result<Self, String> {
        let rng = &mut randomness();
        match platform {
            DevPlatform::Nitro => NitroRoot::generate(rng, now())
                .map(Self::Nitro)
                .map_err(|error| error.to_string()),
            DevPlatform::SevSnp => SnpRoot::generate(rng, now())
                .map(Self::SevSnp)
                .map_err(|error| error.to_string()),
            DevPlatform::Tdx => TdxRoot::generate(rng, now())
                .map(Self::Tdx)
                .map_err(|error| error.to_string()),
        }
    }

    fn read(platform: DevPlatform, text: &str) -> Result<Self, String> {
        match platform {
            DevPlatform::Nitro => NitroRoot::from_pem(text)
                .map(Self::Nitro)
                .map_err(|error| error.to_string()),
            DevPlatform::SevSnp => SnpRoot::from_pem(text)
                .map(Self::SevSnp)
                .map_err(|error| error.to_string()),
            DevPlatform::Tdx => TdxRoot::from_pem(text)
                .map(Self::Tdx)
                .map_err(|error| error.to_string()),
        }
    }

    fn write(&self) -> Result<Secret, String> {
        match self {
            Self::Nitro(root) => root.to_pem().map_err(|error| error.to_string()),
            Self::SevSnp(root) => root.to_pem().map_err(|error| error.to_string()),
            Self::Tdx(root) => root.to_pem().map_err(|error| error.to_string()),
        }
    }

    /// SHA-256 of the certificate in DER.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        match self {
            Self::Nitro(root) => root.fingerprint(),
            Self::SevSnp(root) => root.fingerprint(),
            Self::Tdx(root) => root.fingerprint(),
        }
    }
}

impl DevRoots {
    /// Roots that are made at first use and end with the last clone.
    pub fn ephemeral() -> Self {
        Self(Place::Memory(Arc::default()))
    }

    /// Roots in a directory, made at the first start.
    pub fn at(state_directory: impl Into<PathBuf>) -> Self {
        Self(Place::Directory(state_directory.into()))
    }

    /// The root of a platform, new where there is none.
    pub(crate) fn root(&self, platform: DevPlatform) -> Result<Root, RootError> {
        match &self.0 {
            Place::Directory(directory) => root_in(directory, platform),
            Place::Memory(roots) => {
                let mut roots = roots.lock().unwrap_or_else(PoisonError::into_inner);
                let mut places = DevPlatform::ALL.into_iter().zip(roots.iter_mut());
                let place = places.find(|(one, _)| *one == platform);
                kept(platform, place.map(|(_, root)| root)).map_err(RootError::Make)
            }
        }
    }
}

/// The root in a place in memory, new where there is none.
fn kept(platform: DevPlatform, place: Option<&mut Option<Secret>>) -> Result<Root, String> {
    let Some(place) = place else {
        return Root::generate(platform);
    };
    match place {
        Some(text) => Root::read(platform, text),
        None => {
            let root = Root::generate(platform)?;
            *place = Some(root.write()?);
            Ok(root)
        }
    }
}

/// The root in a directory, new where there is none.
fn root_in(directory: &Path, platform: DevPlatform) -> Result<Root, RootError> {
    prepare(directory)?;
    let path = directory.join(platform.file_name());
    let failed = |source| RootError::File {
        path: path.clone(),
        source,
    };
    let text = match read_private(&path)? {
        Some(text) => text,
        None => {
            let made = Root::generate(platform).and_then(|root| root.write());
            let made = made.map_err(RootError::Make)?;
            write_private(directory, &path, &made).map_err(failed)?;
            // What is there counts: another process may have been faster.
            read_private(&path)?.ok_or_else(|| failed(io::Error::from(io::ErrorKind::NotFound)))?
        }
    };
    Root::read(platform, &text).map_err(|reason| RootError::Malformed { path, reason })
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
        let fingerprint = |platform| roots.root(platform).unwrap().fingerprint();
        for platform in DevPlatform::ALL {
            assert_eq!(fingerprint(platform), fingerprint(platform));
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&state), 0o700);
        for name in ["nitro-root.pem", "sev-snp-root.pem", "tdx-root.pem"] {
            assert_eq!(mode(&state.join(name)), 0o600);
        }
        // Nothing half-written stays.
        assert_eq!(fs::read_dir(&state).unwrap().count(), 3);
    }

    #[test]
    fn ephemeral_roots_differ() {
        let one = DevRoots::ephemeral()
            .root(DevPlatform::Nitro)
            .unwrap()
            .fingerprint();
        assert_ne!(
            DevRoots::ephemeral()
                .root(DevPlatform::Nitro)
                .unwrap()
                .fingerprint(),
            one
        );
    }

    #[test]
    fn a_root_that_others_can_read_is_refused() {
        let directory = closed_directory();
        let roots = DevRoots::at(directory.path());
        roots.root(DevPlatform::Nitro).unwrap();
        let file = directory.path().join("nitro-root.pem");
        for (path, closed) in [(file.as_path(), 0o600), (directory.path(), 0o700)] {
            for open in [0o040, 0o004, 0o020] {
                fs::set_permissions(path, Permissions::from_mode(closed | open)).unwrap();
                assert!(
                    matches!(roots.root(DevPlatform::Nitro), Err(RootError::Exposed(exposed)) if exposed == path),
                    "{open:o}"
                );
            }
            fs::set_permissions(path, Permissions::from_mode(closed)).unwrap();
            roots.root(DevPlatform::Nitro).unwrap();
        }
    }

    #[test]
    fn what_is_not_a_root_is_never_replaced() {
        let directory = closed_directory();
        let roots = DevRoots::at(directory.path());
        let file = directory.path().join("nitro-root.pem");
        write_private(directory.path(), &file, "precious").unwrap();
        assert!(matches!(
            roots.root(DevPlatform::Nitro),
            Err(RootError::Malformed { .. })
        ));
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");

        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &file).unwrap();
        assert!(matches!(
            roots.root(DevPlatform::Nitro),
            Err(RootError::File { .. })
        ));
    }
}
