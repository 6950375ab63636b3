//! A client that does what the SDK would not: seals anything, sends anything.

#![allow(dead_code, reason = "each test program uses its own part")]

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable as _, OpModeS, Serializable as _};
use zkpass_channel::rand_core::UnwrapErr;
use zkpass_channel::{
    AnswerOpener, Binding, PublicKey, ResponseFormat, STEP, SealedAnswerBody, SealedRequestBody,
};
use zkpass_client::keys;
use zkpass_core::api::{
    EnclaveInfo, EnclaveOffer, EnclavesResponse, JobResponse, JobStatus, Problem, ProofRequest,
};
use zkpass_core::code::Code;
use zkpass_core::encoding::{base64url, from_base64url};
use zkpass_core::evidence::Nonce;

use crate::stack::{PATIENCE, Scene};

/// A client that seals what the SDK would not.
pub struct Rogue {
    http: reqwest::Client,
    url: String,
    pub enclave: EnclaveInfo,
}

impl Rogue {
    pub async fn at(url: &str) -> Self {
        let mut offers = zkpass_client::holder::enclaves(url).await.unwrap();
        Self {
            http: reqwest::Client::builder()
                .tls_backend_preconfigured(no_tls())
                .build()
                .unwrap(),
            url: url.to_owned(),
            enclave: offers.remove(0).info,
        }
    }

    pub fn key(&self) -> PublicKey {
        let bytes = from_base64url(&self.enclave.hpke_public_key).unwrap();
        PublicKey::from_bytes(&bytes).unwrap()
    }

    pub fn seal(&self, body: &SealedRequestBody, key: &PublicKey) -> (Vec<u8>, AnswerOpener) {
        let binding = Binding {
            key_id: &self.enclave.key_id,
            measurement_id: &self.enclave.measurement_id,
        };
        let mut rng = UnwrapErr(getrandom::SysRng);
        zkpass_channel::seal(body, key, &binding, &mut rng).unwrap()
    }

    /// Posts sealed bytes; the job, or the problem it was refused with.
    pub async fn post(&self, sealed: &[u8], key_id: &str) -> Result<JobResponse, Problem> {
        let body = ProofRequest {
            enclave_id: self.enclave.enclave_id.clone(),
            key_id: key_id.into(),
            sealed: base64url(sealed),
        };
        let response = self
            .http
            .post(format!("{}/v1/proofs", self.url))
            .header("content-type", "application/json")
            .header("prefer", "wait=60")
            .timeout(PATIENCE)
            .body(serde_json::to_vec(&body).unwrap())
            .send()
            .await
            .unwrap();
        let good = response.status() == 200;
        let bytes = response.bytes().await.unwrap();
        match good {
            true => Ok(serde_json::from_slice(&bytes).unwrap()),
            false => Err(serde_json::from_slice(&bytes).unwrap()),
        }
    }

    /// Seals bytes that need not be a body at all, padded as the channel pads.
    pub fn seal_bytes(&self, plain: &[u8]) -> Vec<u8> {
        let length = |text: &[u8]| u32::try_from(text.len()).unwrap().to_be_bytes();
        let mut padded = [&length(plain), plain].concat();
        padded.resize(padded.len().next_multiple_of(STEP), 0);
        let mut info = b"zkpass/channel/v1".to_vec();
        for id in [&self.enclave.key_id, &self.enclave.measurement_id] {
            info.extend_from_slice(&length(id.as_bytes()));
            info.extend_from_slice(id.as_bytes());
        }
        let key = from_base64url(&self.enclave.hpke_public_key).unwrap();
        let key = <XWing as hpke::Kem>::PublicKey::from_bytes(&key).unwrap();
        let (encapsulation, mut context) =
            hpke::setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, XWing>(
                &OpModeS::Base,
                &key,
                &info,
                &mut UnwrapErr(getrandom::SysRng),
            )
            .unwrap();
        let ciphertext = context.seal(&padded, b"").unwrap();
        [&encapsulation.to_bytes()[..], &ciphertext].concat()
    }

    /// The enclaves with their evidence for a nonce of our choice.
    pub async fn offers(&self, nonce: &Nonce) -> Vec<EnclaveOffer> {
        let path = format!("/v1/enclaves?nonce={}", base64url(nonce));
        let (_, body) = self
            .request(self.http.get(format!("{}{path}", self.url)))
            .await;
        serde_json::from_slice::<EnclavesResponse>(&body)
            .unwrap()
            .enclaves
    }

    /// A request to make by hand, and to send with [`Rogue::request`].
    pub fn raw(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().unwrap();
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// Sends a request; the status and the body of its answer.
    pub async fn request(&self, request: reqwest::RequestBuilder) -> (u16, Vec<u8>) {
        let response = request.timeout(PATIENCE).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.bytes().await.unwrap().to_vec())
    }

    /// Posts a body whose answer is sealed; the sealed answer.
    pub async fn answer(&self, sealed: &[u8]) -> Vec<u8> {
        let job = self.post(sealed, &self.enclave.key_id).await.unwrap();
        from_base64url(&job.sealed_answer.unwrap()).unwrap()
    }

    /// Posts a body and opens the enclave's refusal.
    pub async fn refusal(&self, body: &SealedRequestBody) -> Code {
        let (sealed, opener) = self.seal(body, &self.key());
        let job = self.post(&sealed, &self.enclave.key_id).await.unwrap();
        let answer = from_base64url(&job.sealed_answer.unwrap()).unwrap();
        match opener.open(&answer).unwrap() {
            SealedAnswerBody::Refused(refusal) => refusal.code,
            SealedAnswerBody::Proved { .. } => panic!("it was proven"),
        }
    }
}

fn no_tls() -> rustls::ClientConfig {
    let provider = rustls::crypto::ring::default_provider();
    rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

pub fn body(scene: &Scene) -> SealedRequestBody {
    SealedRequestBody {
        tokens: scene.tokens(),
        dvr_token: scene.dvr_token(),
        idempotency_id: keys::random_id().unwrap(),
        response_format: ResponseFormat::ProofToken,
    }
}

/// What the service may learn of a request that does not open: one code.
pub fn rejection(job: Result<JobResponse, Problem>) -> Problem {
    let mut job = job.unwrap();
    assert_eq!(job.status, JobStatus::Failed);
    let mut problem = job.problem.take().unwrap();
    problem.instance = None;
    problem
}
