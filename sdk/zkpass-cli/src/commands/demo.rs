//! `zkpass demo`: all parties once, on this machine.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use zkpass_client::danger;
use zkpass_client::holder::{Holder, Progress, Proof, Request};
use zkpass_client::issuer::Issuer;
use zkpass_client::verifier::{Claims, DvrBuilder, Policy, Verifier};
use zkpass_core::api::{EnclaveInfo, UNATTESTED_DEVELOPMENT};
use zkpass_core::keys::PublicKey;
use zkpass_core::statement::output_json;
use zkpass_core::user_data::Profile;

use crate::failure::{Failure, with_causes};
use crate::keys;
use crate::local_service::{self, block_on};
use crate::query::output_text;
use crate::screen::{Answer, Screen};

const DATA: &str = include_str!("../../../../examples/bank-loan/data.json");
const QUERY: &str = include_str!("../../../../examples/bank-loan/query.json");
const TITLE: &str = "Personal loan, pre-approval";
const AUDIENCE: &str = "https://lender.example";

/// Runs the demonstration.
pub fn run(screen: Screen) -> Result<Answer, Failure> {
    block_on(async {
        let progress = screen.progress("starting service and enclave");
        let mut clock = Clock::start();
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = local_service::start(any_port, false).await?;
        let url = local_service::url(&server);
        clock.stop("start");
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(async move {
            // An error means that the other end is gone: stop as well.
            let _ = stopped.await;
        }));

        let parties = async {
            let story = tell(&url, &mut clock, |step| progress.step(step)).await?;
            Ok(story)
        };
        let story = tokio::select! {
            story = parties => story,
            _ = tokio::signal::ctrl_c() => Err(Failure::system("interrupted")),
        };
        // Whatever happened, the enclave is stopped before this process ends.
        let _ = stop.send(());
        let _ = serving.await;
        drop(progress);
        Ok(story?.answer(&clock))
    })
}

/// What happened.
struct Story {
    url: String,
    enclave: EnclaveInfo,
    data_bytes: usize,
    sealed_bytes: usize,
    proof: Proof,
    claims: Claims,
    issuer: PublicKey,
}

/// Issues, asks, proves and verifies.
async fn tell(
    url: &str,
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
    let holder = Holder::builder(url)
        .danger(danger::accept_unattested_development())
        .build()?;
    let request = Request::new(dvr_token, BTreeMap::from([(String::new(), token.clone())]))
        .from_verifier(verifier_key.public());
    let mut sealed_bytes = 0;
    let proof = holder
        .prove_with_progress(&request, |step| {
            if let Progress::Sending {
                sealed_bytes: bytes,
            } = step
            {
                sealed_bytes = bytes;
            }
        })
        .await?;
    clock.stop("prove");

    progress("verifying the proof");
    let enclave = holder
        .enclaves()
        .await
        .map_err(|error| Failure::system_with(error.code(), with_causes(&error)))?
        .pop()
        .ok_or_else(|| Failure::system("the enclave is gone"))?;
    let issuers = BTreeMap::from([(String::new(), issuer.public_key())]);
    let policy = Policy::new(question.dvr().clone(), issuers)
        .expect_enclave_keys(vec![enclave.identity_key]);
    let claims = Verifier::new(1)
        .verify(policy, proof.token().to_owned())
        .await
        .map_err(|error| Failure::refused(error.code(), error))?;
    clock.stop("verify");

    Ok(Story {
        url: url.to_owned(),
        enclave,
        data_bytes: token.len(),
        sealed_bytes,
        proof,
        claims,
        issuer: issuer.public_key(),
    })
}

impl Story {
    fn answer(&self, clock: &Clock) -> Answer {
        let output = output_json(self.claims.output());
        let sees = self.sees(&output);
        Answer {
            text: self.text(&output, &sees, clock),
            json: json!({
                "verified": true,
                "output": output,
                "as_of": self.claims.as_of(),
                "dvr_id": self.claims.dvr_id(),
                "issuer": self.issuer.thumbprint(),
                "service": self.url,
                "enclave": {
                    "kind": self.enclave.kind,
                    "identity": self.enclave.identity_key.thumbprint(),
                },
                "danger_accepted": UNATTESTED_DEVELOPMENT,
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
    ) -> String {
        let proof_bytes = self.proof.claims().zkproof.len();
        let what = |step| match step {
            "start" => format!("a service on {} and an enclave process", self.url),
            "issue" => format!(
                "the bank, an issuer, signs a statement ({} bytes)",
                self.data_bytes
            ),
            "ask" => format!("the lender, a verifier, signs the question `{TITLE}`"),
            "prove" => format!(
                "the customer, a holder, seals the statement to the enclave and gets a proof \
                 ({proof_bytes} bytes)"
            ),
            "verify" => "the lender checks the proof, offline".to_owned(),
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
        text.push_str(&format!(
            "\nAnswer, verified\n  {}\n\n\
             The enclave of this demonstration is {UNATTESTED_DEVELOPMENT}: an ordinary process \
             that whoever\nruns this machine can look into. It was accepted through the client's \
             `danger` door, as\n`zkpass prove --danger-accept-unattested` does. The answer is true \
             all the same: that rests on\nthe proof alone.",
            output_text(output).replace('\n', "\n  ")
        ));
        text
    }
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
