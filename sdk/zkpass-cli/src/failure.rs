//! Why a command did not succeed, and the exit status that says so.

use std::fmt;

use serde_json::{Map, Value, json};
use zkpass_client::holder::{BuildError, ProveError, RemoteError};
use zkpass_core::code::Code;
use zkpass_core::dvr::{DvrError, DvrTokenError};
use zkpass_core::jws::TokenError;
use zkpass_core::proof::ProofTokenError;
use zkpass_query::{EvalError, QueryError};
use zkpass_verify::VerifyError;

/// Why a command did not succeed. The message never holds secrets or user data.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    code: String,
    /// A finer name for what the code says, where there is one.
    cause: Option<&'static str>,
    pointer: Option<String>,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The answer is no: input was refused or is not valid.
    Refused,
    /// The command line asks for something that cannot be.
    Usage,
    /// A file, the network or this machine did not do its part.
    System,
}

impl Failure {
    /// A refusal.
    pub fn refused(code: Code, message: impl ToString) -> Self {
        Self::new(Kind::Refused, code.as_str(), message)
    }

    /// A refusal whose cause has a finer name than the stable codes.
    pub fn refused_as(cause: &str, message: impl ToString) -> Self {
        Self::new(Kind::Refused, cause, message)
    }

    /// A command line that asks for something that cannot be.
    pub fn usage(message: impl ToString) -> Self {
        Self::new(Kind::Usage, "usage", message)
    }

    /// A file or this machine that did not do its part.
    pub fn system(message: impl ToString) -> Self {
        Self::new(Kind::System, "system", message)
    }

    /// The same, where one of the stable codes names the cause.
    pub fn system_with(code: Code, message: impl ToString) -> Self {
        Self::new(Kind::System, code.as_str(), message)
    }

    /// The same at a place in the query, as a JSON pointer.
    pub fn at(self, pointer: Option<&str>) -> Self {
        Self {
            pointer: pointer.map(str::to_owned),
            ..self
        }
    }

    fn new(kind: Kind, code: &str, message: impl ToString) -> Self {
        Self {
            kind,
            code: code.to_owned(),
            cause: None,
            pointer: None,
            message: message.to_string(),
        }
    }

    /// The process's exit status.
    pub fn exit_status(&self) -> u8 {
        match self.kind {
            Kind::Refused => 1,
            Kind::Usage | Kind::System => 2,
        }
    }

    /// The value of the member `error` in JSON answers.
    pub fn to_json(&self) -> Value {
        let mut error = Map::new();
        error.insert("code".into(), json!(self.code));
        if let Some(cause) = self.cause {
            error.insert("cause".into(), json!(cause));
        }
        if let Some(pointer) = &self.pointer {
            error.insert("pointer".into(), json!(pointer));
        }
        error.insert("message".into(), json!(self.message));
        Value::Object(error)
    }
}

/// Message, code and place; a wrong usage explains itself.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.code != "usage" && self.code != "system" {
            write!(f, " [{}]", self.code)?;
        }
        match self.pointer.as_deref() {
            None => Ok(()),
            Some("") => write!(f, ", at the top of the query"),
            Some(pointer) => write!(f, ", at {pointer} in the query"),
        }
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Self::refused(error.code(), error)
    }
}

impl From<DvrError> for Failure {
    fn from(error: DvrError) -> Self {
        Self::refused(error.code(), error)
    }
}

impl From<DvrTokenError> for Failure {
    fn from(error: DvrTokenError) -> Self {
        Self::refused(error.code(), error)
    }
}

impl From<ProofTokenError> for Failure {
    fn from(error: ProofTokenError) -> Self {
        Self::refused(error.code(), error)
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        Self::refused(error.code(), &error).at(Some(error.pointer()))
    }
}

impl From<EvalError> for Failure {
    fn from(error: EvalError) -> Self {
        Self::refused(error.code(), &error).at(Some(error.pointer()))
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        Self::refused(error.code(), error)
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::BadUrl { .. } => Self::usage(error),
            _ => Self::system(with_causes(&error)),
        }
    }
}

impl From<ProveError> for Failure {
    fn from(error: ProveError) -> Self {
        let code = error.code();
        let failure = match &error {
            ProveError::Enclave(error) => Self {
                message: format!("{error}; nothing was sent"),
                cause: Some(error.cause()),
                ..Self::refused(code, "")
            },
            ProveError::Build(error) => Self::usage(with_causes(error)),
            ProveError::Remote(error) => Self::from_remote(error),
            _ if code == Code::Internal => Self::system_with(code, with_causes(&error)),
            _ => Self::refused(code, &error),
        };
        failure.at(error.pointer())
    }
}

impl Failure {
    /// What the service says of a request can be about the request; all else is between us.
    fn from_remote(error: &RemoteError) -> Self {
        let message = with_causes(error);
        match error {
            RemoteError::Problem { problem, .. } if problem.status < 500 => {
                Self::refused(error.code(), message)
            }
            _ => Self::system_with(error.code(), message),
        }
    }
}

/// One line with an error and what caused it.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
