//! Requests of existing clients, and what is encrypted inside.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use zkpass_channel::jwe::{self, PrivateKey};
use zkpass_core::limits::{MAX_DVR_JWE_BYTES, MAX_USER_DATA_JWE_BYTES};

use super::channel::rng;
use super::{text, token};
use crate::Target;

pub const JWE: Target = Target {
    name: "jwe",
    seeds: || vec![PAIR.0.clone().into_bytes(), PAIR.1.clone().into_bytes()],
    run: run_jwe,
    runs: 2_000,
};

pub const JWE_CLAIMS: Target = Target {
    name: "jwe-claims",
    seeds: || {
        [
            r#"{"data":"{\"\":\"a.b.c\"}"}"#,
            r#"{"iat":1,"data":"{\"bank\":\"a.b.c\",\"sh\u006fp\":\"\"}"}"#,
        ]
        .map(Vec::from)
        .to_vec()
    },
    run: run_claims,
    runs: 1_000,
};

static KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate(&mut rng()));

/// User data and DVR.
static PAIR: LazyLock<(String, String)> = LazyLock::new(|| {
    let tokens = BTreeMap::from([(String::new(), token::user_data_token())]);
    jwe::seal_request(&tokens, &token::dvr_token(), &KEY.public_key(), &mut rng())
        .expect("a valid request")
});

/// Nothing but what was encrypted to the key opens.
fn run_jwe(input: &[u8]) -> bool {
    let Some(text) = text(input) else {
        return false;
    };
    let honest = [&PAIR.0, &PAIR.1].contains(&&text.to_owned());
    let opened = jwe::open(text, MAX_DVR_JWE_BYTES, &KEY);
    assert_eq!(opened.is_ok(), honest);
    honest
}

/// The input is the claims with the user data, encrypted as any client can.
/// An accepted request means the same when it is made again.
fn run_claims(input: &[u8]) -> bool {
    let key = KEY.public_key();
    let Ok(user_data) = jwe::seal(input, MAX_USER_DATA_JWE_BYTES, &key, &mut rng()) else {
        return false;
    };
    let Ok(body) = jwe::open_request(&user_data, &PAIR.1, &KEY) else {
        return false;
    };
    assert_eq!(body.dvr_token, token::dvr_token());
    let (user_data, dvr) = jwe::seal_request(&body.tokens, &body.dvr_token, &key, &mut rng())
        .expect("an accepted request can be made");
    let again = jwe::open_request(&user_data, &dvr, &KEY).expect("it opens");
    assert!(again == body);
    true
}
