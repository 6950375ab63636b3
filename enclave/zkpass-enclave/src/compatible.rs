//! Requests of existing clients: two JWEs come in, a proof token goes out in the open.
//!
//! There is no key to seal the answer with, so the service reads it. It may
//! see a proof, which is meant to be shown; of all the reasons for which there
//! is none it sees one code, because each would tell something about the data.
//!
//! **Each user data JWE is answered once.** Existing clients encrypt anew for
//! every request, while a service that could send a JWE again could have the
//! data proved on another day or, since the DVR comes in a JWE of its own,
//! under a question of its own. What the client cannot prevent is that the
//! service does so with the first copy: it must trust the service not to
//! exchange the question. The sealed channel does not ask for that trust.
//!
//! The key lives as long as the process, unless it has answered very many requests.

use std::{collections::HashSet, sync::Arc, time::Duration};

use sha2::{Digest as _, Sha256};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::Instant,
};
use zkpass_channel::{
    SealedAnswerBody, SealedRequestBody,
    jwe::{OpenError, PrivateKey, open_request},
    rand_core::CryptoRng,
};
use zkpass_core::{code::Code, frame::Message, keys::PublicKey};

use crate::{
    enclave::{Enclave, refused},
    hardening::{
        locked::{LockError, Locked},
        scrub::ScrubOnDrop,
    },
};

/// Requests that one key opens: their digests take 8 MiB. From the half on it
/// is replaced when the next HPKE key is announced.
const MAX_REQUESTS_PER_KEY: usize = 256 * 1024;

/// The key that existing clients encrypt to, and what it has opened.
#[derive(Debug)]
pub(crate) struct JweKey {
    private: Locked<PrivateKey>,
    opened: HashSet<[u8; 32]>,
}

/// The request of an existing client as it came in a frame.
pub(crate) struct JweRequest {
    pub(crate) user_data: String,
    pub(crate) dvr: String,
    /// When it came.
    pub(crate) accepted: Instant,
    /// How long somebody waits for the answer.
    pub(crate) patience: Duration,
    /// Held until the answer leaves.
    pub(crate) place: OwnedSemaphorePermit,
}

/// Why a request was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum RejectedRequest {
    /// The key has opened all the requests it may.
    #[error("the key is used up")]
    UsedUp,
    /// It does not open.
    #[error(transparent)]
    Unopened(#[from] OpenError),
    /// The user data was opened before.
    #[error("the user data was opened before")]
    Replayed,
}

impl RejectedRequest {
    fn code(&self) -> Code {
        match self {
            Self::UsedUp => Code::ReAttest,
            Self::Unopened(error) => error.code(),
            Self::Replayed => Code::SealedRequestRejected,
        }
    }
}

impl JweKey {
    pub(crate) fn generate(rng: &mut impl CryptoRng) -> Result<Self, LockError> {
        Ok(Self {
            private: Locked::new(|| PrivateKey::generate(rng))?,
            opened: HashSet::new(),
        })
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        self.private.public_key()
    }

    /// Puts a new key in the place of one that is half used up.
    pub(crate) fn renew(&mut self, rng: &mut impl CryptoRng) -> Result<(), LockError> {
        if self.opened.len() >= MAX_REQUESTS_PER_KEY / 2 {
            *self = Self::generate(rng)?;
        }
        Ok(())
    }

    /// Opens a request whose user data was not opened before.
    fn open(&mut self, user_data: &str, dvr: &str) -> Result<SealedRequestBody, RejectedRequest> {
        if self.opened.len() >= MAX_REQUESTS_PER_KEY {
            return Err(RejectedRequest::UsedUp);
        }
        // A JWE that opens has one spelling.
        let digest = Sha256::digest(user_data).into();
        if self.opened.contains(&digest) {
            return Err(RejectedRequest::Replayed);
        }
        let body = open_request(user_data, dvr, &self.private)?;
        // Only requests that open are remembered: rubbish cannot fill the set.
        self.opened.insert(digest);
        Ok(body)
    }
}

