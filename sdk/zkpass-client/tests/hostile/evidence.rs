//! Evidence and announcements that lie. Nothing of the request may leave.

use std::time::Duration;

use zkpass_channel::PrivateKey;
use zkpass_channel::rand_core::UnwrapErr;
use zkpass_client::keys;
use zkpass_core::api::{EnclaveInfo, EnclaveOffer, ProofRequest, UNATTESTED_DEVELOPMENT};
use zkpass_core::code::Code;
use zkpass_core::encoding::base64url;
use zkpass_core::evidence::EvidenceDocument;
use zkpass_core::keys::SigningKey;

use crate::proxy::{Delivery, Proxy, Response};
use crate::{HONEST, TURN, Zoo, once, outcome, quick, within};

/// What a liar has: true offers for the nonce of the question, an old one, and
/// keys of its own.
struct Means {
    shown: EnclaveOffer,
    other: EnclaveOffer,
    twin: EnclaveOffer,
    foreign: EnclaveOffer,
    /// Of the enclave that is shown, for another nonce.
    old: EnclaveOffer,
    identity: SigningKey,
    hpke_public_key: String,
}

impl Means {
    fn new(offers: Vec<EnclaveOffer>, old: EnclaveOffer) -> Self {
        let [shown, other, twin, foreign] = offers.try_into().unwrap();
        let mut rng = UnwrapErr(getrandom::SysRng);
        let hpke = PrivateKey::generate(&mut rng).public_key();
        Self {
            shown,
            other,
            twin,
            foreign,
            old,
            identity: keys::generate().unwrap(),
            hpke_public_key: base64url(&hpke.to_bytes()),
        }
    }
}

fn evidence(offer: &mut EnclaveOffer) -> &mut EvidenceDocument {
    offer.evidence.as_mut().unwrap()
}

/// Makes the offer that is shown another one.
type Change = fn(&mut EnclaveOffer, &Means);

const EVIDENCE: &[(&str, Change, &str)] = &[
    (
        "evidence dropped",
        |offer, _| offer.evidence = None,
        "no-evidence",
    ),
    (
        "evidence dropped and none promised",
        |offer, means| {
            offer.evidence = None;
            offer.info.kind = UNATTESTED_DEVELOPMENT.into();
            offer.info.measurement_id = UNATTESTED_DEVELOPMENT.into();
            offer.info = offer.info.clone().signed_by(&means.identity);
        },
        "no-evidence",
    ),
    (
        "old evidence",
        |offer, means| offer.evidence = means.old.evidence.clone(),
        "stale-evidence",
    ),
    (
        "an old offer",
        |offer, means| *offer = means.old.clone(),
        "stale-evidence",
    ),
    (
        "old evidence under the new nonce",
        |offer, means| {
            let nonce = evidence(offer).nonce.clone();
            offer.evidence = means.old.evidence.clone();
            evidence(offer).nonce = nonce;
        },
        "wrong-binding",
    ),
    (
        "new evidence under the old nonce",
        |offer, means| evidence(offer).nonce = evidence(&mut means.old.clone()).nonce.clone(),
        "stale-evidence",
    ),
    (
        "a nonce that is too short",
        |offer, _| evidence(offer).nonce.truncate(31),
        "stale-evidence",
    ),
    (
        "evidence of another enclave",
        |offer, means| offer.evidence = means.other.evidence.clone(),
        "wrong-binding",
    ),
    (
        "the announcement of another enclave",
        |offer, means| offer.info = means.other.info.clone(),
        "wrong-binding",
    ),
    (
        "the announcement of another program",
        |offer, means| offer.info = means.twin.info.clone(),
        "wrong-binding",
    ),
    (
        "evidence of another program",
        |offer, means| offer.evidence = means.twin.evidence.clone(),
        "wrong-measurement",
    ),
    (
        "another program that differs by one byte",
        |offer, means| *offer = means.twin.clone(),
        "wrong-measurement",
    ),
    (
        "another program that announces this measurement",
        |offer, means| {
            let id = offer.info.measurement_id.clone();
            *offer = means.twin.clone();
            offer.info.measurement_id = id;
        },
        "wrong-measurement",
    ),
    (
        "this program under another root",
        |offer, means| *offer = means.foreign.clone(),
        "nitro-unknown-root",
    ),
    (
        "evidence under another root",
        |offer, means| offer.evidence = means.foreign.evidence.clone(),
        "nitro-unknown-root",
    ),
    (
        "the last byte of the document",
        |offer, _| *evidence(offer).document.last_mut().unwrap() ^= 1,
        "nitro-wrong-signature",
    ),
    (
        "the first byte of the document",
        |offer, _| evidence(offer).document[0] ^= 1,
        "nitro-not-sign1",
    ),
    (
        "a shorter document",
        |offer, _| {
            let document = &mut evidence(offer).document;
            document.truncate(document.len() - 1);
        },
        "nitro-malformed",
    ),
    (
        "a longer document",
        |offer, _| evidence(offer).document.push(0),
        "nitro-malformed",
    ),
    (
        "no document",
        |offer, _| evidence(offer).document.clear(),
        "nitro-malformed",
    ),
    (
        "a platform that nobody knows",
        |offer, _| evidence(offer).platform = "sgx".into(),
        "unknown-platform",
    ),
    (
        "a platform in other letters",
        |offer, _| evidence(offer).platform = "Nitro".into(),
        "unknown-platform",
    ),
    (
        "the platform of Intel",
        |offer, _| evidence(offer).platform = "tdx".into(),
        "tdx-quote-version",
    ),
    (
        "the platform of AMD",
        |offer, _| evidence(offer).platform = "sev-snp".into(),
        "snp-report-length",
    ),
];

