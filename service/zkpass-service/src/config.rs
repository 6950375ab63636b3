//! Configuration of the service: one TOML file, one struct, a reason per field.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;
use zkpass_core::limits::MAX_BODY_BYTES;

/// Everything the service can be told, with defaults that suit one machine.
///
/// Durations are whole seconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address of the HTTP listener. Anything but loopback should sit behind
    /// a proxy that ends TLS: this process speaks plain HTTP and has no API
    /// keys yet.
    pub listen: SocketAddr,
    /// Open connections; further ones wait in the backlog of the kernel.
    pub max_connections: usize,
    /// Bytes of one request body. No honest sealed request is larger than the
    /// default, so only mistakes and attacks meet it.
    pub max_body_bytes: usize,
    /// Seconds a client may take to send its body.
    pub body_timeout_seconds: u64,
    /// Jobs that are accepted and not finished, running ones included.
    pub queue_length: usize,
    /// Jobs handed to one enclave at the same time; the rest wait here. A few
    /// more than it proves at once, so that it never waits for the next one.
    pub in_flight: usize,
    /// Seconds from acceptance until an unfinished job fails with
    /// `deadline-exceeded`.
    pub job_deadline_seconds: u64,
    /// Finished jobs that are kept for their clients; the oldest go first.
    pub finished_jobs: usize,
    /// Seconds a finished job is kept.
    pub finished_ttl_seconds: u64,
    /// Longest wait in seconds granted to `Prefer: wait` and `?wait=`.
    pub max_wait_seconds: u64,
    /// Seconds after SIGTERM in which jobs may finish and be collected.
    pub drain_seconds: u64,
    /// The enclaves this service routes to.
    pub enclaves: Vec<EnclaveConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            max_connections: 1024,
            max_body_bytes: MAX_BODY_BYTES,
            body_timeout_seconds: 15,
            queue_length: 64,
            in_flight: 4,
            job_deadline_seconds: 120,
            finished_jobs: 256,
            finished_ttl_seconds: 300,
            max_wait_seconds: 60,
            drain_seconds: 30,
            enclaves: Vec::new(),
        }
    }
}

/// One enclave: a program to start, or the socket of one that runs already.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnclaveConfig {
    /// Name in logs, unique in the file.
    pub name: String,
    /// The enclave program, started and restarted by the launcher.
    #[serde(default)]
    pub program: Option<PathBuf>,
    /// Arguments for the program, as `zkpass-enclave --help` lists them.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Unix socket of an enclave that somebody else starts.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// The platform that the launcher plays for a started enclave:
    /// `nitro`, `sev-snp` or `tdx`.
    #[serde(default)]
    pub simulate: Simulate,
    /// Directory of the development root, which is made at the first start.
    /// Without it each start of the service has a new root.
    #[serde(default)]
    pub state: Option<PathBuf>,
    /// Starts the enclave as an ordinary process where it cannot be confined.
    /// Its evidence says so.
    #[serde(default)]
    pub danger_unconfined: bool,
    /// File with what endorses this enclave's evidence where the evidence comes
    /// without: the collateral of a TDX quote (JSON), or the VCEK certificate of
    /// a SEV-SNP report (DER). It is read for each question, so it can be
    /// replaced at any time; clients verify it like all else.
    #[serde(default)]
    pub endorsements: Option<PathBuf>,
    /// Whether the log of a started enclave goes to standard error.
    #[serde(default = "default_log")]
    pub log: bool,
    /// Seconds until a started enclave must have said hello.
    #[serde(default = "default_start_seconds")]
    pub start_seconds: u64,
    /// Seconds between two health questions.
    #[serde(default = "default_health_seconds")]
    pub health_seconds: u64,
    /// Seconds without any frame after which the enclave counts as dead.
    #[serde(default = "default_silence_seconds")]
    pub silence_seconds: u64,
}

/// A platform that the launcher plays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Simulate {
    /// AWS Nitro Enclaves.
    #[default]
    Nitro,
    /// AMD SEV-SNP.
    SevSnp,
    /// Intel TDX.
    Tdx,
}

impl EnclaveConfig {
    /// An enclave that the launcher starts from `program`.
    pub fn launched(name: impl Into<String>, program: impl Into<PathBuf>) -> Self {
        Self {
            program: Some(program.into()),
            ..Self::bare(name.into())
        }
    }

    /// An enclave that already listens on `socket`.
    pub fn connected(name: impl Into<String>, socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: Some(socket.into()),
            ..Self::bare(name.into())
        }
    }

    /// Whether a field is set that only makes sense for a program to start.
    fn is_for_a_program(&self) -> bool {
        !self.arguments.is_empty() || self.state.is_some() || self.danger_unconfined
    }

    fn bare(name: String) -> Self {
        Self {
            name,
            program: None,
            arguments: Vec::new(),
            socket: None,
            simulate: Simulate::default(),
            state: None,
            danger_unconfined: false,
            endorsements: None,
            log: default_log(),
            start_seconds: default_start_seconds(),
            health_seconds: default_health_seconds(),
            silence_seconds: default_silence_seconds(),
        }
    }
}

