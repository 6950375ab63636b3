//! `zkpass demo`: all parties once, on this machine.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use zkpass_client::attestation::Record;
use zkpass_client::holder::{Holder, Progress, Proof, ProveError, Request};
use zkpass_client::issuer::Issuer;
use zkpass_client::verifier::{Claims, DvrBuilder, Policy, Verifier};
use zkpass_core::encoding::hex;
use zkpass_core::keys::PublicKey;
use zkpass_core::statement::output_json;
use zkpass_core::user_data::Profile;
use zkpass_launcher::TeeInfo;

use crate::args::Demo;
use crate::enclave_process::WORD;
use crate::failure::Failure;
use crate::keys;
use crate::local_service::{self, Local, block_on};
use crate::query::output_text;
use crate::screen::{Answer, Screen};

const DATA: &str = include_str!("../../../../examples/bank-loan/data.json");
const QUERY: &str = include_str!("../../../../examples/bank-loan/query.json");
const TITLE: &str = "Personal loan, pre-approval";
const AUDIENCE: &str = "https://lender.example";

/// Runs the demonstration.
pub fn run(args: &Demo, screen: Screen) -> Result<Answer, Failure> {
    let failed = |error| Failure::system(format!("cannot make a temporary directory: {error}"));
    let folder = tempfile::tempdir().map_err(failed)?;
    let program = local_service::own_program()?;
    // What the client expects is computed from the program file, not taken from the service.
    let expected = local_service::expected(&program, &[WORD.into()], args.tee)?;
    let policy = local_service::policy_text(&expected, args.tee.simulate, "this build of zkpass");
    let state = folder.path().join("state");
    let local = Local {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        program: &program,
        tee: args.tee,
        state: &state,
        enclave_log: false,
    };
    block_on(async {
        let progress = screen.progress("starting service and enclave");
        let mut clock = Clock::start();
        let running = Running::start(&local).await?;
        clock.stop("start");
        let parties = async {
            let policy = local_service::policy(&policy, &running.tee)?;
            tell(&running, policy, &mut clock, |step| progress.step(step)).await
        };
        let story = tokio::select! {
            story = parties => story,
            _ = tokio::signal::ctrl_c() => Err(Failure::system("interrupted")),
        };
        let tee = running.tee;
        running.stop().await;
        let story = story?;

        progress.step("trying an enclave with one byte more");
        let changed = folder.path().join("changed");
        let copied = std::fs::copy(&program, &changed).and_then(|_| {
            let mut file = std::fs::File::options().append(true).open(&changed)?;
            std::io::Write::write_all(&mut file, b"\0")
        });
        copied.map_err(|error| Failure::system(format!("cannot copy this program: {error}")))?;
        let running = Running::start(&Local {
            program: &changed,
            ..local
        })
        .await?;
        // The same root vouches for it, so that nothing but its measurement differs.
        let policy = local_service::policy(&policy, &tee)?;
        let refusal = story.refused_by(&running.url, policy).await;
        let measured = running.tee.measurements.pcr0;
        running.stop().await;
        clock.stop("refuse");
        drop(progress);
        Ok(story.answer(&clock, &tee, &measured, refusal?))
    })
}

/// A service with its enclave, serving.
struct Running {
    url: String,
    tee: TeeInfo,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Running {
    async fn start(local: &Local<'_>) -> Result<Self, Failure> {
        let (server, tee) = local.start().await?;
        let url = local_service::url(&server);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(async move {
            // An error means that the other end is gone: stop as well.
            let _ = stopped.await;
        }));
        Ok(Self {
            url,
            tee,
            stop,
            serving,
        })
    }

    /// Whatever happened, the enclave is stopped before this process ends.
    async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.serving.await;
    }
}

/// What happened.
struct Story {
    url: String,
    request: Request,
    enclave: Record,
    data_bytes: usize,
    sealed_bytes: usize,
    proof: Proof,
    claims: Claims,
    issuer: PublicKey,
}

