//! Files named on the command line: reading within a limit, writing whole or not at all.

use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::NamedTempFile;

use crate::failure::Failure;

/// No file we read is larger: the largest legal one is a proof of some hundred kilobytes, and
/// what lies between is refused with a better message by the parser concerned.
const MAX_FILE_BYTES: u64 = 8 << 20;

/// The process has one standard input; a second reader would see it empty.
static STDIN_READ: AtomicBool = AtomicBool::new(false);

/// A file to read; `-` is standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Standard input.
    Stdin,
    /// A file.
    Path(PathBuf),
}

impl FromStr for Input {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "-" => Self::Stdin,
            path => Self::Path(path.into()),
        })
    }
}

impl std::fmt::Display for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdin => write!(f, "standard input"),
            Self::Path(path) => write!(f, "`{}`", path.display()),
        }
    }
}

impl Input {
    /// Reads the whole as text.
    pub fn read(&self) -> Result<String, Failure> {
        String::from_utf8(self.read_bytes()?)
            .map_err(|_| Failure::system(format!("{self} is not UTF-8 text")))
    }

    /// Reads the whole.
    pub fn read_bytes(&self) -> Result<Vec<u8>, Failure> {
        let failed = |error: io::Error| Failure::system(format!("cannot read {self}: {error}"));
        let mut bytes = Vec::new();
        match self {
            Self::Stdin => {
                if STDIN_READ.swap(true, Ordering::Relaxed) {
                    return Err(Failure::usage("`-` can stand for one file only".to_owned()));
                }
                io::stdin()
                    .lock()
                    .take(MAX_FILE_BYTES + 1)
                    .read_to_end(&mut bytes)
            }
            Self::Path(path) => File::open(path)
                .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)),
        }
        .map_err(failed)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(Failure::system(format!(
                "{self} is larger than {MAX_FILE_BYTES} bytes"
            )));
        }
        Ok(bytes)
    }

    /// Reads a token: one word, with or without a line end.
    pub fn read_word(&self) -> Result<String, Failure> {
        Ok(self.read()?.trim().to_owned())
    }
}

/// A file to write; `-` is standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// A file.
    Path(PathBuf),
}

impl FromStr for Output {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "-" => Self::Stdout,
            path => Self::Path(path.into()),
        })
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdout => write!(f, "-"),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Output {
    /// Writes the text and a line end; a file appears only when it is whole.
    pub fn write_line(&self, text: &str) -> Result<(), Failure> {
        match self {
            Self::Stdout => writeln!(io::stdout().lock(), "{text}").map_err(|error| {
                Failure::system(format!("cannot write to standard output: {error}"))
            }),
            Self::Path(path) => write_file(path, format!("{text}\n").as_bytes(), Access::Shared),
        }
    }
}

/// Who may read a file, and whether it may take the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever the user's file mode mask allows.
    Shared,
    /// The owner.
    Owner,
}

/// Writes a file beside its place and moves it there, so that it is never seen half written.
pub fn write_file(path: &Path, bytes: &[u8], access: Access) -> Result<(), Failure> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    temporary(folder, access)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.persist(path)?;
            Ok(())
        })
        .map_err(|error| Failure::system(format!("cannot write `{}`: {error}", path.display())))
}

/// Makes a directory where there is none.
pub fn make_folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path)
        .map_err(|error| Failure::system(format!("cannot make `{}`: {error}", path.display())))
}

fn temporary(folder: &Path, access: Access) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".zkpass-");
    #[cfg(unix)]
    if access == Access::Shared {
        use std::os::unix::fs::PermissionsExt;
        // Narrowed by the mask, as for any file a command writes. The default is owner only.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// `TAG=TEXT`, or `TEXT` for the only document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaggedText {
    /// The tag; empty when left out.
    pub tag: String,
    /// What stands behind it.
    pub text: String,
}

impl FromStr for TaggedText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_tag = |tag: &str| {
            !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        let (tag, rest) = match text.split_once('=') {
            Some((tag, rest)) if is_tag(tag) => (tag, rest),
            _ => ("", text),
        };
        if rest.is_empty() {
            return Err("nothing after the tag".to_owned());
        }
        Ok(Self {
            tag: tag.to_owned(),
            text: rest.to_owned(),
        })
    }
}

/// `TAG=FILE`, or `FILE` for the only document. A file whose name looks like that is written
/// `./TAG=FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// The tag; empty when left out.
    pub tag: String,
    /// The file.
    pub file: Input,
}

impl FromStr for Tagged {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let TaggedText { tag, text } = text.parse()?;
        let Ok(file) = text.parse();
        Ok(Self { tag, file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        let read = |text: &str| text.parse::<Tagged>().map(|t| (t.tag, t.file.to_string()));
        assert_eq!(read("a.jws"), Ok((String::new(), "`a.jws`".to_owned())));
        assert_eq!(read("-"), Ok((String::new(), "standard input".to_owned())));
        assert_eq!(
            read("bank=-"),
            Ok(("bank".to_owned(), "standard input".to_owned()))
        );
        assert_eq!(
            read("bank_2=b=c.jws"),
            Ok(("bank_2".to_owned(), "`b=c.jws`".to_owned()))
        );
        assert_eq!(
            read("./bank=b.jws"),
            Ok((String::new(), "`./bank=b.jws`".to_owned()))
        );
        assert!(read("bank=").is_err());
        assert!(read("").is_err());
    }

    #[test]
    fn a_file_is_replaced_whole_and_keys_are_the_owners() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        write_file(&path, b"one", Access::Shared).unwrap();
        write_file(&path, b"two", Access::Owner).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
    }

    #[test]
    fn a_missing_folder_is_an_error_with_its_name() {
        let failure = write_file(Path::new("/nonexistent/f"), b"", Access::Shared).unwrap_err();
        assert!(
            failure
                .to_string()
                .starts_with("cannot write `/nonexistent/f`")
        );
        assert_eq!(failure.exit_status(), 2);
    }
}
