//! Looks for pieces of texts in bytes and in the memory of processes.
//!
//! Reads `/proc/PID/mem` of processes that refuse inspection, which only root may:
//! see [`may_inspect`].
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    collections::HashSet,
    fs::{self, File},
    io::Read as _,
    os::unix::fs::{FileExt as _, MetadataExt as _},
};

use aho_corasick::AhoCorasick;
use zkpass_core::encoding::{base64url, hex};

/// What is looked for: any so many bytes in a row.
const PIECE: usize = 16;

/// Whether this user may look into processes that refuse inspection. Whoever may
/// not is told that the test is left out; under CI that is a failure.
pub fn may_inspect() -> bool {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is_root {
        assert!(std::env::var_os("CI").is_none(), "CI must run as root");
        eprintln!("LEFT OUT: only root may read the memory of other processes");
    }
    is_root
}

/// 64 hexadecimal digits that occur nowhere else.
pub fn random() -> String {
    let mut bytes = [0; 32];
    let mut source = File::open("/dev/urandom").unwrap();
    source.read_exact(&mut bytes).unwrap();
    hex(&bytes)
}

/// Pieces to look for.
pub struct Pieces(AhoCorasick);

impl Pieces {
    /// Every piece of the needles: as they are, in hexadecimal, in base64url at each
    /// of the three alignments, and with each character in 32 bits.
    pub fn of<T: AsRef<[u8]>>(needles: &[T]) -> Self {
        let mut pieces = HashSet::new();
        for needle in needles {
            let needle = needle.as_ref();
            assert!(needle.len() >= PIECE, "too short to be looked for");
            let mut add = |text: &[u8]| pieces.extend(text.windows(PIECE).map(<[u8]>::to_vec));
            add(needle);
            add(hex(needle).as_bytes());
            for shift in 0..3 {
                let text = base64url(&[&[0; 3][..shift], needle].concat());
                // Characters that also depend on the neighbours are left out.
                let inner = &text[if shift == 0 { 0 } else { shift + 1 }..text.len() - 2];
                add(inner.as_bytes());
            }
            // Longer, because small numbers in a row also stand in circuits.
            let wide: Vec<u8> = needle.iter().flat_map(|byte| [*byte, 0, 0, 0]).collect();
            let wide = wide.windows(2 * PIECE).step_by(4);
            pieces.extend(wide.map(<[u8]>::to_vec));
        }
        Self(AhoCorasick::new(pieces).unwrap())
    }

    /// Pieces in some bytes.
    pub fn in_bytes(&self, bytes: &[u8]) -> Vec<String> {
        let found = self.0.find_iter(bytes);
        found
            .map(|piece| {
                let text = String::from_utf8_lossy(&bytes[piece.range()]).into_owned();
                format!("{text:?} at {}", piece.start())
            })
            .collect()
    }

    /// Pieces in the memory of a process, with the region they are in.
    pub fn in_memory_of(&self, process_id: u32) -> Vec<String> {
        let maps = fs::read_to_string(format!("/proc/{process_id}/maps"))
            .expect("reading the memory of another process takes root");
        let memory = File::open(format!("/proc/{process_id}/mem"))
            .expect("reading the memory of another process takes root");
        let mut found = Vec::new();
        let mut scanned = 0;
        for line in maps.lines() {
            let mut words = line.split_whitespace();
            let range = words.next().unwrap();
            let is_readable = words.next().unwrap().starts_with('r');
            // Pages of the kernel, some of which nobody may read this way.
            if !is_readable || line.contains("[v") {
                continue;
            }
            let (start, end) = range.split_once('-').unwrap();
            let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
            scanned += self.scan(&memory, start, end, line, &mut found);
        }
        // Our programs alone have more than this; less means that nothing was read.
        assert!(scanned > 4 * 1024 * 1024, "{scanned} bytes were read");
        found
    }

    fn scan(
        &self,
        memory: &File,
        start: u64,
        end: u64,
        region: &str,
        found: &mut Vec<String>,
    ) -> usize {
        const CHUNK: usize = 1024 * 1024;
        // The longest pieces are twice as long, and may lie across two chunks.
        let mut chunk = vec![0; CHUNK + 8 * PIECE];
        let mut place = start;
        let mut scanned = 0;
        while place < end {
            let length = usize::try_from(end - place).unwrap().min(chunk.len());
            // A region may go away meanwhile.
            let Ok(count) = memory.read_at(&mut chunk[..length], place) else {
                break;
            };
            let pieces = self.in_bytes(&chunk[..count]);
            found.extend(
                pieces
                    .iter()
                    .map(|p| format!("{p} after {place:x} in {region}")),
            );
            scanned += count.min(CHUNK);
            place += CHUNK as u64;
        }
        scanned
    }
}
