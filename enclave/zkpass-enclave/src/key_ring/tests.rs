use std::collections::BTreeMap;

use getrandom::SysRng;
use zkpass_channel::{ResponseFormat, SealedRequestBody, rand_core::UnwrapErr, seal};

use super::*;

const LIFETIME: i64 = 600;

fn ring(now: i64) -> (KeyRing, Announcement) {
    KeyRing::new("m", LIFETIME, now, &mut UnwrapErr(SysRng)).unwrap()
}

fn sealed_to(announcement: &Announcement) -> Vec<u8> {
    let body = SealedRequestBody {
        tokens: BTreeMap::from([("a".to_owned(), "t".to_owned())]),
        dvr_token: "d".to_owned(),
        idempotency_id: "i".to_owned(),
        response_format: ResponseFormat::ProofToken,
    };
    let binding = Binding {
        key_id: &announcement.key_id,
        measurement_id: "m",
    };
    seal(
        &body,
        &announcement.public_key,
        &binding,
        &mut UnwrapErr(SysRng),
    )
    .unwrap()
    .0
}

#[test]
fn keys_overlap_and_die() {
    let mut rng = UnwrapErr(SysRng);
    let (mut ring, first) = ring(1000);
    assert_eq!((first.not_before, first.not_after), (940, 1600));

    assert_eq!(ring.turn(1299, &mut rng).unwrap(), None);
    let second = ring.turn(1300, &mut rng).unwrap().unwrap();
    assert_ne!(first.key_id, second.key_id);

    // Both open requests until the first dies; then its id is as good as unknown.
    for now in [1300, 1600] {
        assert!(ring.open(&first.key_id, &sealed_to(&first), now).is_ok());
        assert!(ring.open(&second.key_id, &sealed_to(&second), now).is_ok());
    }
    let late = ring.open(&first.key_id, &sealed_to(&first), 1601);
    assert_eq!(late.unwrap_err(), RejectedRequest::DeadKey);
    ring.turn(1601, &mut rng).unwrap();
    assert!(
        ring.keys
            .iter()
            .all(|key| key.announcement.key_id != first.key_id)
    );
}

#[test]
fn a_ring_that_was_not_turned_for_long_has_one_fresh_key() {
    let (mut ring, _) = ring(1000);
    let next = ring.turn(100_000, &mut UnwrapErr(SysRng)).unwrap().unwrap();
    assert_eq!(next.not_after, 100_600);
    assert_eq!(ring.keys.len(), 1);
}

#[test]
fn a_request_opens_once() {
    let (mut ring, announcement) = ring(1000);
    let sealed = sealed_to(&announcement);
    let id = &announcement.key_id;

    // What does not open is not remembered: nobody can burn a request by sending a broken copy first.
    let mut broken = sealed.clone();
    broken[1200] ^= 1;
    let refused = ring.open(id, &broken, 1000).unwrap_err();
    assert_eq!(refused, RejectedRequest::Unopened(OpenError::NotForThisKey));

    assert!(ring.open(id, &sealed, 1000).is_ok());
    let replayed = ring.open(id, &sealed, 1000).unwrap_err();
    assert_eq!(replayed, RejectedRequest::Replayed);
    assert_eq!(replayed.code(), refused.code());
}

#[test]
fn the_relay_learns_only_that_a_key_is_dead() {
    let (mut ring, announcement) = ring(1000);
    let sealed = sealed_to(&announcement);
    let unknown = ring.open("other", &sealed, 1000).unwrap_err();
    assert_eq!(unknown.code(), Code::ReAttest);
    let truncated = ring
        .open(&announcement.key_id, &sealed[..1500], 1000)
        .unwrap_err();
    assert_eq!(truncated.code(), Code::SealedRequestRejected);
}

#[test]
fn a_full_key_makes_way_for_the_next() {
    let (mut ring, first) = ring(1000);
    let key = ring.keys.back_mut().unwrap();
    key.seen = (0..MAX_REQUESTS_PER_KEY as u64)
        .map(|n| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&n.to_be_bytes());
            digest
        })
        .collect();
    let refused = ring
        .open(&first.key_id, &sealed_to(&first), 1000)
        .unwrap_err();
    assert_eq!(refused, RejectedRequest::DeadKey);
    let second = ring.turn(1001, &mut UnwrapErr(SysRng)).unwrap().unwrap();
    assert!(ring.open(&second.key_id, &sealed_to(&second), 1001).is_ok());
}