impl Enclave {
    /// Opens the request of an existing client and answers it, in the open.
    pub(crate) async fn handle_jwe(
        self: Arc<Self>,
        request: JweRequest,
        cancel: oneshot::Receiver<()>,
    ) -> Message {
        // Declared first, so that it comes last.
        let _scrub = ScrubOnDrop;
        let work = async {
            let opened = self.jwe_key().open(&request.user_data, &request.dvr);
            match opened {
                Ok(body) => self.answer(body).await,
                Err(error) => refused(error.code()),
            }
        };
        let answer = self
            .published(request.accepted, request.patience, cancel, work)
            .await;
        drop(request.place);
        match answer {
            SealedAnswerBody::Proved { proof, .. } => Message::Proof { token: proof },
            SealedAnswerBody::Refused(refusal) => Message::Failed {
                code: coarse(refusal.code),
            },
        }
    }
}

/// What the service may know: what it has done itself, and that a key is used up.
fn coarse(code: Code) -> Code {
    match code {
        Code::Cancelled | Code::DeadlineExceeded | Code::ReAttest => code,
        _ => Code::SealedRequestRejected,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use getrandom::SysRng;
    use zkpass_channel::{jwe::seal_request, rand_core::UnwrapErr};

    use super::*;

    fn rng() -> impl CryptoRng {
        UnwrapErr(SysRng)
    }

    fn sealed(key: &JweKey) -> (String, String) {
        let tokens = BTreeMap::from([("a".to_owned(), "t".to_owned())]);
        seal_request(&tokens, "d", &key.public_key(), &mut rng()).unwrap()
    }

    #[test]
    fn user_data_is_opened_once_under_any_question() {
        let mut key = JweKey::generate(&mut rng()).unwrap();
        let (user_data, dvr) = sealed(&key);
        let (_, other_dvr) = sealed(&key);
        // A request that does not open is not remembered.
        let error = key.open(&user_data, "rubbish").unwrap_err();
        assert_eq!(error.code(), Code::SealedRequestRejected);
        assert_eq!(key.open(&user_data, &dvr).unwrap().dvr_token, "d");
        for dvr in [&dvr, &other_dvr] {
            let error = key.open(&user_data, dvr).unwrap_err();
            assert_eq!(error, RejectedRequest::Replayed);
            assert_eq!(error.code(), Code::SealedRequestRejected);
        }
        // One question may be put to several users.
        let (other_user, _) = sealed(&key);
        assert!(key.open(&other_user, &dvr).is_ok());
    }

    #[test]
    fn a_key_is_replaced_in_time() {
        let mut key = JweKey::generate(&mut rng()).unwrap();
        let first = key.public_key();
        let digest = |number: usize| <[u8; 32]>::from(Sha256::digest(number.to_be_bytes()));
        let half = MAX_REQUESTS_PER_KEY / 2;
        key.opened.extend((1..half).map(digest));
        key.renew(&mut rng()).unwrap();
        assert_eq!(key.public_key(), first);

        key.opened.extend((half..MAX_REQUESTS_PER_KEY).map(digest));
        let (user_data, dvr) = sealed(&key);
        assert!(key.open(&user_data, &dvr).is_ok());
        let (user_data, dvr) = sealed(&key);
        let error = key.open(&user_data, &dvr).unwrap_err();
        assert_eq!(error.code(), Code::ReAttest);

        key.renew(&mut rng()).unwrap();
        assert_ne!(key.public_key(), first);
        let (user_data, dvr) = sealed(&key);
        assert!(key.open(&user_data, &dvr).is_ok());
    }

    #[test]
    fn codes_that_depend_on_content_are_one() {
        for code in Code::ALL {
            let told = coarse(*code);
            let own = [Code::Cancelled, Code::DeadlineExceeded, Code::ReAttest];
            assert_eq!(
                told,
                if own.contains(code) {
                    *code
                } else {
                    Code::SealedRequestRejected
                }
            );
        }
    }
}
