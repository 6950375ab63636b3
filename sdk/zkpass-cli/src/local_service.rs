//! A service and an enclave in a development TEE, on this machine.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use zkpass_client::attestation::{Policy, PolicyError};
use zkpass_client::danger;
use zkpass_core::encoding::hex;
use zkpass_launcher::{Confinement, DevPlatform, Measurements, TeeInfo, measure};
use zkpass_service::{Config, EnclaveConfig, Server, Simulate};

use crate::args::attest::{DevelopmentTee, PlatformArg};
use crate::enclave_process::WORD;
use crate::failure::{Failure, with_causes};

/// What to start.
pub struct Local<'a> {
    /// Where the service listens.
    pub listen: SocketAddr,
    /// The enclave program, which takes [`WORD`]: this one, or a copy of it.
    pub program: &'a Path,
    /// The development TEE's choices.
    pub tee: DevelopmentTee,
    /// Where the development root is kept.
    pub state: &'a Path,
    /// Whether the enclave's log is wanted.
    pub enclave_log: bool,
}

impl Local<'_> {
    /// Starts the enclave and binds the listener.
    pub async fn start(&self) -> Result<(Server, TeeInfo), Failure> {
        let enclave = EnclaveConfig {
            arguments: vec![WORD.to_owned()],
            simulate: match self.tee.simulate {
                PlatformArg::Nitro => Simulate::Nitro,
                PlatformArg::SevSnp => Simulate::SevSnp,
                PlatformArg::Tdx => Simulate::Tdx,
            },
            state: Some(self.state.to_owned()),
            danger_unconfined: self.tee.danger_unconfined,
            log: self.enclave_log,
            ..EnclaveConfig::launched("enclave", self.program)
        };
        let config = Config {
            listen: self.listen,
            enclaves: vec![enclave],
            ..Config::default()
        };
        let server = Server::start(config).await.map_err(|error| {
            let error = with_causes(&error);
            Failure::system(format!("cannot start the service: {error}"))
        })?;
        let tee = server.development_tees().into_iter().next();
        let tee = tee.ok_or_else(|| Failure::system("the service started no enclave"))?;
        Ok((server, tee))
    }
}

/// The platform to play.
pub fn platform(platform: PlatformArg) -> DevPlatform {
    match platform {
        PlatformArg::Nitro => DevPlatform::Nitro,
        PlatformArg::SevSnp => DevPlatform::SevSnp,
        PlatformArg::Tdx => DevPlatform::Tdx,
    }
}

/// This program, which is also the enclave that it starts.
pub fn own_program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::system(format!("cannot tell where this program is: {error}")))
}

/// What a development TEE will measure, computed from the files alone.
pub fn expected(
    program: &Path,
    arguments: &[OsString],
    tee: DevelopmentTee,
) -> Result<Measurements, Failure> {
    let confinement = match tee.danger_unconfined {
        true => Confinement::DangerNone,
        false => Confinement::Full,
    };
    measure(program, arguments, platform(tee.simulate), confinement).map_err(|error| {
        Failure::system(format!("cannot measure `{}`: {error}", program.display()))
    })
}

/// A policy file that accepts one enclave of a development TEE.
pub fn policy_text(measurements: &Measurements, platform: PlatformArg, name: &str) -> String {
    let [pcr0, pcr1, pcr2] =
        [&measurements.pcr0, &measurements.pcr1, &measurements.pcr2].map(|pcr| hex(pcr));
    let values = match platform {
        PlatformArg::Nitro => format!(
            "platform = \"nitro\"\n\
             pcrs.0 = \"{pcr0}\"  # the program\n\
             pcrs.1 = \"{pcr1}\"  # its arguments\n\
             pcrs.2 = \"{pcr2}\"  # its confinement\n\n\
             [nitro]\nmax_age_seconds = 300\nclock_skew_seconds = 60\n"
        ),
        PlatformArg::SevSnp => {
            let host_data = hex(&measurements.host_data());
            format!(
                "platform = \"sev-snp\"\n\
                 measurement = \"{pcr0}\"  # the program\n\
                 host_data = \"{host_data}\"  # its arguments and confinement\n"
            )
        }
        PlatformArg::Tdx => format!(
            "platform = \"tdx\"\n\
             mrtd = \"{pcr0}\"  # the program\n\
             rtmr0 = \"{pcr1}\"  # its arguments\n\
             rtmr1 = \"{pcr2}\"  # its confinement\n"
        ),
    };
    format!(
        "# Accepts one build in a development TEE, whose root a client names with\n\
         # --danger-development-root.\nversion = 1\n\n[[measurements]]\nname = \"{name}\"\n{values}"
    )
}

/// The same as a policy that trusts the development root.
pub fn policy(text: &str, tee: &TeeInfo) -> Result<Policy, PolicyError> {
    let policy = Policy::from_toml(text)?;
    Ok(danger::trust_development_root(policy, tee.root_fingerprint))
}

/// The address that clients use.
pub fn url(server: &Server) -> String {
    format!("http://{}", server.local_address())
}

/// Runs a future that does network work.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system(format!("cannot start the runtime: {error}")))?
        .block_on(work)
}
