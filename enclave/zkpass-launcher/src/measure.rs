//! What the launcher measures: the program, its configuration, its confinement.
//!
//! As in AWS Nitro Enclaves a platform configuration register (PCR) begins
//! with 48 zero bytes and is extended once:
//!
//! ```text
//! PCRn = SHA-384(48 zero bytes || SHA-384(data n))
//!
//! data 0   the program file
//! data 1   count, then for each item its length and its bytes, where count and
//!          lengths are 32-bit big-endian integers and the items are
//!          `zkpass-enclave-configuration-v1` and the enclave's arguments
//! data 2   the text of the confinement profile
//! ```
//!
//! So PCR0 of a file is, in a shell:
//!
//! ```sh
//! (head -c 48 /dev/zero; sha384sum zkpass-enclave | head -c 96 | xxd -r -p) | sha384sum
//! ```
//!
//! On the other platforms the same values stand in other fields; see the table
//! of [`DevPlatform`].
//!
//! The arguments are those a confined enclave gets, with the paths of its own
//! root, also when it is not confined: then only PCR2 differs.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use sha2::{Digest as _, Sha256, Sha384};

use crate::{
    Confinement, DevPlatform,
    confined::{NO_PROFILE, PROFILE, SOCKETS},
};

/// The first item of data 1.
const CONFIGURATION: &str = "zkpass-enclave-configuration-v1";

/// The names of what is in the directory of the sockets.
pub(crate) const ENCLAVE_SOCKET: &str = "enclave.sock";
pub(crate) const NSM_SOCKET: &str = "nsm.sock";
pub(crate) const TSM_DIRECTORY: &str = "tsm";

/// Platform configuration registers of an enclave; those that are not here are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measurements {
    /// The program.
    pub pcr0: [u8; 48],
    /// Its arguments.
    pub pcr1: [u8; 48],
    /// Its confinement.
    pub pcr2: [u8; 48],
}

impl Measurements {
    /// What stands in HOST_DATA of a SEV-SNP report, which has 32 bytes for
    /// configuration and confinement: SHA-256 of PCR1 and PCR2.
    pub fn host_data(&self) -> [u8; 32] {
        let hash = Sha256::new().chain_update(self.pcr1);
        hash.chain_update(self.pcr2).finalize().into()
    }
}

/// Measures an enclave as [`Launcher::start`](crate::Launcher::start) does:
/// `arguments` are those of [`Options`](crate::Options), without the ones that
/// the launcher adds.
pub fn measure(
    program: &Path,
    arguments: &[OsString],
    platform: DevPlatform,
    confinement: Confinement,
) -> io::Result<Measurements> {
    Ok(measured(
        &file_digest(program)?,
        arguments,
        platform,
        confinement,
    ))
}

/// The same from SHA-384 of the program.
pub(crate) fn measured(
    program: &[u8; 48],
    arguments: &[OsString],
    platform: DevPlatform,
    confinement: Confinement,
) -> Measurements {
    let profile = match confinement {
        Confinement::Full => PROFILE,
        Confinement::DangerNone => NO_PROFILE,
    };
    let all = all_arguments(arguments, platform, Path::new(SOCKETS));
    Measurements {
        pcr0: register(program),
        pcr1: register(&Sha384::digest(configuration(&all)).into()),
        pcr2: register(&Sha384::digest(profile).into()),
    }
}

/// SHA-384 of a file.
pub(crate) fn file_digest(path: &Path) -> io::Result<[u8; 48]> {
    let mut hash = Sha384::new();
    io::copy(&mut File::open(path)?, &mut hash)?;
    Ok(hash.finalize().into())
}

