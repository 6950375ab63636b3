//! The development root of Nitro documents. That its documents verify, and
//! forged ones do not, is tested where the verifier is.

use std::convert::Infallible;

use x509_cert::{
    Certificate,
    der::Decode,
    ext::pkix::{BasicConstraints, KeyUsage},
};
use zkpass_devtee::{
    nitro::{NitroRoot, NitroRootError, forge},
    rand_core::{TryCryptoRng, TryRng},
};

const NOW: i64 = 1_790_000_000;
const DAY: i64 = 86_400;

/// A linear congruential generator: repeatable, and good enough for keys that protect nothing.
struct SeededRng(u64);

impl TryRng for SeededRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.try_next_u64()? >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            *byte = (self.try_next_u64()? >> 56) as u8;
        }
        Ok(())
    }
}

impl TryCryptoRng for SeededRng {}

fn root(seed: u64) -> NitroRoot {
    NitroRoot::generate(&mut SeededRng(seed), NOW).unwrap()
}

#[test]
fn a_root_survives_its_text() {
    let root = root(1);
    let text = root.to_pem().unwrap();
    let again = NitroRoot::from_pem(&text).unwrap();
    assert_eq!(again.certificate_der(), root.certificate_der());
    assert_eq!(again.fingerprint(), root.fingerprint());
    assert_eq!(again.to_pem().unwrap(), text);
}

#[test]
fn a_root_shows_nothing_of_its_key() {
    let root = root(1);
    assert_eq!(format!("{root:?}"), "NitroRoot(..)");
    let signer = root.instance(&mut SeededRng(2), NOW).unwrap();
    assert_eq!(format!("{signer:?}"), "NitroSigner(..)");
}

#[test]
fn a_text_that_is_no_root_is_refused() {
    let (one, other) = (root(1).to_pem().unwrap(), root(2).to_pem().unwrap());
    let split = |text: &str| {
        let at = text.find("-----BEGIN CERTIFICATE").unwrap();
        (text[..at].to_owned(), text[at..].to_owned())
    };
    let (key, certificate) = split(&one);
    let (_, foreign) = split(&other);
    let refused = |text: &str| NitroRoot::from_pem(text).unwrap_err();
    assert_eq!(refused(&key), NitroRootError::BadCertificate);
    assert_eq!(refused(&certificate), NitroRootError::BadKey);
    assert_eq!(
        refused(&(key.clone() + &foreign)),
        NitroRootError::KeyMismatch
    );
    let broken = key + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(refused(&broken), NitroRootError::BadCertificate);
    assert_eq!(refused(""), NitroRootError::BadCertificate);
}

#[test]
fn chains_have_the_shape_of_those_of_aws() {
    let root = root(1);
    let signer = root.instance(&mut SeededRng(2), NOW).unwrap();
    assert_eq!(signer.not_after(), NOW + 3 * 3600);
    let bundle = forge::bundle(&signer);
    assert_eq!(bundle[0], root.certificate_der());
    let lengths = [None, Some(2), Some(1), Some(0)];
    let days = [30 * 365, 20, 6, 1];
    let mut issuer = None;
    for ((der, length), days) in bundle.iter().zip(lengths).zip(days) {
        let certificate = Certificate::from_der(der).unwrap();
        let body = certificate.tbs_certificate();
        let (critical, constraints) = body.get_extension::<BasicConstraints>().unwrap().unwrap();
        assert!(critical && constraints.ca);
        assert_eq!(constraints.path_len_constraint, length);
        let (critical, usage) = body.get_extension::<KeyUsage>().unwrap().unwrap();
        assert!(critical && usage.key_cert_sign());
        let end = body.validity().not_after.to_unix_duration().as_secs();
        assert_eq!(end as i64, NOW + days * DAY);
        assert_eq!(body.issuer(), issuer.as_ref().unwrap_or(body.subject()));
        assert!(
            body.subject()
                .to_string()
                .contains("zkPass development TEE")
        );
        issuer = Some(body.subject().clone());
    }
}

#[test]
fn roots_and_chains_have_a_time() {
    let generate = |now| NitroRoot::generate(&mut SeededRng(1), now).map(|_| ());
    for impossible in [i64::MIN, -1, i64::MAX] {
        assert_eq!(generate(impossible), Err(NitroRootError::TimeOutOfRange));
    }
    let root = root(1);
    let instance = |now| root.instance(&mut SeededRng(2), now).map(|_| ());
    assert_eq!(instance(NOW), Ok(()));
    for outside in [NOW - DAY, NOW + 30 * 365 * DAY + 1] {
        assert_eq!(instance(outside), Err(NitroRootError::RootNotValid));
    }
}
