//! Archives for the kernel's initial file system ("newc", Documentation of
//! Linux: driver-api/early-userspace/buffer-format).
//!
//! Nothing of the builder's machine gets in: every entry belongs to root and
//! has time 0, and the order is that of the calls.

use anyhow::{Context, Result};

const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// What ends an archive.
const TRAILER: &str = "TRAILER!!!";

/// Archives are padded to it, so that they can follow each other.
const BLOCK: usize = 512;

/// An archive in the making.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

struct Entry<'a> {
    name: &'a str,
    mode: u32,
    links: u32,
    /// Major and minor number of a device.
    device: (u32, u32),
    content: &'a [u8],
}

impl Archive {
    /// Adds a folder.
    pub fn folder(&mut self, name: &str) -> Result<()> {
        self.add(&Entry {
            name,
            mode: FOLDER | 0o755,
            links: 2,
            device: (0, 0),
            content: &[],
        })
    }

    /// Adds a file with these permissions.
    pub fn file(&mut self, name: &str, permissions: u32, content: &[u8]) -> Result<()> {
        self.add(&Entry {
            name,
            mode: FILE | permissions,
            links: 1,
            device: (0, 0),
            content,
        })
    }

    /// Adds a character device that only root may open.
    pub fn character_device(&mut self, name: &str, major: u32, minor: u32) -> Result<()> {
        self.add(&Entry {
            name,
            mode: CHARACTER_DEVICE | 0o600,
            links: 1,
            device: (major, minor),
            content: &[],
        })
    }

    /// The whole archive.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        self.entries = 0;
        self.header(&Entry {
            name: TRAILER,
            mode: 0,
            links: 1,
            device: (0, 0),
            content: &[],
        })?;
        self.pad(BLOCK);
        Ok(self.bytes)
    }

    fn add(&mut self, entry: &Entry<'_>) -> Result<()> {
        self.entries += 1;
        self.header(entry)?;
        self.bytes.extend_from_slice(entry.content);
        self.pad(4);
        Ok(())
    }

    fn header(&mut self, entry: &Entry<'_>) -> Result<()> {
        let size = u32::try_from(entry.content.len())
            .with_context(|| format!("`{}` is too large for an archive", entry.name))?;
        let name_size = u32::try_from(entry.name.len() + 1)?;
        let (major, minor) = entry.device;
        let fields = [
            self.entries,
            entry.mode,
            0, // user
            0, // group
            entry.links,
            0, // time
            size,
            0, // major and minor number of the file system
            0,
            major,
            minor,
            name_size,
            0, // checksum, of another format
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(entry.name.as_bytes());
        self.bytes.push(0);
        self.pad(4);
        Ok(())
    }

    fn pad(&mut self, multiple: usize) {
        let length = self.bytes.len().next_multiple_of(multiple);
        self.bytes.resize(length, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_the_written_form() {
        let mut archive = Archive::default();
        archive.folder("dev").unwrap();
        archive.character_device("dev/console", 5, 1).unwrap();
        archive.file("init", 0o755, b"hello").unwrap();
        let bytes = archive.finish().unwrap();

        // Number, mode, links, size, major, minor, length of the name.
        let header = |[number, mode, links, size, major, minor, name]: [u32; 7]| {
            format!(
                "070701{number:08x}{mode:08x}{0:08x}{0:08x}{links:08x}{0:08x}{size:08x}\
                 {0:08x}{0:08x}{major:08x}{minor:08x}{name:08x}{0:08x}",
                0
            )
        };
        let expected = [
            &header([1, 0o040_755, 2, 0, 0, 0, 4]),
            "dev\0\0\0",
            &header([2, 0o020_600, 1, 0, 5, 1, 12]),
            "dev/console\0\0\0",
            &header([3, 0o100_755, 1, 5, 0, 0, 5]),
            "init\0\0hello\0\0\0",
            &header([0, 0, 1, 0, 0, 0, 11]),
            "TRAILER!!!\0\0\0\0",
        ]
        .concat();
        let (start, padding) = bytes.split_at(expected.len());
        assert_eq!(String::from_utf8_lossy(start), expected);
        assert!(padding.iter().all(|byte| *byte == 0));
        assert_eq!(bytes.len() % BLOCK, 0);
    }
}
