//! The hypervisor's part: what was measured, what vouches for it, and where the sockets are.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    Confinement, DevPlatform, LaunchError, Measurements, Options,
    confined::{Plan, SOCKETS, is_embedded},
    find::find_stage,
    hardware::{Hardware, Machine},
    measure::{ENCLAVE_SOCKET, NSM_SOCKET, TSM_DIRECTORY, all_arguments, file_digest, measured},
};

/// What the launcher simulates; all of it is public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TeeInfo {
    /// The platform it plays.
    pub platform: DevPlatform,
    /// SHA-256 of the development root's certificate, which a policy that trusts it must name.
    pub root_fingerprint: [u8; 32],
    /// What evidence says about the enclave.
    pub measurements: Measurements,
    /// Whether the enclave is confined; PCR2 says the same.
    pub confined: bool,
}

/// What stays the same for all lives of an enclave.
#[derive(Debug)]
pub(crate) struct Tee {
    pub(crate) info: TeeInfo,
    pub(crate) options: Options,
    pub(crate) socket: PathBuf,
    program_digest: [u8; 48],
    machine: Machine,
    stage: Option<PathBuf>,
    directory: PathBuf,
    // Held for its drop, which removes it.
    _own: Option<TempDir>,
}

/// A program to start and its arguments.
pub(crate) struct Start {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
}

impl Tee {
    /// Measures the enclave and finds or makes the root. It reads files and computes: not for async code.
    pub(crate) fn new(options: Options) -> Result<Self, LaunchError> {
        let program_digest =
            file_digest(&options.program).map_err(|source| LaunchError::Spawn {
                program: options.program.clone(),
                source,
            })?;
        let confined = options.confinement == Confinement::Full;
        let stage = match (&options.stage, confined) {
            (_, false) => None,
            (Some(stage), true) => Some(stage.clone()),
            (None, true) if is_embedded() => {
                Some(std::env::current_exe().map_err(|_| LaunchError::NoStage)?)
            }
            (None, true) => Some(find_stage().ok_or(LaunchError::NoStage)?),
        };
        let (socket, directory, own) = sockets(&options, confined)?;
        let root = options.roots.root(options.platform)?;
        let (arguments, platform) = (&options.arguments, options.platform);
        let info = TeeInfo {
            platform,
            root_fingerprint: root.fingerprint(),
            measurements: measured(&program_digest, arguments, platform, options.confinement),
            confined,
        };
        Ok(Self {
            info,
            options,
            socket,
            program_digest,
            machine: Machine::new(root, info.measurements)?,
            stage,
            directory,
            _own: own,
        })
    }

    /// The hardware of a new life: registers begin anew.
    pub(crate) fn hardware(&self) -> Result<Hardware, LaunchError> {
        let hardware = self.machine.start(&self.directory);
        hardware.map_err(LaunchError::Hardware)
    }

    /// What to start for a new life.
    pub(crate) fn start(&self) -> Start {
        let Options {
            program,
            arguments,
            platform,
            stop_timeout,
            ..
        } = &self.options;
        match &self.stage {
            None => {
                let mut all = all_arguments(arguments, *platform, &self.directory);
                // Its name is free where nothing depends on it.
                for argument in &mut all {
                    if *argument == self.directory.join(ENCLAVE_SOCKET) {
                        *argument = self.socket.clone().into();
                    }
                }
                Start {
                    program: program.clone(),
                    arguments: all,
                }
            }
            Some(stage) => {
                let plan = Plan {
                    program: program.clone(),
                    digest: self.program_digest,
                    sockets: self.directory.clone(),
                    patience: *stop_timeout,
                    arguments: all_arguments(arguments, *platform, Path::new(SOCKETS)),
                };
                Start {
                    program: stage.clone(),
                    arguments: plan.write(),
                }
            }
        }
    }
}

/// The enclave's socket, its directory, and that directory when it is ours to remove.
fn sockets(
    options: &Options,
    confined: bool,
) -> Result<(PathBuf, PathBuf, Option<TempDir>), LaunchError> {
    let Some(socket) = &options.socket else {
        let own = tempfile::Builder::new()
            .prefix("zkpass-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir();
        let own = own.map_err(LaunchError::Directory)?;
        let directory = own.path().to_owned();
        return Ok((directory.join(ENCLAVE_SOCKET), directory, Some(own)));
    };
    let directory = match socket.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    // The paths reach another process, whose working directory is its own.
    let directory = if confined {
        if !is_named_as_inside(socket) {
            return Err(LaunchError::SocketName(socket.clone()));
        }
        make_directory(&directory).map_err(LaunchError::Directory)?;
        if !is_ours_alone(&directory).map_err(LaunchError::Directory)? {
            return Err(LaunchError::SharedDirectory(directory));
        }
        directory.canonicalize().map_err(LaunchError::Directory)?
    } else {
        directory
    };
    Ok((socket.clone(), directory, None))
}

fn is_named_as_inside(socket: &Path) -> bool {
    socket
        .file_name()
        .is_some_and(|name| name == ENCLAVE_SOCKET)
}

fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Whether nobody else can write there, and nothing is there that is not for the enclave, which
/// sees and may change the whole directory.
fn is_ours_alone(directory: &Path) -> io::Result<bool> {
    let metadata = fs::metadata(directory)?;
    let is_ours = metadata.uid() == nix::unistd::geteuid().as_raw();
    let mut only_known = true;
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        only_known &= [ENCLAVE_SOCKET, NSM_SOCKET, TSM_DIRECTORY]
            .iter()
            .any(|known| name == *known);
    }
    Ok(is_ours && metadata.mode() & 0o022 == 0 && only_known)
}
