//! Tracked files must not tell on the machine they were written on: private
//! paths, private hosts, and dependencies from anywhere but crates.io.

use anyhow::{Result, bail};

use crate::shell;

/// Home folders of a person or of root, on the usual systems.
const HOME_FOLDERS: &[&str] = &["/home/", "/root/", "/Users/", "C:\\Users\\"];

/// Endings of host names that only a private network resolves.
const PRIVATE_DOMAINS: &[&str] = &[".corp", ".internal", ".intranet", ".lan"];

/// The only place a dependency may come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Checks every tracked or about to be tracked text file.
pub fn run() -> Result<()> {
    let list = shell::capture(shell::command(
        "git ls-files --cached --others --exclude-standard",
    ))?;
    let (mut files, mut findings) = (0, 0);
    for name in list.lines() {
        // Binary files have no words; a deleted file is listed until committed.
        let Ok(text) = std::fs::read_to_string(shell::root().join(name)) else {
            continue;
        };
        files += 1;
        for finding in check(name, &text) {
            eprintln!("words: {finding}");
            findings += 1;
        }
    }
    if findings > 0 {
        bail!("{findings} lines name a private path or host");
    }
    if files == 0 {
        bail!("git listed no file to check");
    }
    println!("words: {files} files name no private place");
    Ok(())
}

fn check(name: &str, text: &str) -> Vec<String> {
    let is_lock = name.ends_with("Cargo.lock");
    text.lines()
        .enumerate()
        .filter_map(|(index, line)| {
            let what = if is_lock {
                foreign_source(line)
            } else {
                private_place(line)
            };
            what.map(|what| format!("{name}:{}: {what}", index + 1))
        })
        .collect()
}

fn foreign_source(line: &str) -> Option<&'static str> {
    let source = line.strip_prefix("source = \"")?;
    (source.trim_end_matches('"') != REGISTRY).then_some("a dependency not from crates.io")
}

fn private_place(line: &str) -> Option<&'static str> {
    if line.contains(EXEMPT) {
        return None;
    }
    if HOME_FOLDERS.iter().any(|folder| has_path(line, folder)) {
        return Some("an absolute home path");
    }
    PRIVATE_DOMAINS
        .iter()
        .any(|domain| has_host(line, domain))
        .then_some("a private host name")
}

/// A folder name followed by something, not preceded by a longer path.
fn has_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + folder.len()..].chars().next();
        !before.is_some_and(|c| c.is_alphanumeric() || "}~_.-".contains(c))
            && after.is_some_and(|c| c.is_alphanumeric() || "._-".contains(c))
    })
}

/// A URL whose host ends in a private domain.
fn has_host(line: &str, domain: &str) -> bool {
    line.split("://").skip(1).any(|rest| {
        let host = rest.split(['/', ':', '"', ' ', '`', ')', '?']).next();
        host.is_some_and(|host| host.ends_with(domain))
    })
}

/// Marks a line that needs such a word, as tests of this check do.
const EXEMPT: &str = "words: allowed";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_places_are_found() {
        let lines = [
            "see /home/alice/x",      // words: allowed
            "PATH=/root/.cargo",      // words: allowed
            "`/Users/alice`",         // words: allowed
            "https://build.corp/job", // words: allowed
        ];
        for line in lines {
            assert_eq!(check("a.md", line).len(), 1, "{line}");
        }
    }

    #[test]
    fn ordinary_text_is_not() {
        let lines = [
            "$HOME/.cache",
            "example.org/home/page",
            "https://example.org/internal",
            "http://127.0.0.1:8080",
        ];
        for line in lines {
            assert_eq!(check("a.md", line), Vec::<String>::new(), "{line}");
        }
    }

    #[test]
    fn only_crates_io_may_stand_in_the_lock_file() {
        let good = format!("source = \"{REGISTRY}\"\n");
        assert_eq!(check("Cargo.lock", &good), Vec::<String>::new());
        let bad = "source = \"registry+https://mirror.example/index\"\n";
        assert_eq!(check("fuzz/Cargo.lock", bad).len(), 1);
        let git = "source = \"git+https://example.org/a#b\"\n";
        assert_eq!(check("Cargo.lock", git).len(), 1);
    }
}