/// Makes the announcement another one, and leaves the evidence.
type InfoChange = fn(&mut EnclaveInfo, &Means);

const ANNOUNCEMENTS: &[(&str, InfoChange, &str)] = &[
    (
        "a key of the liar",
        |info, means| info.hpke_public_key = means.hpke_public_key.clone(),
        "bad-announcement-signature",
    ),
    (
        "a key of the liar, signed by the liar",
        |info, means| {
            info.hpke_public_key = means.hpke_public_key.clone();
            *info = info.clone().signed_by(&means.identity);
        },
        "wrong-binding",
    ),
    (
        "all keys of the liar",
        |info, means| {
            info.hpke_public_key = means.hpke_public_key.clone();
            info.encryption_key = means.identity.public();
            info.enclave_id = means.identity.public().thumbprint();
            *info = info.clone().signed_by(&means.identity);
        },
        "wrong-binding",
    ),
    (
        "a key of the liar, signed by the liar, under this identity",
        |info, means| {
            let identity = info.identity_key;
            info.hpke_public_key = means.hpke_public_key.clone();
            *info = info.clone().signed_by(&means.identity);
            info.identity_key = identity;
        },
        "bad-announcement-signature",
    ),
    (
        "the key of another enclave",
        |info, means| info.hpke_public_key = means.other.info.hpke_public_key.clone(),
        "bad-announcement-signature",
    ),
    (
        "the key and its id of another enclave",
        |info, means| {
            info.hpke_public_key = means.other.info.hpke_public_key.clone();
            info.key_id = means.other.info.key_id.clone();
        },
        "bad-announcement-signature",
    ),
    (
        "the identity of the liar",
        |info, means| info.identity_key = means.identity.public(),
        "wrong-binding",
    ),
    (
        "the identity of another enclave",
        |info, means| info.identity_key = means.other.info.identity_key,
        "wrong-binding",
    ),
    (
        "the signature of another enclave",
        |info, means| info.signature = means.other.info.signature.clone(),
        "bad-announcement-signature",
    ),
    (
        "no signature",
        |info, _| info.signature.clear(),
        "bad-announcement-signature",
    ),
    (
        "a longer life",
        |info, _| info.not_after += 1,
        "bad-announcement-signature",
    ),
    (
        "an earlier life",
        |info, _| info.not_before -= 1,
        "bad-announcement-signature",
    ),
    (
        "another key id",
        |info, _| info.key_id.push('x'),
        "bad-announcement-signature",
    ),
    (
        "another enclave id",
        |info, _| info.enclave_id.push('x'),
        "bad-announcement-signature",
    ),
    (
        "another kind",
        |info, _| info.kind = "tdx".into(),
        "bad-announcement-signature",
    ),
    (
        "another measurement",
        |info, means| info.measurement_id = means.twin.info.measurement_id.clone(),
        "bad-announcement-signature",
    ),
    (
        "another key for JWEs",
        |info, means| info.encryption_key = means.identity.public(),
        "bad-announcement-signature",
    ),
];

