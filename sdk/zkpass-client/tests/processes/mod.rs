//! What the system shows of running processes and of their files.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::scanner::Pieces;
use crate::stack::PATIENCE;

/// Ordinary files that a process has open for writing.
pub fn writable_files(process_id: u32) -> Vec<String> {
    let mut files = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(format!("/proc/{process_id}/fd")).unwrap() {
        let path = entry.unwrap().path();
        let number = path.file_name().unwrap().to_str().unwrap().to_owned();
        let info = fs::read_to_string(format!("/proc/{process_id}/fdinfo/{number}"));
        // One may be closed meanwhile.
        let (Ok(info), Ok(metadata)) = (info, fs::metadata(&path)) else {
            continue;
        };
        count += 1;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
        const WRITABLE: u32 = 0o3;
        if metadata.is_file() && flags & WRITABLE != 0 {
            files.push(fs::read_link(&path).unwrap().display().to_string());
        }
    }
    assert!(count > 3, "nothing was read");
    files
}

/// The files below a directory with their contents; sockets have none.
pub fn files_below(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files.extend(files_below(&entry.path()));
        }
        let content = match kind.is_file() {
            true => fs::read(entry.path()).unwrap(),
            false => Vec::new(),
        };
        files.insert(entry.path(), content);
    }
    files
}

/// The value of a line of `/proc/PID/status`, for each thread.
pub fn status_of_threads(process_id: u32, name: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process_id}/task")).unwrap();
    let name = format!("{name}:");
    tasks
        .map(|task| {
            let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            let value = status.lines().find_map(|line| line.strip_prefix(&name));
            value.unwrap().trim().to_owned()
        })
        .collect()
}

/// Looks again for a while: an answer travels while its sender still tidies up.
pub fn assert_forgotten(process_id: u32, pieces: &Pieces) {
    let begin = Instant::now();
    loop {
        let found = pieces.in_memory_of(process_id);
        if found.is_empty() {
            return;
        }
        let few: Vec<&String> = found.iter().take(12).collect();
        assert!(
            begin.elapsed() < PATIENCE,
            "{} pieces are left: {few:#?}",
            found.len()
        );
    }
}