/// The enclave's arguments, with the ones that the launcher adds.
pub(crate) fn all_arguments(
    own: &[OsString],
    platform: DevPlatform,
    sockets: &Path,
) -> Vec<OsString> {
    let mut all = own.to_vec();
    all.push("--socket".into());
    all.push(sockets.join(ENCLAVE_SOCKET).into());
    all.push("--exit-with-stdin".into());
    all.push("--evidence".into());
    all.push(platform.name().into());
    let (option, name) = match platform {
        DevPlatform::Nitro => ("--nsm-socket", NSM_SOCKET),
        DevPlatform::SevSnp | DevPlatform::Tdx => ("--tsm-root", TSM_DIRECTORY),
    };
    all.push(option.into());
    all.push(sockets.join(name).into());
    all
}

/// Data 1.
fn configuration(arguments: &[OsString]) -> Vec<u8> {
    let items: Vec<&OsStr> = [OsStr::new(CONFIGURATION)]
        .into_iter()
        .chain(arguments.iter().map(OsString::as_os_str))
        .collect();
    let mut data = length(items.len()).to_vec();
    for item in items {
        data.extend(length(item.len()));
        data.extend(item.as_bytes());
    }
    data
}

fn length(count: usize) -> [u8; 4] {
    // The kernel's limit for arguments is far below.
    u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes()
}

/// A register that was extended once with a digest.
fn register(digest: &[u8; 48]) -> [u8; 48] {
    Sha384::new()
        .chain_update([0; 48])
        .chain_update(digest)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// The value that standard tools compute.
    fn by_tools(data: &Path) -> String {
        let script = "(head -c 48 /dev/zero; sha384sum \"$0\" | head -c 96 | xxd -r -p) \
                      | sha384sum | head -c 96";
        let output = Command::new("sh").args(["-c", script]).arg(data).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_documented_formula_gives_the_registers() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("program");
        let configuration = directory.path().join("configuration");
        let profile = directory.path().join("profile");
        std::fs::write(&program, [7; 100_000]).unwrap();
        std::fs::write(&profile, PROFILE).unwrap();
        let items = [
            "zkpass-enclave-configuration-v1",
            "--provers",
            "2",
            "--socket",
            "/run/zkpass/enclave.sock",
            "--exit-with-stdin",
            "--evidence",
            "nitro",
            "--nsm-socket",
            "/run/zkpass/nsm.sock",
        ];
        let mut data = vec![0, 0, 0, 10];
        for item in items {
            data.extend([0, 0, 0, item.len() as u8]);
            data.extend(item.as_bytes());
        }
        std::fs::write(&configuration, data).unwrap();

        let arguments = ["--provers".into(), "2".into()];
        let measured = measure(&program, &arguments, DevPlatform::Nitro, Confinement::Full);
        let measured = measured.unwrap();
        assert_eq!(hex(&measured.pcr0), by_tools(&program));
        assert_eq!(hex(&measured.pcr1), by_tools(&configuration));
        assert_eq!(hex(&measured.pcr2), by_tools(&profile));
    }

    #[test]
    fn each_register_depends_on_its_own_part_only() {
        let one = |program: u8, arguments: &[&str], confinement| {
            let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
            measured(&[program; 48], &arguments, DevPlatform::Nitro, confinement)
        };
        let base = one(1, &["a", "b"], Confinement::Full);
        let program = one(2, &["a", "b"], Confinement::Full);
        assert_eq!((base.pcr1, base.pcr2), (program.pcr1, program.pcr2));
        assert_ne!(base.pcr0, program.pcr0);
        for arguments in [&["ab"][..], &["a", "b", ""], &["b", "a"], &[]] {
            let other = one(1, arguments, Confinement::Full);
            assert_eq!((base.pcr0, base.pcr2), (other.pcr0, other.pcr2));
            assert_ne!(base.pcr1, other.pcr1, "{arguments:?}");
        }
        let unconfined = one(1, &["a", "b"], Confinement::DangerNone);
        assert_eq!((base.pcr0, base.pcr1), (unconfined.pcr0, unconfined.pcr1));
        assert_ne!(base.pcr2, unconfined.pcr2);
    }
}
