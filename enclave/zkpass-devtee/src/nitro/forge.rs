//! Malformed but validly signed documents, for the tests of verifiers.
//!
//! It gives away nothing: whoever holds a development root can sign anything.

use x509_cert::{
    der::{asn1::OctetString, oid::ObjectIdentifier},
    ext::Extension,
};

pub use x509_cert::ext::pkix::KeyUsages;

pub use super::authority::Template;
use super::{ES384, NitroDocument, NitroRoot, NitroRootError, NitroSigner};
use crate::rand_core::CryptoRng;

/// The members of a document in their order, written in CBOR.
pub fn members(signer: &NitroSigner, document: &NitroDocument) -> Vec<(&'static str, Vec<u8>)> {
    signer.members(document).to_vec()
}

/// Signs any payload under the genuine header.
pub fn sign_payload(signer: &NitroSigner, payload: &[u8]) -> Vec<u8> {
    signer.sign(&ES384, payload)
}

/// Signs any payload under any protected header.
pub fn sign(signer: &NitroSigner, protected: &[u8], payload: &[u8]) -> Vec<u8> {
    signer.sign(protected, payload)
}

/// What the certificate of an issuer says.
pub fn issuer(now: i64, path_length: Option<u8>) -> Template {
    super::issuer_template("forged-issuer", now, super::DAY, path_length)
}

/// What the certificate of an enclave says.
pub fn enclave(now: i64) -> Template {
    super::enclave_template(now)
}

/// An extension of any kind.
pub fn extension(oid: &str, critical: bool, content: &[u8]) -> Result<Extension, NitroRootError> {
    Ok(Extension {
        extn_id: ObjectIdentifier::new(oid).map_err(NitroRootError::encoding)?,
        critical,
        extn_value: OctetString::new(content).map_err(NitroRootError::encoding)?,
    })
}

/// A signer whose chain has one issuer per template, each issued by the one
/// before it whether it may or not.
pub fn chain(
    rng: &mut impl CryptoRng,
    root: &NitroRoot,
    issuers: &[Template],
    enclave: &Template,
) -> Result<NitroSigner, NitroRootError> {
    let mut cabundle = vec![root.certificate_der().to_vec()];
    let mut issued = Vec::new();
    for template in issuers {
        let authority = template.issued_by(rng, issued.last().unwrap_or(&root.0))?;
        cabundle.push(authority.der.clone());
        issued.push(authority);
    }
    Ok(NitroSigner {
        enclave: enclave.issued_by(rng, issued.last().unwrap_or(&root.0))?,
        cabundle,
    })
}

/// Uses the certificate of an enclave, which may not issue any, as an issuer.
pub fn below(
    rng: &mut impl CryptoRng,
    signer: &NitroSigner,
    template: &Template,
) -> Result<NitroSigner, NitroRootError> {
    let mut cabundle = signer.cabundle.clone();
    cabundle.push(signer.enclave.der.clone());
    Ok(NitroSigner {
        enclave: template.issued_by(rng, &signer.enclave)?,
        cabundle,
    })
}

/// The same signer with other certificates in `cabundle`.
pub fn with_bundle(signer: NitroSigner, cabundle: Vec<Vec<u8>>) -> NitroSigner {
    NitroSigner { cabundle, ..signer }
}

/// The certificates in `cabundle`.
pub fn bundle(signer: &NitroSigner) -> &[Vec<u8>] {
    &signer.cabundle
}
