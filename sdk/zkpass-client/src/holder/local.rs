//! Proving on this machine, with the code that runs in enclaves.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zkpass_circuit::KeyCache;
use zkpass_circuit::answer::{self, Answer};
use zkpass_core::date::Date;
use zkpass_core::dvr::Dvr;
use zkpass_core::proof::{ProofClaims, ProofToken};

use super::Progress;
use super::answer::{Proof, accept};
use super::error::{NO_RANDOMNESS, ProveError};
use super::request::Request;
use crate::clock::{today, unix_seconds};
use crate::keys;

/// Proves on this machine; no data leaves it.
///
/// `as_of` is the date that ages and day differences count to: today in UTC
/// unless given. The proof token is signed with a key that is used once and
/// forgotten, so verifiers have to ignore the enclave signature; what is
/// proven does not depend on it. Dropping the future stops the work.
pub async fn prove_locally(
    request: &Request,
    as_of: Option<Date>,
    cache: Arc<KeyCache>,
    mut progress: impl FnMut(Progress) + Send + 'static,
) -> Result<Proof, ProveError> {
    let checked = request.check(unix_seconds())?;
    let as_of = as_of
        .or_else(today)
        .ok_or(ProveError::System("the clock of this machine is not set"))?;
    let stop = StopOnDrop::default();
    let stopped = Arc::clone(&stop.0);
    let (dvr, tokens) = (checked.dvr.clone(), Arc::clone(checked.tokens));
    let proving = tokio::task::spawn_blocking(move || {
        let request = answer::Request {
            dvr: &dvr,
            tokens: &tokens.0,
            as_of,
        };
        let answer = answer::answer(&request, &cache, &mut |phase| {
            progress(Progress::Local(phase));
            match stopped.load(Ordering::Relaxed) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        sign(&dvr, answer)
    });
    let token = proving
        .await
        .map_err(|_| ProveError::System("proving did not run to its end"))??;
    accept(token, &checked)
}

fn sign(dvr: &Dvr, answer: Answer) -> Result<String, ProveError> {
    let key = keys::generate().map_err(|_| NO_RANDOMNESS)?;
    let claims = ProofClaims::new(dvr, answer.statement, answer.proof, unix_seconds());
    Ok(ProofToken::sign(&claims, &key)?)
}

/// Tells the prover to stop when nobody waits for it any more.
#[derive(Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
