//! Two requests at once, whose jobs and answers are swapped.

use std::sync::Arc;

use tokio::sync::{Mutex, oneshot};
use zkpass_client::holder::{Proof, ProveError};
use zkpass_core::api::{JobResponse, JobStatus};

use crate::proxy::{Delivery, Proxy, Response};
use crate::stack::{Scene, Stack};
use crate::{FOREIGN_ANSWER, HONEST, Outcome, TURN, assert_answers, offers, once, outcome, quick};

/// What becomes of the responses to two posted requests.
#[derive(Clone, Copy, PartialEq)]
enum Pair {
    /// The first one's response is held until the second one's is there.
    Reordered,
    /// Each gets the response of the other.
    Swapped,
    /// Each is told that its job runs, under the id of the other.
    IdsSwapped,
    /// Each is told that its job runs, and gets its answer later.
    Polled,
}

/// The one who came first, waiting for the response of the second.
type First = Option<(Response, oneshot::Sender<Response>)>;

fn pretend_it_runs(response: &mut Response) {
    response.change(|job: &mut JobResponse| {
        job.status = JobStatus::Running;
        job.sealed_answer = None;
    });
}

async fn both(stack: &Stack, pair: Pair, scenes: [&Scene; 2]) -> [Result<Proof, ProveError>; 2] {
    let first = Arc::new(Mutex::new(First::None));
    let proxy = Proxy::start(&stack.url, move |request, upstream| {
        let first = Arc::clone(&first);
        async move {
            let mut own = upstream.ask(&request).await;
            if !request.is_post() {
                return Delivery::Whole(own);
            }
            if matches!(pair, Pair::IdsSwapped | Pair::Polled) {
                pretend_it_runs(&mut own);
            }
            let mut slot = first.lock().await;
            let other = match slot.take() {
                None => {
                    let (sender, receiver) = oneshot::channel();
                    *slot = Some((own.clone(), sender));
                    drop(slot);
                    receiver.await.unwrap()
                }
                Some((other, sender)) => {
                    sender.send(own.clone()).unwrap();
                    other
                }
            };
            Delivery::Whole(match pair {
                Pair::Swapped | Pair::IdsSwapped => other,
                Pair::Reordered | Pair::Polled => own,
            })
        }
    });
    let proxy = proxy.await;
    let [one, two] = [once(&proxy.url, stack), once(&proxy.url, stack)];
    let requests = scenes.map(Scene::request);
    let (one, two) = tokio::join!(one.prove(&requests[0]), two.prove(&requests[1]));
    assert_eq!(proxy.posts().len(), 2);
    [one, two]
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_get_their_own_answers_or_none() {
    let _turn = TURN.lock().await;
    let stack = Stack::start("");
    let cases: [(Pair, Outcome); 4] = [
        (Pair::Reordered, HONEST),
        (Pair::Polled, HONEST),
        (Pair::Swapped, FOREIGN_ANSWER),
        (Pair::IdsSwapped, FOREIGN_ANSWER),
    ];
    for (pair, expected) in cases {
        let (one, two) = (quick(), quick());
        for result in both(&stack, pair, [&one, &two]).await {
            assert_eq!(outcome(result), expected);
        }
    }

    // Real proofs too, also of the very same question and data.
    let offers = offers(&stack, 1).await;
    let scenes = [Scene::new(), Scene::new()];
    let proofs = both(&stack, Pair::Reordered, [&scenes[0], &scenes[1]]).await;
    for (scene, proof) in scenes.iter().zip(proofs) {
        assert_answers(scene, proof.unwrap(), &offers[0]).await;
    }
    for result in both(&stack, Pair::Swapped, [&scenes[0], &scenes[0]]).await {
        assert_eq!(outcome(result), FOREIGN_ANSWER);
    }
}