impl Config {
    /// Reads and checks a configuration file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::from_toml(&text)
    }

    /// Parses a configuration text; unknown fields are refused.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Ok(toml::from_str(text)?)
    }

    /// Refuses values that cannot work, before anything is started.
    pub fn check(&self) -> Result<(), ConfigError> {
        let counts = [
            ("max_connections", self.max_connections as u64),
            ("max_body_bytes", self.max_body_bytes as u64),
            ("body_timeout_seconds", self.body_timeout_seconds),
            ("queue_length", self.queue_length as u64),
            ("in_flight", self.in_flight as u64),
            ("job_deadline_seconds", self.job_deadline_seconds),
            ("finished_jobs", self.finished_jobs as u64),
            ("finished_ttl_seconds", self.finished_ttl_seconds),
        ];
        if let Some((field, _)) = counts.iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError::Zero { field });
        }
        if self.enclaves.is_empty() {
            return Err(ConfigError::NoEnclave);
        }
        for (index, enclave) in self.enclaves.iter().enumerate() {
            let name = &enclave.name;
            if self.enclaves[..index]
                .iter()
                .any(|other| other.name == *name)
            {
                return Err(ConfigError::NameTwice { name: name.clone() });
            }
            if enclave.program.is_some() == enclave.socket.is_some()
                || (enclave.program.is_none() && enclave.is_for_a_program())
            {
                return Err(ConfigError::ProgramOrSocket { name: name.clone() });
            }
            if enclave.start_seconds == 0
                || enclave.health_seconds == 0
                || enclave.silence_seconds <= enclave.health_seconds
            {
                return Err(ConfigError::Health { name: name.clone() });
            }
        }
        Ok(())
    }

    pub(crate) fn job_deadline(&self) -> Duration {
        Duration::from_secs(self.job_deadline_seconds)
    }

    pub(crate) fn body_timeout(&self) -> Duration {
        Duration::from_secs(self.body_timeout_seconds)
    }

    pub(crate) fn max_wait(&self) -> Duration {
        Duration::from_secs(self.max_wait_seconds)
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

/// Why a configuration was refused; the operator has to act.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is not TOML of the expected form.
    #[error("configuration is not valid")]
    Malformed(#[from] toml::de::Error),
    /// A limit is zero.
    #[error("`{field}` must be at least 1")]
    Zero {
        /// Name of the field.
        field: &'static str,
    },
    /// Nothing to route to.
    #[error("no enclave is configured; add one `[[enclaves]]` table or pass --enclave")]
    NoEnclave,
    /// Two enclaves share a name.
    #[error("two enclaves are named `{name}`")]
    NameTwice {
        /// The name.
        name: String,
    },
    /// An enclave needs a program, with arguments or without, or a socket.
    #[error("enclave `{name}` needs either `program`, with `arguments` if wanted, or `socket`")]
    ProgramOrSocket {
        /// The enclave.
        name: String,
    },
    /// The health times do not fit together.
    #[error(
        "enclave `{name}`: times must be at least 1 and `silence_seconds` greater than `health_seconds`"
    )]
    Health {
        /// The enclave.
        name: String,
    },
}

fn default_log() -> bool {
    true
}

fn default_start_seconds() -> u64 {
    20
}

fn default_health_seconds() -> u64 {
    5
}

fn default_silence_seconds() -> u64 {
    30
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_stay_on_loopback() {
        assert!(Config::default().listen.ip().is_loopback());
    }

    #[test]
    fn the_sample_in_the_documentation_is_valid() {
        let sample = include_str!("../zkpass-service.example.toml");
        let config = Config::from_toml(sample).unwrap();
        config.check().unwrap();
        // The sample shows the defaults; a changed default must change it.
        let shown = Config {
            enclaves: Vec::new(),
            ..config
        };
        assert_eq!(format!("{shown:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn mistakes_are_refused() {
        let check = |text: &str| Config::from_toml(text).and_then(|config| config.check());
        let one = "[[enclaves]]\nname = \"a\"\nsocket = \"/run/a.sock\"\n";
        assert!(check(one).is_ok());
        assert!(matches!(
            check("lisen = \"127.0.0.1:1\""),
            Err(ConfigError::Malformed(_))
        ));
        assert!(matches!(check(""), Err(ConfigError::NoEnclave)));
        assert!(matches!(
            check(&format!("queue_length = 0\n{one}")),
            Err(ConfigError::Zero {
                field: "queue_length"
            })
        ));
        assert!(matches!(
            check(&one.repeat(2)),
            Err(ConfigError::NameTwice { .. })
        ));
        assert!(matches!(
            check("[[enclaves]]\nname = \"a\"\n"),
            Err(ConfigError::ProgramOrSocket { .. })
        ));
        assert!(matches!(
            check(&format!("{one}silence_seconds = 5\n")),
            Err(ConfigError::Health { .. })
        ));
    }
}
