//! The enclaves of this service: each is started or connected to, watched,
//! and replaced by its next life when it dies.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};
use zkpass_core::api::{EnclaveInfo, EnclaveOffer};
use zkpass_core::encoding::hex;
use zkpass_core::evidence::Nonce;
use zkpass_launcher::{
    Confinement, DevPlatform, DevRoots, LaunchError, Launcher, Options, TeeInfo,
};

use crate::config::{EnclaveConfig, Simulate};
use crate::session::{self, Reply, Session, SessionEnd, Watch};

/// Pause after the first failure to reach an enclave; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long an enclave may take to attest; real hardware takes tens of milliseconds.
const ATTEST_PATIENCE: Duration = Duration::from_secs(5);

/// Largest file of endorsements: TDX collateral takes about 30 KiB.
const MAX_ENDORSEMENT_BYTES: u64 = 256 * 1024;

/// Why an enclave could not be started when the service started.
#[derive(Debug, Error)]
#[error("enclave `{name}` did not start")]
pub struct EnclaveStartError {
    /// Its name in the configuration.
    pub name: String,
    /// The cause.
    pub source: LaunchError,
}

/// All enclaves, by the keys they hold.
pub(crate) struct Fleet {
    members: Vec<Arc<Member>>,
    tees: Vec<TeeInfo>,
    keepers: Mutex<Vec<JoinHandle<()>>>,
    stop: watch::Sender<bool>,
}

/// One configured enclave and its present session.
struct Member {
    name: String,
    /// Where endorsements are, for evidence that comes without.
    endorsements: Option<PathBuf>,
    session: Mutex<Option<Arc<Session>>>,
}

impl Fleet {
    /// Starts what has to be started and keeps connecting to the rest.
    pub(crate) async fn start(
        configs: &[EnclaveConfig],
        in_flight: usize,
    ) -> Result<Self, EnclaveStartError> {
        let stop = watch::Sender::new(false);
        let mut members = Vec::new();
        let mut keepers = Vec::new();
        let mut tees = Vec::new();
        for config in configs {
            let roots = match &config.state {
                Some(state) => DevRoots::at(state),
                None => DevRoots::ephemeral(),
            };
            let source =
                Source::start(config, &roots)
                    .await
                    .map_err(|source| EnclaveStartError {
                        name: config.name.clone(),
                        source,
                    })?;
            tees.extend(source.tee());
            let member = Arc::new(Member {
                name: config.name.clone(),
                endorsements: config.endorsements.clone(),
                session: Mutex::default(),
            });
            let keeper = Keeper {
                config: config.clone(),
                roots,
                member: Arc::clone(&member),
                in_flight,
            };
            keepers.push(tokio::spawn(keeper.run(source, stop.subscribe())));
            members.push(member);
        }
        Ok(Self {
            members,
            tees,
            keepers: Mutex::new(keepers),
            stop,
        })
    }

    /// The development TEEs of the enclaves that were started.
    pub(crate) fn tees(&self) -> &[TeeInfo] {
        &self.tees
    }

    /// The enclaves that are ready, with the keys to seal to.
    pub(crate) fn announced(&self) -> Vec<EnclaveInfo> {
        self.sessions()
            .filter_map(|session| session.announced())
            .collect()
    }

    /// The same with evidence for a nonce, as far as they give some.
    pub(crate) async fn attested(&self, nonce: Nonce) -> Vec<EnclaveOffer> {
        // Asked first, all of them: they work side by side.
        let asked = self.members.iter().filter_map(|member| {
            let session = member.session().clone()?;
            session.announced()?;
            Some((member, session.attest(nonce)))
        });
        let pending: Vec<_> = asked.collect();
        let mut offers = Vec::new();
        let end = Instant::now() + ATTEST_PATIENCE;
        for (member, mut reply) in pending {
            let enclave = &member.name;
            match timeout_at(end, reply.reply()).await {
                Ok(Reply::Evidence(mut offer)) => {
                    if let Some(evidence) = &mut offer.evidence
                        && evidence.endorsements.is_empty()
                    {
                        evidence.endorsements = member.endorse().await;
                    }
                    offers.push(*offer);
                }
                Ok(Reply::Failed(code)) => {
                    tracing::warn!(enclave, %code, "enclave gave no evidence");
                }
                _ => tracing::warn!(enclave, "enclave did not attest in time"),
            }
        }
        offers
    }

    /// The enclave that holds a key.
    pub(crate) fn holder(&self, enclave_id: &str, key_id: &str) -> Option<Arc<Session>> {
        self.sessions()
            .find(|session| session.has_key(enclave_id, key_id))
    }

    /// Ends all sessions and the processes that were started.
    pub(crate) async fn stop(&self) {
        self.stop.send_replace(true);
        let keepers =
            std::mem::take(&mut *self.keepers.lock().unwrap_or_else(PoisonError::into_inner));
        for keeper in keepers {
            // An error means that the task panicked: then the process is
            // killed, because its launcher was dropped.
            let _ = keeper.await;
        }
    }

    fn sessions(&self) -> impl Iterator<Item = Arc<Session>> {
        self.members
            .iter()
            .filter_map(|member| member.session().clone())
    }
}

