//! Key derivation: deterministic, distinct for distinct circuits, bounded.

use std::sync::Arc;
use zkpass_circuit::{CircuitError, KeyCache, Keys, Shape, TokenShape};
use zkpass_core::user_data::Profile;
use zkpass_query::ast::Program;

fn program(limit: u32) -> Program {
    let script = format!(r#"[{{"output":{{"r":{{">=":[{{"dvar":"n"}},{limit}]}}}}}}]"#);
    zkpass_query::compile(&script, &[""]).unwrap()
}

fn shape(header_len: usize, blocks: u16) -> Shape {
    Shape {
        tokens: vec![TokenShape {
            tag: String::new(),
            profile: Profile::Jwt,
            header_len,
            blocks,
        }],
    }
}

#[test]
fn the_digest_follows_from_program_and_shape() {
    let digest = |limit, header_len, blocks| {
        let keys = Keys::derive(&program(limit), &shape(header_len, blocks)).unwrap();
        keys.circuit_digest()
    };
    let first = digest(18, 36, 2);
    assert_eq!(first, digest(18, 36, 2));
    assert_ne!(first, digest(19, 36, 2), "another constant");
    assert_ne!(first, digest(18, 40, 2), "another header length");
    assert_ne!(first, digest(18, 36, 4), "another bucket");
}

#[test]
fn the_cache_derives_once_and_forgets_the_oldest() {
    let cache = KeyCache::new(1);
    let (program, shape) = (program(18), shape(36, 2));
    let both: Vec<_> = std::thread::scope(|s| {
        let threads: Vec<_> = (0..2)
            .map(|_| s.spawn(|| cache.get(&program, &shape).unwrap()))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(Arc::ptr_eq(&both[0], &both[1]));
    cache.get(&self::program(19), &shape).unwrap();
    let again = cache.get(&program, &shape).unwrap();
    assert!(!Arc::ptr_eq(&both[0], &again));
    assert_eq!(both[0].circuit_digest(), again.circuit_digest());
}

#[test]
fn impossible_shapes_are_refused() {
    let derive = |shape: &Shape| Keys::derive(&program(18), shape).unwrap_err();
    assert_eq!(derive(&shape(36, 3)), CircuitError::Blocks(3));
    assert_eq!(derive(&shape(36, 0)), CircuitError::Blocks(0));
    assert_eq!(derive(&shape(128, 2)), CircuitError::Header(128));
    assert_eq!(derive(&shape(0, 2)), CircuitError::Header(0));
    assert_eq!(derive(&Shape { tokens: vec![] }), CircuitError::Tokens);
    let mut twice = shape(36, 2);
    twice.tokens.push(twice.tokens[0].clone());
    assert_eq!(derive(&twice), CircuitError::Tokens);
    let mut other = shape(36, 2);
    other.tokens[0].tag = "bank".into();
    assert_eq!(derive(&other), CircuitError::Tags);
}