/// Issues, asks, proves and verifies.
async fn tell(
    running: &Running,
    policy: zkpass_client::attestation::Policy,
    clock: &mut Clock,
    progress: impl Fn(&'static str) + Send + Sync,
) -> Result<Story, Failure> {
    let issuer = Issuer::new(keys::generate()?);
    let token = issuer.sign(DATA, Profile::Zkpass)?;
    clock.stop("issue");

    let verifier_key = keys::generate()?;
    let nonce = zkpass_client::keys::random_id().map_err(Failure::system)?;
    let question = DvrBuilder::new(QUERY)
        .map_err(Failure::system)?
        .title(TITLE)
        .audience(AUDIENCE)
        .nonce(nonce)
        .max_age_days(1)
        .document(issuer.public_key().into(), Profile::Zkpass)
        .verifying_key(verifier_key.public().into())
        .build()
        .map_err(|error| Failure::refused(error.code(), error))?;
    let dvr_token = question.sign(&verifier_key, None)?;
    clock.stop("ask");

    progress("proving in the enclave");
    let holder = Holder::builder(&running.url, policy).build()?;
    let request = Request::new(dvr_token, BTreeMap::from([(String::new(), token.clone())]))
        .from_verifier(verifier_key.public());
    let mut sealed_bytes = 0;
    let proof = holder
        .prove_with_progress(&request, |step| match step {
            Progress::Attested { .. } => clock.stop("attest"),
            Progress::Sending {
                sealed_bytes: bytes,
            } => sealed_bytes = bytes,
            _ => {}
        })
        .await?;
    clock.stop("prove");

    progress("verifying the proof");
    let enclave = proof.attestation().cloned();
    let enclave = enclave.ok_or_else(|| Failure::system("no evidence was kept"))?;
    let issuers = BTreeMap::from([(String::new(), issuer.public_key())]);
    let policy = Policy::new(question.dvr().clone(), issuers)
        .expect_enclave_keys(vec![enclave.enclave.identity_key]);
    let claims = Verifier::new(1)
        .verify(policy, proof.token().to_owned())
        .await
        .map_err(|error| Failure::refused(error.code(), error))?;
    clock.stop("verify");

    Ok(Story {
        url: running.url.clone(),
        request,
        enclave,
        data_bytes: token.len(),
        sealed_bytes,
        proof,
        claims,
        issuer: issuer.public_key(),
    })
}

impl Story {
    /// Sends the same request to another service; how that is refused.
    async fn refused_by(
        &self,
        url: &str,
        policy: zkpass_client::attestation::Policy,
    ) -> Result<Refused, Failure> {
        let mut sent = false;
        let holder = Holder::builder(url, policy).build()?;
        let progress = |step| sent |= matches!(step, Progress::Sending { .. });
        match holder.prove_with_progress(&self.request, progress).await {
            Err(ProveError::Enclave(error)) if !sent => Ok(Refused {
                cause: error.cause(),
                message: error.to_string(),
            }),
            Err(error) => Err(error.into()),
            Ok(_) => Err(Failure::system("the changed enclave was accepted")),
        }
    }

    fn answer(&self, clock: &Clock, tee: &TeeInfo, changed: &[u8; 48], refused: Refused) -> Answer {
        let output = output_json(self.claims.output());
        let sees = self.sees(&output);
        Answer {
            text: self.text(&output, &sees, clock, tee, changed, &refused),
            json: json!({
                "verified": true,
                "output": output,
                "as_of": self.claims.as_of(),
                "dvr_id": self.claims.dvr_id(),
                "issuer": self.issuer.thumbprint(),
                "service": self.url,
                "enclave": {
                    "kind": self.enclave.enclave.kind,
                    "identity": self.enclave.enclave.identity_key.thumbprint(),
                    "measurement": self.enclave.enclave.measurement_id,
                    "confined": tee.confined,
                },
                "danger_accepted": {"development_root": hex(&tee.root_fingerprint)},
                "changed_enclave": {
                    "pcr0": hex(changed),
                    "refused": refused.cause,
                    "message": refused.message,
                },
                "sees": sees.iter().map(|(who, what)| ((*who).to_owned(), json!(what)))
                    .collect::<Map<_, _>>(),
                "milliseconds": clock.to_json(),
                "token_bytes": self.data_bytes,
                "sealed_request_bytes": self.sealed_bytes,
                "proof_bytes": self.proof.claims().zkproof.len(),
            }),
        }
    }

    /// What each party knows in the end.
    fn sees(&self, output: &Map<String, Value>) -> [(&'static str, String); 5] {
        let answer = output_text(output).replace('\n', ", ");
        [
            (
                "issuer",
                "the data it signed; not that anybody asks about it".to_owned(),
            ),
            (
                "holder",
                format!("its data, the question and, first of all, the answer: {answer}"),
            ),
            (
                "service",
                format!(
                    "a sealed request of {} bytes, a sealed answer, and when they came",
                    self.sealed_bytes
                ),
            ),
            (
                "enclave",
                "data, question and answer, as long as it takes to prove".to_owned(),
            ),
            (
                "verifier",
                format!(
                    "{answer}, as of {}, on data signed by issuer {}; nothing else of the data",
                    self.claims.as_of(),
                    self.issuer.thumbprint()
                ),
            ),
        ]
    }

    fn text(
        &self,
        output: &Map<String, Value>,
        sees: &[(&'static str, String)],
        clock: &Clock,
        tee: &TeeInfo,
        changed: &[u8; 48],
        refused: &Refused,
    ) -> String {
        let proof_bytes = self.proof.claims().zkproof.len();
        let what = |step| match step {
            "start" => format!(
                "a service on {}, and an enclave in a development TEE",
                self.url
            ),
            "issue" => format!(
                "the bank, an issuer, signs a statement ({} bytes)",
                self.data_bytes
            ),
            "ask" => format!("the lender, a verifier, signs the question `{TITLE}`"),
            "attest" => {
                "the customer, a holder, verifies what the enclave proves of itself".to_owned()
            }
            "prove" => format!(
                "the customer seals the statement to the enclave and gets a proof ({proof_bytes} \
                 bytes)"
            ),
            "verify" => "the lender checks the proof, offline".to_owned(),
            "refuse" => {
                "the customer meets an enclave with one byte more, and sends nothing".to_owned()
            }
            _ => String::new(),
        };
        let mut text = String::from("Steps\n");
        for (step, time) in clock.steps() {
            text.push_str(&format!(
                "  {:>7.3} s  {step:<7} {}\n",
                time.as_secs_f64(),
                what(step)
            ));
        }
        text.push_str("\nWhat each party sees\n");
        for (who, what) in sees {
            text.push_str(&format!("  {who:<9} {what}\n"));
        }
        let [expected, measured] = [&tee.measurements.pcr0, changed].map(|pcr| hex(pcr));
        let confinement = match tee.confined {
            true => "in namespaces of its own, with Landlock and seccomp",
            false => "NOT confined",
        };
        text.push_str(&format!(
            "\nWhat the enclave proved before it got data ({}, {confinement})\n  \
             measured   {expected}\n  \
             expected   the same: computed by the client from the program file\n  \
             signed by  a chain up to the root {}\n  \
             bound to   the client's nonce and the enclave's identity key, which signed its HPKE key\n\
             \nThe same enclave with one byte more\n  \
             measured   {measured}\n  \
             refused    {} [{}]; no byte of data was sent\n",
            tee.platform.name(),
            hex(&tee.root_fingerprint),
            refused.message,
            refused.cause
        ));
        text.push_str(&format!(
            "\nAnswer, verified\n  {}\n\n\
             The root of this evidence is that of a development TEE, made for this demonstration: whoever \
             runs\nthis machine could sign anything under it, and look into the enclave. It was accepted \
             through the\nclient's `danger` door, as `zkpass prove --danger-development-root` does. The \
             answer is true all the\nsame: that rests on the proof alone.",
            output_text(output).replace('\n', "\n  ")
        ));
        text
    }
}

/// How a client refused an enclave.
struct Refused {
    cause: &'static str,
    message: String,
}

/// How long each step took.
struct Clock {
    begun: Instant,
    last: Instant,
    steps: Vec<(&'static str, Duration)>,
}

impl Clock {
    fn start() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            last: now,
            steps: Vec::new(),
        }
    }

    fn stop(&mut self, step: &'static str) {
        let now = Instant::now();
        self.steps.push((step, now - self.last));
        self.last = now;
    }

    /// The steps and their sum.
    fn steps(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        let total = ("total", self.last - self.begun);
        self.steps.iter().copied().chain([total])
    }

    fn to_json(&self) -> Value {
        let milliseconds = |time: Duration| (time.as_secs_f64() * 10_000.0).round() / 10.0;
        self.steps()
            .map(|(step, time)| (step.to_owned(), json!(milliseconds(time))))
            .collect::<Map<_, _>>()
            .into()
    }
}
