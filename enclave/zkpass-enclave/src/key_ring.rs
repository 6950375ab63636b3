//! The HPKE keys of this enclave: short lives that overlap, and each request once.
//!
//! A new key is announced every half life, and a key is accepted for its whole
//! life: a client that took the announcement at its last moment still has half
//! a life to send its request. A dead key is wiped, and what was sealed to it
//! can never be opened again.

use std::collections::{HashSet, VecDeque};

use sha2::{Digest, Sha256};
use zkpass_channel::{
    Binding, OpenError, Opened, PrivateKey, PublicKey, encapsulation, open, rand_core::CryptoRng,
};
use zkpass_core::code::Code;

use crate::hardening::locked::{LockError, Locked};

/// How much slower than ours a client's clock may run when it takes a key.
const CLOCK_SKEW: i64 = 60;

/// Requests that one key opens: the digests of their encapsulations take 2 MiB.
/// When it has opened so many, the next key takes over at once.
const MAX_REQUESTS_PER_KEY: usize = 64 * 1024;

/// The HPKE keys that are alive, oldest first.
#[derive(Debug)]
pub(crate) struct KeyRing {
    keys: VecDeque<Key>,
    lifetime: i64,
    measurement_id: String,
}

/// The key that clients should seal to, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announcement {
    /// The id of the key: the first half of its SHA-256 digest in hexadecimal digits.
    pub(crate) key_id: String,
    /// The key.
    pub(crate) public_key: PublicKey,
    /// The first second at which it may be used.
    pub(crate) not_before: i64,
    /// The last second at which it opens requests.
    pub(crate) not_after: i64,
}

/// Why a sealed request was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RejectedRequest {
    /// No key of that id is alive, or it has opened all the requests it may.
    #[error("the key is not alive")]
    DeadKey,
    /// It does not open.
    #[error(transparent)]
    Unopened(#[from] OpenError),
    /// It was opened before.
    #[error("the request was opened before")]
    Replayed,
}

impl RejectedRequest {
    /// What the relay may know: that the key id is dead, which is public, or nothing.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::DeadKey => Code::ReAttest,
            Self::Unopened(error) => error.code(),
            Self::Replayed => Code::SealedRequestRejected,
        }
    }
}

#[derive(Debug)]
struct Key {
    private: Locked<PrivateKey>,
    announcement: Announcement,
    seen: HashSet<[u8; 32]>,
}

impl KeyRing {
    /// A ring with one fresh key, which is announced; `lifetime` is in seconds.
    pub(crate) fn new(
        measurement_id: &str,
        lifetime: i64,
        now: i64,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, Announcement), LockError> {
        let key = Key::generate(lifetime, now, rng)?;
        let announcement = key.announcement.clone();
        let ring = Self {
            keys: VecDeque::from([key]),
            lifetime,
            measurement_id: measurement_id.to_owned(),
        };
        Ok((ring, announcement))
    }

    /// Wipes dead keys, and adds a new one when it is due: that is then the one to announce.
    pub(crate) fn turn(
        &mut self,
        now: i64,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Announcement>, LockError> {
        self.keys.retain(|key| key.announcement.is_alive(now));
        let due = self.keys.back().is_none_or(|newest| {
            let left = newest.announcement.not_after - now;
            left <= self.lifetime / 2 || newest.is_full()
        });
        if !due {
            return Ok(None);
        }
        let key = Key::generate(self.lifetime, now, rng)?;
        let announcement = key.announcement.clone();
        self.keys.push_back(key);
        Ok(Some(announcement))
    }

    /// Opens a request sealed to the key of that id, once.
    pub(crate) fn open(
        &mut self,
        key_id: &str,
        sealed: &[u8],
        now: i64,
    ) -> Result<Opened, RejectedRequest> {
        let key = self
            .keys
            .iter_mut()
            .find(|key| key.announcement.key_id == key_id)
            .filter(|key| key.announcement.is_alive(now) && !key.is_full())
            .ok_or(RejectedRequest::DeadKey)?;
        let digest = Sha256::digest(encapsulation(sealed)?).into();
        if key.seen.contains(&digest) {
            return Err(RejectedRequest::Replayed);
        }
        let binding = Binding {
            key_id,
            measurement_id: &self.measurement_id,
        };
        let opened = open(sealed, &key.private, &binding)?;
        // Only requests that open are remembered: rubbish cannot fill the set.
        key.seen.insert(digest);
        Ok(opened)
    }
}

impl Announcement {
    fn is_alive(&self, now: i64) -> bool {
        now <= self.not_after
    }
}

impl Key {
    fn generate(lifetime: i64, now: i64, rng: &mut impl CryptoRng) -> Result<Self, LockError> {
        let private = Locked::new(|| PrivateKey::generate(rng))?;
        let public_key = private.public_key();
        let digest = Sha256::digest(public_key.to_bytes());
        let key_id = digest
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self {
            private,
            announcement: Announcement {
                key_id,
                public_key,
                not_before: now - CLOCK_SKEW,
                not_after: now + lifetime,
            },
            seen: HashSet::new(),
        })
    }

    fn is_full(&self) -> bool {
        self.seen.len() >= MAX_REQUESTS_PER_KEY
    }
}

#[cfg(test)]
mod tests;