impl Member {
    /// The configured endorsements; nothing where there are none, as clients will say.
    async fn endorse(&self) -> Vec<u8> {
        let Some(path) = &self.endorsements else {
            return Vec::new();
        };
        let read = async {
            let mut bytes = Vec::new();
            let file = tokio::fs::File::open(path).await?;
            let mut file = file.take(MAX_ENDORSEMENT_BYTES + 1);
            file.read_to_end(&mut bytes).await?;
            Ok::<_, std::io::Error>(bytes)
        };
        match read.await {
            Ok(bytes) if bytes.len() as u64 <= MAX_ENDORSEMENT_BYTES => bytes,
            Ok(_) => {
                tracing::warn!(enclave = self.name, "the file of endorsements is too large");
                Vec::new()
            }
            Err(error) => {
                tracing::warn!(enclave = self.name, %error, "endorsements cannot be read");
                Vec::new()
            }
        }
    }

    fn session(&self) -> MutexGuard<'_, Option<Arc<Session>>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where an enclave comes from.
enum Source {
    Launched(Launcher),
    Connected(PathBuf),
}

impl Source {
    async fn start(config: &EnclaveConfig, roots: &DevRoots) -> Result<Self, LaunchError> {
        if let Some(socket) = &config.socket {
            return Ok(Self::Connected(socket.clone()));
        }
        let mut options = Options::new(config.program.clone().unwrap_or_default());
        options.arguments = config.arguments.iter().map(Into::into).collect();
        options.start_timeout = Duration::from_secs(config.start_seconds);
        options.platform = match config.simulate {
            Simulate::Nitro => DevPlatform::Nitro,
            Simulate::SevSnp => DevPlatform::SevSnp,
            Simulate::Tdx => DevPlatform::Tdx,
        };
        options.roots = roots.clone();
        options.log = config.log;
        if config.danger_unconfined {
            options.confinement = Confinement::DangerNone;
        }
        let launcher = Launcher::start(options).await?;
        let tee = launcher.tee();
        tracing::info!(
            enclave = config.name,
            platform = tee.platform.name(),
            development_root = hex(&tee.root_fingerprint),
            pcr0 = hex(&tee.measurements.pcr0),
            confined = tee.confined,
            "enclave started in a development TEE"
        );
        Ok(Self::Launched(launcher))
    }

    fn socket(&self) -> &Path {
        match self {
            Self::Launched(launcher) => launcher.socket(),
            Self::Connected(socket) => socket,
        }
    }

    fn tee(&self) -> Option<TeeInfo> {
        match self {
            Self::Launched(launcher) => Some(*launcher.tee()),
            Self::Connected(_) => None,
        }
    }

    async fn stop(self) {
        if let Self::Launched(launcher) = self {
            launcher.shutdown().await;
        }
    }
}

/// Keeps one member connected.
struct Keeper {
    config: EnclaveConfig,
    /// Outlives the processes that are replaced, so that clients know the next one.
    roots: DevRoots,
    member: Arc<Member>,
    in_flight: usize,
}

impl Keeper {
    async fn run(self, mut source: Source, mut stop: watch::Receiver<bool>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let end = tokio::select! {
                end = self.serve(&source, &mut pause) => end,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            if end.may_hang() && matches!(source, Source::Launched(_)) {
                source = tokio::select! {
                    source = self.replace(source) => source,
                    // The old process is gone or dies with its launcher.
                    _ = stop.wait_for(|stop| *stop) => return,
                };
            }
            tokio::select! {
                () = sleep(pause) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        // The session ended when `serve` was dropped.
        *self.member.session() = None;
        source.stop().await;
    }

    /// Connects, and accompanies the connection to its end.
    async fn serve(&self, source: &Source, pause: &mut Duration) -> SessionEnd {
        let patience = Duration::from_secs(self.config.start_seconds);
        let opened = async {
            let stream = UnixStream::connect(source.socket()).await?;
            session::open(stream, self.in_flight, patience).await
        };
        let (session, driver) = match opened.await {
            Ok(opened) => opened,
            Err(end) => {
                tracing::debug!(enclave = self.member.name, reason = %end, "no enclave yet");
                return end;
            }
        };
        *pause = FIRST_PAUSE;
        let born = Instant::now();
        tracing::info!(enclave = self.member.name, "enclave ready");
        *self.member.session() = Some(session);
        let watch = Watch {
            health: Duration::from_secs(self.config.health_seconds),
            silence: Duration::from_secs(self.config.silence_seconds),
        };
        let end = driver.run(watch).await;
        *self.member.session() = None;
        tracing::warn!(
            enclave = self.member.name,
            lived_seconds = born.elapsed().as_secs(),
            reason = %end,
            "enclave lost"
        );
        end
    }

    /// Ends a process that is there but does not work, and starts another.
    async fn replace(&self, old: Source) -> Source {
        old.stop().await;
        loop {
            match Source::start(&self.config, &self.roots).await {
                Ok(source) => return source,
                Err(error) => {
                    tracing::warn!(enclave = self.member.name, %error, "enclave did not start");
                    sleep(LONGEST_PAUSE).await;
                }
            }
        }
    }
}
