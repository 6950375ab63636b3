//! The command line: the only thing that configures an enclave.

use std::{ffi::OsString, num::NonZero, path::PathBuf, time::Duration};

use crate::listen::{Address, AddressError};

/// What the enclave is told when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where to listen.
    pub socket: Address,
    /// Proofs made at the same time; each takes about half a gigabyte.
    pub provers: NonZero<usize>,
    /// Threads of each proof.
    pub threads: NonZero<usize>,
    /// Requests accepted at the same time, waiting ones included.
    pub max_requests: NonZero<usize>,
    /// The longest time for one request, from its arrival to its answer.
    pub max_deadline: Duration,
    /// How long an HPKE key lives.
    pub key_lifetime: Duration,
    /// Stop when standard input ends, as it does when the parent dies.
    pub exit_with_stdin: bool,
    /// Where evidence comes from.
    pub evidence: EvidenceChoice,
    /// The Unix socket of a security module, in place of `/dev/nsm`.
    pub nsm_socket: Option<PathBuf>,
    /// Where Linux offers reports of SEV-SNP and TDX.
    pub tsm_root: PathBuf,
    /// Runs without the walls around the process, so that a debugger can look into it.
    pub danger_unhardened: bool,
}

/// What vouches for the enclave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EvidenceChoice {
    /// What the machine has, or nothing.
    #[default]
    Auto,
    /// The Nitro Security Module.
    Nitro,
    /// Reports of AMD SEV-SNP.
    SevSnp,
    /// Quotes of Intel TDX.
    Tdx,
    /// Nothing: the enclave calls itself `unattested-development`.
    None,
}

/// What the arguments ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Run with these options.
    Run(Options),
    /// Print [`USAGE`].
    Help,
    /// Print the version.
    Version,
}

/// Why the arguments were refused.
#[derive(Debug, thiserror::Error)]
pub enum ArgsError {
    /// An unknown argument, or one without its value.
    #[error(transparent)]
    Syntax(#[from] lexopt::Error),
    /// `--socket` is missing.
    #[error("`--socket ADDRESS` is missing")]
    NoSocket,
    /// `--nsm-socket` with a platform that has no security module.
    #[error("`--nsm-socket` goes with `--evidence nitro` or `auto` only")]
    SocketWithoutNitro,
    /// `--socket` names no address.
    #[error("`--socket`: {0}")]
    Address(#[from] AddressError),
    /// A number is outside its range.
    #[error("`--{option}` must be {range}")]
    OutOfRange {
        /// The option.
        option: &'static str,
        /// What it may be.
        range: &'static str,
    },
}

/// The help text.
pub const USAGE: &str = "\
usage: zkpass-enclave --socket ADDRESS [options]

  --socket ADDRESS           where to listen: the path of a Unix socket,
                             vsock:PORT or tcp:ADDRESS:PORT
  --provers N                proofs made at the same time, 1 to 16 (1)
  --threads N                threads of each proof, 1 to 1024 (all cores)
  --max-requests N           requests accepted at the same time, 1 to 4096 (64)
  --max-deadline SECONDS     longest time for one request, 1 to 3600 (120)
  --key-lifetime SECONDS     life of an HPKE key, 2 to 3600 (600)
  --exit-with-stdin          stop when standard input ends
  --evidence KIND            auto, nitro, sev-snp, tdx or none (auto: what the
                             machine has, or none)
  --nsm-socket PATH          Unix socket of a security module, not /dev/nsm
  --tsm-root PATH            reports of the kernel (/sys/kernel/config/tsm/report)
  --danger-unhardened        no confinement, for debuggers: never with real data
  --version, --help
";

/// Reads the arguments that follow the program name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, ArgsError> {
    use lexopt::prelude::*;

    let mut socket = None;
    let mut options = Options {
        socket: Address::Unix(Default::default()),
        provers: NonZero::<usize>::MIN,
        threads: std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
        max_requests: NonZero::<usize>::MIN.saturating_add(63),
        max_deadline: Duration::from_secs(120),
        key_lifetime: Duration::from_secs(600),
        exit_with_stdin: false,
        evidence: EvidenceChoice::Auto,
        nsm_socket: None,
        tsm_root: PathBuf::from("/sys/kernel/config/tsm/report"),
        danger_unhardened: false,
    };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("socket") => socket = Some(Address::parse(parser.value()?)?),
            Long("provers") => options.provers = count(&mut parser, "provers", 16, "1 to 16")?,
            Long("threads") => {
                options.threads = count(&mut parser, "threads", 1024, "1 to 1024")?;
            }
            Long("max-requests") => {
                options.max_requests = count(&mut parser, "max-requests", 4096, "1 to 4096")?;
            }
            Long("max-deadline") => {
                options.max_deadline =
                    seconds(&mut parser, "max-deadline", 1, "1 to 3600 seconds")?;
            }
            Long("key-lifetime") => {
                options.key_lifetime =
                    seconds(&mut parser, "key-lifetime", 2, "2 to 3600 seconds")?;
            }
            Long("exit-with-stdin") => options.exit_with_stdin = true,
            Long("evidence") => options.evidence = parser.value()?.parse_with(evidence)?,
            Long("nsm-socket") => options.nsm_socket = Some(parser.value()?.into()),
            Long("tsm-root") => options.tsm_root = parser.value()?.into(),
            Long("danger-unhardened") => options.danger_unhardened = true,
            Long("help") => return Ok(Command::Help),
            Long("version") => return Ok(Command::Version),
            _ => return Err(argument.unexpected().into()),
        }
    }
    options.socket = socket.ok_or(ArgsError::NoSocket)?;
    let has_module = matches!(
        options.evidence,
        EvidenceChoice::Auto | EvidenceChoice::Nitro
    );
    if options.nsm_socket.is_some() && !has_module {
        return Err(ArgsError::SocketWithoutNitro);
    }
    Ok(Command::Run(options))
}

