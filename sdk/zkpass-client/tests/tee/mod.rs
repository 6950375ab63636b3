//! An enclave that attests under a development root, without a prover.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use zkpass_attest::policy::MeasuredValues;
use zkpass_attest::{Measurement, Policy, danger::trust_development_root};
use zkpass_channel::PrivateKey;
use zkpass_channel::rand_core::UnwrapErr;
use zkpass_core::api::{EnclaveInfo, EnclaveOffer};
use zkpass_core::encoding::{base64url, hex};
use zkpass_core::evidence::{EvidenceDocument, Nonce, binding};
use zkpass_core::keys::SigningKey;
use zkpass_devtee::nitro::{NitroDocument, NitroRoot, NitroSigner};

/// What the enclave measures to.
pub const PCR: [u8; 48] = [7; 48];

pub struct Tee {
    pub root: NitroRoot,
    pub signer: NitroSigner,
    pub identity: SigningKey,
    pub private: PrivateKey,
    pub info: EnclaveInfo,
    pub pcr: [u8; 48],
}

impl Tee {
    pub fn new() -> Self {
        let mut rng = UnwrapErr(getrandom::SysRng);
        let now = now();
        let root = NitroRoot::generate(&mut rng, now).unwrap();
        let signer = root.instance(&mut rng, now).unwrap();
        let identity = signing_key();
        let private = PrivateKey::generate(&mut rng);
        let info = EnclaveInfo {
            enclave_id: identity.public().thumbprint(),
            kind: "nitro".into(),
            measurement_id: format!("nitro:{}", hex(&PCR)),
            key_id: "k-1".into(),
            hpke_public_key: base64url(&private.public_key().to_bytes()),
            identity_key: identity.public(),
            encryption_key: identity.public(),
            not_before: now - 60,
            not_after: now + 600,
            signature: String::new(),
        };
        Self {
            info: info.signed_by(&identity),
            root,
            signer,
            identity,
            private,
            pcr: PCR,
        }
    }

    /// Changes the announcement and signs it again.
    pub fn announcing(mut self, change: impl FnOnce(&mut EnclaveInfo)) -> Self {
        change(&mut self.info);
        self.info = self.info.signed_by(&self.identity);
        self
    }

    /// A policy that accepts this enclave.
    pub fn policy(&self) -> Policy {
        let pinned = Measurement {
            name: "this build".into(),
            not_after: None,
            values: MeasuredValues::Nitro {
                pcrs: BTreeMap::from([(0, PCR)]),
            },
        };
        let mut policy = Policy::new([pinned]).unwrap();
        // The clock is read before the document is made in some tests.
        policy.nitro.clock_skew_seconds = 60;
        trust_development_root(policy, self.root.fingerprint())
    }

    /// Evidence for a nonce, bound to any data.
    pub fn evidence(&self, nonce: &Nonce, bound: &[u8]) -> EvidenceDocument {
        let document = NitroDocument {
            module_id: "test".into(),
            timestamp_ms: u64::try_from(now()).unwrap() * 1000,
            pcrs: BTreeMap::from([(0, self.pcr)]),
            public_key: None,
            user_data: Some(bound.to_vec()),
            nonce: Some(nonce.to_vec()),
        };
        EvidenceDocument {
            platform: "nitro".into(),
            nonce: nonce.to_vec(),
            document: self.signer.document(&document),
            endorsements: Vec::new(),
        }
    }

    /// What an honest service answers to a nonce.
    pub fn offer(&self, nonce: &Nonce) -> EnclaveOffer {
        let bound = binding(nonce, &self.info.identity_key);
        EnclaveOffer {
            info: self.info.clone(),
            evidence: Some(self.evidence(nonce, &bound)),
        }
    }
}

pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

fn signing_key() -> SigningKey {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).unwrap();
    // Fails for one in 2^32.
    SigningKey::from_bytes(&secret).unwrap()
}
