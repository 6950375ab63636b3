//! Evidence on its way from an enclave to a client, and what it is bound to.
//!
//! Judging it is the work of `zkpass-attest`.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};

use crate::{
    encoding::{Canonical, base64url_bytes, from_base64url},
    keys::PublicKey,
};

/// Bytes of the nonce that a client chooses.
pub const NONCE_BYTES: usize = 32;

/// Bytes of what evidence is bound to: what the report data of SEV-SNP and TDX holds.
pub const BINDING_BYTES: usize = 64;

/// A nonce that a client chose for one question.
pub type Nonce = [u8; NONCE_BYTES];

/// Evidence of one enclave for one nonce, unverified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceDocument {
    /// `nitro`, `sev-snp` or `tdx`.
    pub platform: String,
    /// The nonce of the question, base64url.
    #[serde(with = "base64url_bytes")]
    pub nonce: Vec<u8>,
    /// Nitro: the attestation document. SEV-SNP: the report. TDX: the quote.
    #[serde(with = "base64url_bytes")]
    pub document: Vec<u8>,
    /// SEV-SNP: the certificate of the signing key, or a certificate table.
    /// TDX: the collateral in JSON. Empty on Nitro, whose documents hold their chain.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        with = "base64url_bytes"
    )]
    pub endorsements: Vec<u8>,
}

/// What evidence must carry to speak for an enclave's identity key and a nonce:
/// SHA-512 of the domain tag `zkpass/evidence/v1`, the nonce (32 bytes), and x
/// and y of the key, in the encoding of
/// [`Statement::canonical_bytes`](crate::statement::Statement::canonical_bytes).
///
/// The identity key signs the [`EnclaveInfo`](crate::api::EnclaveInfo), and so
/// the evidence covers the HPKE and JWE keys too.
pub fn binding(nonce: &Nonce, identity_key: &PublicKey) -> [u8; BINDING_BYTES] {
    let mut out = Canonical::new("zkpass/evidence/v1");
    out.bytes(nonce);
    let (x, y) = identity_key.coordinates();
    out.fixed(&x);
    out.fixed(&y);
    Sha512::digest(out.finish()).into()
}

/// Reads a nonce in base64url.
pub fn parse_nonce(text: &str) -> Option<Nonce> {
    from_base64url(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{encoding::hex, keys::SigningKey};

    #[test]
    fn the_binding_depends_on_nonce_and_key() {
        let key = |byte| SigningKey::from_bytes(&[byte; 32]).unwrap().public();
        let bound = binding(&[7; 32], &key(5));
        assert_ne!(bound, binding(&[8; 32], &key(5)));
        assert_ne!(bound, binding(&[7; 32], &key(6)));
        // Other implementations must get the same.
        assert_eq!(
            hex(&bound),
            "ddc336fa93c1c32450238a8dd5137266822cd4a36768c750ee21913e9a1d11c2\
             1a1d215af9e72023552450b1343015a116c57cb22bb6cb9f0d39ddc4212abb34"
        );
    }

    #[test]
    fn documents_have_a_fixed_form() {
        let document = EvidenceDocument {
            platform: "nitro".into(),
            nonce: vec![1; 3],
            document: vec![2; 3],
            endorsements: Vec::new(),
        };
        let json = r#"{"platform":"nitro","nonce":"AQEB","document":"AgIC"}"#;
        assert_eq!(serde_json::to_string(&document).unwrap(), json);
        assert_eq!(
            serde_json::from_str::<EvidenceDocument>(json).unwrap(),
            document
        );
    }

    #[test]
    fn nonces_have_one_length() {
        let text = crate::encoding::base64url(&[3; 32]);
        assert_eq!(parse_nonce(&text), Some([3; 32]));
        for text in ["", "AA", &text[1..], &format!("{text}A")] {
            assert_eq!(parse_nonce(text), None);
        }
    }
}
