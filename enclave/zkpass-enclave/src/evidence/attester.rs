//! A thread that asks the platform for evidence, one question at a time.

use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use tokio::sync::oneshot;
use zkpass_core::{
    evidence::{EvidenceDocument, Nonce, binding},
    keys::PublicKey,
};

use super::{EvidenceSource, Platform};
use crate::events::{Event, log};

/// Questions that wait for slow hardware; more are refused.
const WAITING_QUESTIONS: usize = 16;

/// Answers questions for evidence without holding up anything else.
#[derive(Debug)]
pub(crate) struct Attester {
    platform: Platform,
    measurement_id: String,
    questions: SyncSender<Question>,
}

#[derive(Debug)]
struct Question {
    nonce: Nonce,
    identity_key: PublicKey,
    answer: oneshot::Sender<EvidenceDocument>,
}

impl Attester {
    pub(crate) fn start(source: Box<dyn EvidenceSource>) -> io::Result<Self> {
        let (questions, asked) = sync_channel(WAITING_QUESTIONS);
        let attester = Self {
            platform: source.platform(),
            measurement_id: source.measurement_id().to_owned(),
            questions,
        };
        // It ends when the attester is dropped.
        thread::Builder::new()
            .name("evidence".to_owned())
            .spawn(move || answer_all(source, &asked))?;
        Ok(attester)
    }

    pub(crate) fn platform(&self) -> Platform {
        self.platform
    }

    pub(crate) fn measurement_id(&self) -> &str {
        &self.measurement_id
    }

    /// Evidence for a nonce and a key; `None` when there is none now or too many wait for theirs.
    pub(crate) async fn evidence(
        &self,
        nonce: Nonce,
        identity_key: PublicKey,
    ) -> Option<EvidenceDocument> {
        let (answer, answered) = oneshot::channel();
        let question = Question {
            nonce,
            identity_key,
            answer,
        };
        self.questions.try_send(question).ok()?;
        answered.await.ok()
    }
}

fn answer_all(mut source: Box<dyn EvidenceSource>, asked: &Receiver<Question>) {
    while let Ok(question) = asked.recv() {
        // Nobody waits for it any more.
        if question.answer.is_closed() {
            continue;
        }
        let nonce = question.nonce;
        match source.evidence(&binding(&nonce, &question.identity_key), &nonce) {
            Ok(evidence) => {
                let _ = question.answer.send(EvidenceDocument {
                    platform: source.platform().name().to_owned(),
                    nonce: nonce.to_vec(),
                    document: evidence.document,
                    endorsements: evidence.endorsements,
                });
            }
            Err(cause) => log(Event::NoEvidence(&cause)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use zkpass_core::{evidence::BINDING_BYTES, keys::SigningKey};

    use super::*;
    use crate::{
        evidence::{Evidence, EvidenceUnavailable},
        hardening::Needs,
    };

    /// Answers when it is told to, with the binding as the document.
    #[derive(Debug)]
    struct Slow(mpsc::Receiver<()>);

    impl EvidenceSource for Slow {
        fn platform(&self) -> Platform {
            Platform::Tdx
        }

        fn measurement_id(&self) -> &'static str {
            "tdx:00"
        }

        fn evidence(
            &mut self,
            binding: &[u8; BINDING_BYTES],
            _: &Nonce,
        ) -> Result<Evidence, EvidenceUnavailable> {
            self.0.recv().map_err(|_| EvidenceUnavailable::Lost)?;
            Ok(Evidence {
                document: binding.to_vec(),
                endorsements: vec![1],
            })
        }

        fn needs(&self) -> Needs<'_> {
            Needs::Nothing
        }
    }

    #[tokio::test]
    async fn slow_hardware_holds_up_a_bounded_number() {
        let (go, may_go) = mpsc::channel();
        let attester = Attester::start(Box::new(Slow(may_go))).unwrap();
        let key = SigningKey::from_bytes(&[5; 32]).unwrap().public();
        let ask = |byte| attester.evidence([byte; 32], key);

        // One is in work and the queue is full; which one is refused depends on the thread.
        let first = tokio::time::timeout(std::time::Duration::from_millis(50), ask(0));
        assert!(first.await.is_err());
        let mut waiting = tokio::task::JoinSet::new();
        let attester = std::sync::Arc::new(attester);
        for byte in 0..=u8::try_from(WAITING_QUESTIONS).unwrap() {
            let attester = std::sync::Arc::clone(&attester);
            waiting.spawn(async move { attester.evidence([byte; 32], key).await });
        }
        let refused = waiting.join_next().await.unwrap().unwrap();
        assert_eq!(refused, None);

        for _ in 0..=WAITING_QUESTIONS {
            go.send(()).unwrap();
        }
        let mut answered = 0;
        while let Some(evidence) = waiting.join_next().await {
            let evidence = evidence.unwrap().unwrap();
            let nonce = evidence.nonce.clone().try_into().unwrap();
            assert_eq!(evidence.document, binding(&nonce, &key));
            assert_eq!(evidence.platform, "tdx");
            answered += 1;
        }
        assert_eq!(answered, WAITING_QUESTIONS);

        // A source that fails leaves no document, and the thread goes on.
        drop(go);
        assert_eq!(attester.evidence([1; 32], key).await, None);
        assert_eq!(attester.evidence([2; 32], key).await, None);
    }
}
