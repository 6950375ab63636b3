//! The log: a closed list of lines, none of which can carry user data.
//!
//! The operator reads it, so it does not say either whether a request was
//! proved or why it was refused: that is sealed for the holder.
//!
//! There is no logging framework in the enclave, so that no dependency can
//! write to it either. Lines go to standard error.

use std::{fmt, io::Write, time::Duration};

use zkpass_core::code::Code;

use crate::evidence::EvidenceUnavailable;

/// Something worth a line.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    Started {
        measurement_id: &'a str,
        enclave_id: &'a str,
        key_id: &'a str,
    },
    KeyChanged {
        key_id: &'a str,
    },
    Unhardened,
    NoLockedMemory,
    ConnectionOpened,
    ConnectionClosed,
    BadFrame,
    Rejected(Code),
    Answered(Duration),
    InternalFailure,
    NoEvidence(&'a EvidenceUnavailable),
    Panicked {
        file: &'a str,
        line: u32,
    },
    Stopping,
}

/// Writes one line, whole: the stream may be shared with other writers.
pub(crate) fn log(event: Event<'_>) {
    let line = format!("zkpass-enclave: {event}\n");
    // Nowhere to report that the log is closed.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Lets a panic say where it was, and never what: the message may quote data.
pub(crate) fn silence_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let (file, line) = panic.location().map_or(("unknown", 0), |location| {
            (location.file(), location.line())
        });
        log(Event::Panicked { file, line });
    }));
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started {
                measurement_id,
                enclave_id,
                key_id,
            } => write!(
                f,
                "version {} started, {measurement_id}, enclave {enclave_id}, key {key_id}",
                env!("CARGO_PKG_VERSION")
            ),
            Self::KeyChanged { key_id } => write!(f, "new key {key_id}"),
            Self::Unhardened => f.write_str("NOT HARDENED, asked for by --danger-unhardened"),
            Self::NoLockedMemory => f.write_str("no new key: memory cannot be locked"),
            Self::ConnectionOpened => f.write_str("connection opened"),
            Self::ConnectionClosed => f.write_str("connection closed"),
            Self::BadFrame => f.write_str("connection closed after a malformed frame"),
            Self::Rejected(code) => write!(f, "request rejected: {code}"),
            Self::Answered(time) => write!(f, "request answered in {} ms", time.as_millis()),
            Self::InternalFailure => f.write_str("internal failure"),
            Self::NoEvidence(cause) => write!(f, "no evidence: {cause}"),
            Self::Panicked { file, line } => write!(f, "panic at {file}:{line}"),
            Self::Stopping => f.write_str("stopping"),
        }
    }
}
