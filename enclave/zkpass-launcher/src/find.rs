//! Where the enclave program is.

use std::{
    io,
    path::{Path, PathBuf},
};

/// The file name of the enclave program.
pub const ENCLAVE_PROGRAM: &str = "zkpass-enclave";

/// The file name of the program that can always be a stage.
pub(crate) const STAGE_PROGRAM: &str = "zkpass-launcher";

/// Why the enclave program was not found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The path of the running program is not known.
    #[error("cannot tell where this program is")]
    CurrentProgram(#[source] io::Error),
    /// It is not there.
    #[error("there is no `{ENCLAVE_PROGRAM}` in `{}`; name its path, or build it", directory.display())]
    Missing {
        /// The directory of the running program.
        directory: PathBuf,
    },
}

/// Finds the enclave program next to the running one.
///
/// The search path is not used: which enclave is started must not depend on the environment.
pub fn find_enclave() -> Result<PathBuf, FindError> {
    let current = std::env::current_exe().map_err(FindError::CurrentProgram)?;
    find_beside(&current, ENCLAVE_PROGRAM)
}

/// Finds the launcher program next to the running one.
pub(crate) fn find_stage() -> Option<PathBuf> {
    let current = std::env::current_exe().ok()?;
    find_beside(&current, STAGE_PROGRAM).ok()
}

fn find_beside(current: &Path, name: &str) -> Result<PathBuf, FindError> {
    let mut directory = current.parent().unwrap_or(Path::new("/"));
    // Cargo puts test programs one directory below the others.
    if directory.ends_with("deps") {
        directory = directory.parent().unwrap_or(directory);
    }
    let program = directory.join(name);
    if program.is_file() {
        Ok(program)
    } else {
        Err(FindError::Missing {
            directory: directory.to_path_buf(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_enclave_is_found_beside_the_program_and_beside_tests() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let program = root.join(ENCLAVE_PROGRAM);
        let find = |current: &Path| find_beside(current, ENCLAVE_PROGRAM);
        assert!(matches!(
            find(&root.join("zkpass")),
            Err(FindError::Missing { directory }) if directory == root
        ));
        fs::write(&program, "").unwrap();
        assert_eq!(find(&root.join("zkpass")).unwrap(), program);
        assert_eq!(find(&root.join("deps/test-1f")).unwrap(), program);
        assert!(find(&root.join("other/zkpass")).is_err());
    }
}
