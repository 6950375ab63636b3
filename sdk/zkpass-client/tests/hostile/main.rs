//! A holder behind a service and a network that lie: the real service and the
//! real enclave, and between them and the holder somebody who changes what
//! passes. Every lie ends in an error of its kind, none in a wrong proof, and
//! data leaves only for an enclave whose evidence is good.

mod answers;
mod concurrent;
mod evidence;
mod frame_proxy;
mod frames;
mod proxy;
#[path = "../stack/mod.rs"]
mod stack;

use std::path::Path;
use std::time::Duration;

use stack::{PATIENCE, Scene, Stack};
use tokio::sync::Mutex;
use zkpass_client::holder::{self, Holder, Proof, ProveError, RemoteError};
use zkpass_client::verifier::Verifier;
use zkpass_core::api::EnclaveOffer;
use zkpass_core::code::Code;

/// Proofs need the whole machine: one test at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// How a request ended: the kind of the error and its code.
type Outcome = (&'static str, Code);

/// What an honest way makes of [`quick`]: the enclave's own sealed refusal.
const HONEST: Outcome = ("refused", Code::MissingField);

/// What an answer is that was not sealed for this request.
const FOREIGN_ANSWER: Outcome = ("answer", Code::Internal);

/// Data that the enclave refuses without a proof.
fn quick() -> Scene {
    Scene::with_data("{}")
}

fn outcome(result: Result<Proof, ProveError>) -> Outcome {
    let error = result.expect_err("nobody proves that `{}` has fields");
    let kind = match &error {
        ProveError::Enclave(error) => error.cause(),
        ProveError::Refused(_) => "refused",
        ProveError::Answer(_) => "answer",
        ProveError::Remote(error) => match error {
            RemoteError::Problem { .. } => "problem",
            RemoteError::Transport(_) => "transport",
            RemoteError::Status { .. } => "status",
            RemoteError::Malformed => "malformed",
            RemoteError::TooLarge { .. } => "too-large",
            RemoteError::NoEnclave => "no-enclave",
            RemoteError::JobLost => "job-lost",
            RemoteError::Deadline(_) => "deadline",
        },
        _ => "unexpected",
    };
    (kind, error.code())
}

/// A holder that asks once.
fn once(url: &str, stack: &Stack) -> Holder {
    within(url, stack, PATIENCE)
}

fn within(url: &str, stack: &Stack, deadline: Duration) -> Holder {
    Holder::builder(url, stack.policy())
        .max_attempts(1)
        .deadline(deadline)
        .build()
        .unwrap()
}

/// Waits until the service has this many enclaves; what they offer.
async fn offers(stack: &Stack, count: usize) -> Vec<EnclaveOffer> {
    let waiting = async {
        loop {
            match holder::enclaves(&stack.url).await {
                Ok(offers) if offers.len() == count => return offers,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let offers = tokio::time::timeout(PATIENCE, waiting).await;
    offers.unwrap_or_else(|_| panic!("the enclaves are not ready: {:#?}", stack.log()))
}

/// A proof verifies, and answers this question about this issuer's document.
async fn assert_answers(scene: &Scene, proof: Proof, enclave: &EnclaveOffer) {
    let keys = vec![enclave.info.identity_key];
    let policy = scene.policy().expect_enclave_keys(keys);
    let verified = Verifier::new(1).verify(policy, proof.into_token()).await;
    assert_eq!(verified.unwrap().nonce(), scene.dvr.nonce.as_deref());
}

/// One service with four enclaves.
struct Zoo {
    stack: Stack,
    _directory: tempfile::TempDir,
}

impl Zoo {
    /// In the order of [`Zoo::offers`]: the enclave that is shown, another
    /// life of the same program under the same root, a program that
    /// differs by one byte under the same root, and the program of the first
    /// one under another root.
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let good = stack::program("zkpass-enclave");
        let twin = path("twin");
        longer_by_a_byte(&good, &twin);
        let (root, other_root) = (path("root"), path("other-root"));
        let mut config = format!("state = {root:?}\nlog = false\n");
        for (name, program, state) in [
            ("other", &good, &root),
            ("twin", &twin, &root),
            ("foreign", &good, &other_root),
        ] {
            config += &format!(
                "[[enclaves]]\nname = {name:?}\nprogram = {program:?}\nstate = {state:?}\n\
                 log = false\n"
            );
        }
        let zoo = Self {
            stack: Stack::start_with("", &config),
            _directory: directory,
        };
        offers(&zoo.stack, 4).await;
        zoo
    }

    async fn offers(&self) -> [EnclaveOffer; 4] {
        offers(&self.stack, 4).await.try_into().unwrap()
    }
}

/// A copy that runs as the original does.
fn longer_by_a_byte(program: &Path, copy: &Path) {
    use std::io::Write as _;
    std::fs::copy(program, copy).unwrap();
    let file = std::fs::OpenOptions::new().append(true).open(copy);
    file.unwrap().write_all(&[0]).unwrap();
}