fn evidence(text: &str) -> Result<EvidenceChoice, &'static str> {
    match text {
        "auto" => Ok(EvidenceChoice::Auto),
        "nitro" => Ok(EvidenceChoice::Nitro),
        "sev-snp" => Ok(EvidenceChoice::SevSnp),
        "tdx" => Ok(EvidenceChoice::Tdx),
        "none" => Ok(EvidenceChoice::None),
        _ => Err("it is one of `auto`, `nitro`, `sev-snp`, `tdx`, `none`"),
    }
}

fn count(
    parser: &mut lexopt::Parser,
    option: &'static str,
    most: usize,
    range: &'static str,
) -> Result<NonZero<usize>, ArgsError> {
    use lexopt::prelude::*;
    let value: usize = parser.value()?.parse()?;
    NonZero::new(value)
        .filter(|value| value.get() <= most)
        .ok_or(ArgsError::OutOfRange { option, range })
}

fn seconds(
    parser: &mut lexopt::Parser,
    option: &'static str,
    least: u64,
    range: &'static str,
) -> Result<Duration, ArgsError> {
    use lexopt::prelude::*;
    let value: u64 = parser.value()?.parse()?;
    if (least..=3600).contains(&value) {
        Ok(Duration::from_secs(value))
    } else {
        Err(ArgsError::OutOfRange { option, range })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<Command, ArgsError> {
        parse(text.split_whitespace().map(OsString::from))
    }

    #[test]
    fn arguments_are_read() {
        let Ok(Command::Run(options)) = run("--socket /run/e.sock") else {
            panic!("the shortest form is refused");
        };
        assert_eq!(options.provers.get(), 1);
        assert_eq!(options.max_requests.get(), 64);
        assert!(!options.exit_with_stdin);
        assert!(!options.danger_unhardened);
        assert_eq!(options.evidence, EvidenceChoice::Auto);

        let text = "--socket=/e --provers 2 --threads=3 --max-requests 4 --max-deadline 5 \
                    --key-lifetime 6 --exit-with-stdin --evidence nitro --nsm-socket /n \
                    --tsm-root /t --danger-unhardened";
        let expected = Options {
            socket: Address::Unix("/e".into()),
            provers: NonZero::new(2).unwrap(),
            threads: NonZero::new(3).unwrap(),
            max_requests: NonZero::new(4).unwrap(),
            max_deadline: Duration::from_secs(5),
            key_lifetime: Duration::from_secs(6),
            exit_with_stdin: true,
            evidence: EvidenceChoice::Nitro,
            nsm_socket: Some("/n".into()),
            tsm_root: "/t".into(),
            danger_unhardened: true,
        };
        assert_eq!(run(text).unwrap(), Command::Run(expected));
        assert_eq!(run("--help").unwrap(), Command::Help);
        assert_eq!(run("--version").unwrap(), Command::Version);
    }

    #[test]
    fn wrong_arguments_are_refused() {
        assert!(matches!(run(""), Err(ArgsError::NoSocket)));
        for text in [
            "--socket /e --provers 0",
            "--socket /e --provers 17",
            "--socket /e --max-deadline 0",
            "--socket /e --key-lifetime 3601",
        ] {
            assert!(
                matches!(run(text), Err(ArgsError::OutOfRange { .. })),
                "{text}"
            );
        }
        let text = "--socket /e --evidence tdx --nsm-socket /n";
        assert!(matches!(run(text), Err(ArgsError::SocketWithoutNitro)));
        assert!(matches!(
            run("--socket vsock:x"),
            Err(ArgsError::Address(_))
        ));
        for text in [
            "--socket",
            "--other",
            "extra",
            "--socket /e --threads x",
            "--socket /e --evidence sgx",
        ] {
            assert!(matches!(run(text), Err(ArgsError::Syntax(_))), "{text}");
        }
    }
}
