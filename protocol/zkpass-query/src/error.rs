//! Why a script is not a program.

use crate::check::CheckError;
use crate::parse::ParseError;
use zkpass_core::code::Code;

/// Why a script cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// It is malformed.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// It is well-formed but not a sound program.
    #[error(transparent)]
    Check(#[from] CheckError),
}

impl QueryError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Parse(error) => error.code(),
            Self::Check(error) => error.code(),
        }
    }

    /// JSON pointer (RFC 6901) into the script.
    pub fn pointer(&self) -> &str {
        match self {
            Self::Parse(error) => error.pointer(),
            Self::Check(error) => error.pointer(),
        }
    }

    /// Byte offset into the path the pointer leads to.
    pub fn position(&self) -> Option<usize> {
        match self {
            Self::Parse(error) => error.position(),
            Self::Check(error) => error.position(),
        }
    }
}