/// Asks through a proxy that shows the changed offer; the cause of the refusal.
/// Nothing was sent.
async fn cause(
    zoo: &Zoo,
    old: &EnclaveOffer,
    case: &str,
    change: impl Fn(&mut EnclaveOffer, &Means) + Send + Sync + Copy + 'static,
) -> &'static str {
    let old = old.clone();
    let proxy = Proxy::start(&zoo.stack.url, move |request, upstream| {
        let old = old.clone();
        async move {
            if !request.is_question() {
                return Delivery::Close;
            }
            let means = Means::new(upstream.offers(&request).await, old);
            let mut offer = means.shown.clone();
            change(&mut offer, &means);
            Delivery::Whole(Response::offers(vec![offer]))
        }
    });
    let (proxy, scene) = (proxy.await, quick());
    let result = once(&proxy.url, &zoo.stack).prove(&scene.request()).await;
    let (cause, code) = outcome(result);
    assert_eq!(code, Code::UnattestedEnclave, "{case}: {cause}");
    proxy.assert_no_payload(&scene, case);
    cause
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_where_evidence_or_announcement_lies() {
    let _turn = TURN.lock().await;
    let zoo = Zoo::start().await;
    let [old, ..] = zoo.offers().await;
    for (case, change, expected) in EVIDENCE {
        assert_eq!(cause(&zoo, &old, case, change).await, *expected, "{case}");
    }
    for (case, change, expected) in ANNOUNCEMENTS {
        let change = |offer: &mut EnclaveOffer, means: &Means| change(&mut offer.info, means);
        assert_eq!(cause(&zoo, &old, case, change).await, *expected, "{case}");
    }
    // Wherever a byte of the document is changed.
    let length = old.evidence.as_ref().unwrap().document.len();
    for position in (1..length).step_by(length / 12) {
        let case = format!("byte {position} of {length}");
        let change = move |offer: &mut EnclaveOffer, _: &Means| {
            // A little shorter or longer than the old one.
            let document = &mut evidence(offer).document;
            let last = document.len() - 1;
            document[position.min(last)] ^= 0x10;
        };
        let cause = cause(&zoo, &old, &case, change).await;
        assert!(cause.starts_with("nitro-"), "{case}: {cause}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_where_no_offer_arrives() {
    let _turn = TURN.lock().await;
    let zoo = Zoo::start().await;
    type Change = fn(Response) -> Delivery;
    let unavailable = Code::EnclaveUnavailable;
    let cases: &[(&str, Change, (&str, Code))] = &[
        (
            "no enclaves",
            |_| Delivery::Whole(Response::offers(Vec::new())),
            ("no-enclave", unavailable),
        ),
        (
            "closed within the body",
            |response| Delivery::Cut(response, 100),
            ("transport", unavailable),
        ),
        (
            "a body that ends early",
            |response| Delivery::Understated(response, 100),
            ("malformed", Code::Internal),
        ),
        ("closed", |_| Delivery::Close, ("transport", unavailable)),
        (
            "an endless body",
            Delivery::Endless,
            ("too-large", Code::Internal),
        ),
        (
            "an endless head",
            |_| Delivery::EndlessHead,
            ("transport", unavailable),
        ),
        (
            "silence",
            |_| Delivery::Silence,
            ("deadline", Code::DeadlineExceeded),
        ),
        (
            "an offer with a member twice",
            |mut response| {
                let text = String::from_utf8(response.body).unwrap();
                let text = text.replacen("\"kind\"", "\"kind\":\"nitro\",\"kind\"", 1);
                response.body = text.into_bytes();
                Delivery::Whole(response)
            },
            ("malformed", Code::Internal),
        ),
    ];
    for (case, change, expected) in cases {
        let change = *change;
        let proxy = Proxy::start(&zoo.stack.url, move |request, upstream| async move {
            match request.is_question() {
                true => change(upstream.ask(&request).await),
                false => Delivery::Close,
            }
        });
        let (proxy, scene) = (proxy.await, quick());
        let deadline = match expected.0 {
            "deadline" => Duration::from_millis(500),
            _ => crate::PATIENCE,
        };
        let holder = within(&proxy.url, &zoo.stack, deadline);
        let result = holder.prove(&scene.request()).await;
        assert_eq!(outcome(result), *expected, "{case}");
        proxy.assert_no_payload(&scene, case);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_good_enclave_among_bad_ones_gets_the_data() {
    let _turn = TURN.lock().await;
    let zoo = Zoo::start().await;
    let [old, ..] = zoo.offers().await;
    let good = old.info.clone();
    let proxy = Proxy::start(&zoo.stack.url, move |request, upstream| {
        let old = old.clone();
        async move {
            if !request.is_question() {
                return Delivery::Whole(upstream.ask(&request).await);
            }
            let means = Means::new(upstream.offers(&request).await, old);
            let mut offers = Vec::new();
            for (_, change, _) in EVIDENCE {
                let mut offer = means.shown.clone();
                change(&mut offer, &means);
                offers.push(offer);
            }
            offers.push(means.shown);
            Delivery::Whole(Response::offers(offers))
        }
    });
    let proxy = proxy.await;
    for _ in 0..3 {
        let holder = once(&proxy.url, &zoo.stack);
        let result = holder.prove(&quick().request()).await;
        assert_eq!(outcome(result), HONEST);
    }
    let posts = proxy.posts();
    assert_eq!(posts.len(), 3);
    for post in posts {
        let request: ProofRequest = post.json();
        assert_eq!(request.enclave_id, good.enclave_id);
        assert_eq!(request.key_id, good.key_id);
    }
}
