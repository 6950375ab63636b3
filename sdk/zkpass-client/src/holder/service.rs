//! The conversation with a service about one sealed request.
//!
//! The first request waits for the answer. When the caller gives up, its
//! connection closes and the service cancels the job, whose id nobody knows
//! yet. Once an id was given out, giving up deletes the job.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;
use zkpass_core::api::{JobResponse, JobStatus};
use zkpass_core::code::Code;

use super::Progress;
use super::enclave::Sealed;
use super::error::RemoteError;
use crate::http::{Http, HttpError};

/// How long one HTTP request waits for the end of a job: less than the idle
/// times that proxies usually have.
const WAIT: Duration = Duration::from_secs(20);

/// How often a broken connection is made anew to ask about the same job.
const MAX_BROKEN_POLLS: u32 = 3;

/// Sends the request and returns the sealed answer, in base64url.
pub(crate) async fn exchange(
    http: &Http,
    sealed: &Sealed,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<String, RemoteError> {
    let mut job = http.post_proof(&sealed.body, WAIT).await?;
    let guard = DeleteOnDrop::new(http, job.id.clone());
    let mut broken = 0;
    let mut told = None;
    while !job.status.is_final() {
        if told != Some(job.status) {
            told = Some(job.status);
            progress(match job.status {
                JobStatus::Queued => Progress::Queued,
                _ => Progress::Running,
            });
        }
        job = match http.get_proof(&guard.id, WAIT).await {
            Ok(job) => job,
            Err(HttpError::Transport(_)) if broken < MAX_BROKEN_POLLS => {
                broken += 1;
                sleep(super::FIRST_PAUSE).await;
                continue;
            }
            Err(HttpError::Problem { problem, .. }) if problem.code == Code::NotFound => {
                return Err(RemoteError::JobLost);
            }
            Err(error) => return Err(error.into()),
        };
    }
    guard.disarm();
    finish(job)
}

fn finish(job: JobResponse) -> Result<String, RemoteError> {
    match (job.status, job.sealed_answer, job.problem) {
        (JobStatus::Done, Some(answer), _) => Ok(answer),
        (JobStatus::Failed, _, Some(problem)) => Err(RemoteError::Problem {
            problem: Box::new(problem),
            retry_after: None,
        }),
        _ => Err(RemoteError::Malformed),
    }
}

/// Deletes a job that nobody waits for any more.
struct DeleteOnDrop<'a> {
    http: &'a Http,
    id: String,
    armed: bool,
}

impl<'a> DeleteOnDrop<'a> {
    fn new(http: &'a Http, id: String) -> Self {
        Self {
            http,
            id,
            armed: true,
        }
    }

    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for DeleteOnDrop<'_> {
    fn drop(&mut self) {
        // Outside a runtime there is nothing to send it with; then the job
        // ends by itself and is forgotten.
        if self.armed
            && let Ok(runtime) = Handle::try_current()
        {
            let (http, id) = (self.http.clone(), self.id.clone());
            runtime.spawn(async move { http.delete_proof(&id).await });
        }
    }
}
