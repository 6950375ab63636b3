//! Enclave image files for AWS Nitro Enclaves: format version 4, without signature.
//!
//! Numbers are big-endian. A header with the places of all sections is followed
//! by the sections, each with a header of its own. The hypervisor measures
//! sections' contents, not the file: PCR0 all of them, PCR1 kernel, command
//! line and first ramdisk, PCR2 the other ramdisks. Metadata is not measured.

use anyhow::{Result, ensure};
use serde_json::json;
use sha2::{Digest, Sha384};

use super::kernel::Kernel;

const MAGIC: &[u8] = b".eif";
const VERSION: u16 = 4;
const HEADER_BYTES: usize = 548;
const MAX_SECTIONS: usize = 32;

const KERNEL: u16 = 1;
const COMMAND_LINE: u16 = 2;
const RAMDISK: u16 = 3;
const METADATA: u16 = 5;

/// What the vendor's library writes; whoever starts the enclave says what it gets.
const DEFAULT_MEMORY_BYTES: u64 = 1 << 30;
const DEFAULT_PROCESSORS: u64 = 2;

/// A register of the platform's configuration.
pub type Register = [u8; 48];

/// An image file and what will be measured when it starts.
pub struct Eif {
    pub image: Vec<u8>,
    /// PCR0, PCR1 and PCR2.
    pub registers: [Register; 3],
}

/// Builds an image file.
pub fn build(kernel: &Kernel, command_line: &str, ramdisks: &[Vec<u8>]) -> Result<Eif> {
    let metadata = metadata(&kernel.version);
    let mut sections: Vec<(u16, &[u8])> = vec![
        (KERNEL, &kernel.image),
        (COMMAND_LINE, command_line.as_bytes()),
        (METADATA, metadata.as_bytes()),
    ];
    sections.extend(ramdisks.iter().map(|ramdisk| (RAMDISK, &ramdisk[..])));
    Ok(Eif {
        image: file(&sections)?,
        registers: registers(&kernel.image, command_line, ramdisks),
    })
}

fn file(sections: &[(u16, &[u8])]) -> Result<Vec<u8>> {
    ensure!(sections.len() <= MAX_SECTIONS, "too many sections");
    let mut offsets = [0_u64; MAX_SECTIONS];
    let mut sizes = [0_u64; MAX_SECTIONS];
    let mut body = Vec::new();
    for (index, (kind, content)) in sections.iter().enumerate() {
        offsets[index] = u64::try_from(HEADER_BYTES + body.len())?;
        sizes[index] = u64::try_from(content.len())?;
        body.extend_from_slice(&kind.to_be_bytes());
        body.extend_from_slice(&[0; 2]); // flags
        body.extend_from_slice(&sizes[index].to_be_bytes());
        body.extend_from_slice(content);
    }

    let mut image = MAGIC.to_vec();
    image.extend_from_slice(&VERSION.to_be_bytes());
    image.extend_from_slice(&[0; 2]); // flags: x86_64
    image.extend_from_slice(&DEFAULT_MEMORY_BYTES.to_be_bytes());
    image.extend_from_slice(&DEFAULT_PROCESSORS.to_be_bytes());
    image.extend_from_slice(&[0; 2]); // reserved
    image.extend_from_slice(&u16::try_from(sections.len())?.to_be_bytes());
    for number in offsets.iter().chain(&sizes) {
        image.extend_from_slice(&number.to_be_bytes());
    }
    image.extend_from_slice(&[0; 4]); // unused
    // Over everything but itself.
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&image);
    checksum.update(&body);
    image.extend_from_slice(&checksum.finalize().to_be_bytes());
    image.append(&mut body);
    Ok(image)
}

fn registers(kernel: &[u8], command_line: &str, ramdisks: &[Vec<u8>]) -> [Register; 3] {
    let mut everything = Sha384::new();
    let mut boot = Sha384::new();
    let mut program = Sha384::new();
    for part in [kernel, command_line.as_bytes()] {
        everything.update(part);
        boot.update(part);
    }
    for (index, ramdisk) in ramdisks.iter().enumerate() {
        everything.update(ramdisk);
        let part = if index == 0 { &mut boot } else { &mut program };
        part.update(ramdisk);
    }
    // A register begins with zeros and is extended once.
    [everything, boot, program].map(|hash| {
        Sha384::new()
            .chain_update([0; 48])
            .chain_update(hash.finalize())
            .finalize()
            .into()
    })
}

/// For people: what `nitro-cli describe-eif` shows.
fn metadata(kernel_version: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    json!({
        "ImageName": "zkpass-enclave",
        "ImageVersion": version,
        "BuildMetadata": {
            // The time of the build would make every build another file.
            "BuildTime": "1970-01-01T00:00:00+00:00",
            "BuildTool": "zkpass-xtask",
            "BuildToolVersion": version,
            "OperatingSystem": "Linux",
            "KernelVersion": kernel_version,
        },
        "DockerInfo": {},
        "CustomMetadata": {},
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::super::measurements::hex;
    use super::*;

    /// The expected values come from version 0.8.1 of the library
    /// `aws-nitro-enclaves-image-format`, given the same parts.
    #[test]
    fn the_vendor_s_library_builds_the_same_file() {
        let kernel = Kernel {
            image: b"a kernel".repeat(100),
            version: "6.1.2".to_owned(),
            modules: Vec::new(),
        };
        let ramdisks = [b"boot".to_vec(), b"program".repeat(1000)];
        let built = build(&kernel, "console=ttyS0", &ramdisks).unwrap();
        let expected = [
            "6b129cf14f036678857bf260f57af670e4665d04c6531b56b439f6766a8d84350c566475091983f1ddb495b1a472635a",
            "f24a382801d74eaddb3616a381ab5520fc00ea76310659e98358546bfc0bc7bf455b1f0eb11d5c6407e531ab2b33ab8b",
            "25643dd334cac5bb494035154dbfbc5b66cdb93b0c86c12e6fc9cdad1fc481b3d8bfe5e9b5354f94cb6b921b759c2a0e",
        ];
        assert_eq!(built.registers.map(|register| hex(&register)), expected);
        let expected = "db2520e416effd06f974d000b3dedfbb1ada1a9b111f7e70976f73bf4d289527a004497da490ad91d87b5ca60a93bf13";
        assert_eq!(hex(&Sha384::digest(&built.image)), expected);
    }
}
