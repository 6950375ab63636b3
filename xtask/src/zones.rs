//! Trust zones: who may depend on whom, and what a program must not link.
//!
//! The rules are tables; the check is a pure function of a graph, so that the
//! tests can show that each rule is able to fail.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};

use crate::graph::{self, Closure, Package, Workspace, Zone};

/// For each crate of `protocol/`, the other crates it may use directly.
const PROTOCOL_ORDER: &[(&str, &[&str])] = &[
    ("zkpass-core", &[]),
    ("zkpass-query", &["zkpass-core"]),
    ("zkpass-circuit", &["zkpass-core", "zkpass-query"]),
    (
        "zkpass-verify",
        &["zkpass-core", "zkpass-query", "zkpass-circuit"],
    ),
    ("zkpass-channel", &["zkpass-core"]),
    ("zkpass-attest", &["zkpass-core"]),
];

/// Programs that start the other parts: they may link every zone.
const COMPOSITION_ROOTS: &[&str] = &["zkpass-cli"];

/// In the enclave's folder, because they measure and vouch for the enclave, but
/// they run on the host and see ciphertext only.
const HOST_SIDE: &[&str] = &["zkpass-launcher", "zkpass-devtee"];

/// Runtimes, sockets, HTTP and TLS: protocol code is a function of its arguments.
const INPUT_AND_OUTPUT: &[&str] = &[
    "async-std",
    "axum",
    "curl",
    "hyper",
    "mio",
    "openssl",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "ureq",
];

/// The operating system's randomness.
const OS_RANDOMNESS: &[&str] = &["getrandom", "rand"];

/// Cryptography that is not Rust, glue to a browser, threads: evidence is judged
/// by the same code everywhere.
const FOREIGN_CODE: &[&str] = &["js-sys", "openssl-sys", "rayon", "ring", "wasm-bindgen"];

/// Decryption, evaluation and proving, none of which an untrusted relay needs.
const PLAINTEXT_CODE: &[&str] = &[
    "bellpepper",
    "bellpepper-core",
    "hpke",
    "vega-prover",
    "zkpass-channel",
    "zkpass-circuit",
    "zkpass-enclave",
    "zkpass-query",
    "zkpass-verify",
];

/// HTTP has no business in the measured program.
const HTTP: &[&str] = &["axum", "curl", "hyper", "openssl", "reqwest", "ureq"];

/// What a package must not link, directly or through others.
const MUST_NOT_LINK: &[(&str, &[&str])] = &[
    ("zkpass-core", OS_RANDOMNESS),
    ("zkpass-query", OS_RANDOMNESS),
    ("zkpass-attest", OS_RANDOMNESS),
    ("zkpass-attest", FOREIGN_CODE),
    ("zkpass-service", PLAINTEXT_CODE),
    ("zkpass-launcher", PLAINTEXT_CODE),
    ("zkpass-devtee", PLAINTEXT_CODE),
    ("zkpass-devtee", INPUT_AND_OUTPUT),
    ("zkpass-devtee", OS_RANDOMNESS),
    ("zkpass-enclave", HTTP),
];

/// Everything the rules look at.
struct Input {
    workspace: Workspace,
    /// Per member, what it links when built alone.
    alone: BTreeMap<String, Closure>,
    /// What a build of all members together links.
    joint: Closure,
}

/// Checks this workspace.
pub fn run() -> Result<()> {
    let workspace = graph::workspace()?;
    let alone = workspace
        .keys()
        .map(|name| Ok((name.clone(), graph::closure(name)?)))
        .collect::<Result<_>>()?;
    let input = Input {
        workspace,
        alone,
        joint: graph::joint_closure()?,
    };
    let violations = check(&input);
    for violation in &violations {
        eprintln!("zones: {violation}");
    }
    if !violations.is_empty() {
        bail!("{} zone rules are broken", violations.len());
    }
    println!("zones: {} packages follow the rules", input.workspace.len());
    Ok(())
}

fn check(input: &Input) -> Vec<String> {
    let mut violations = Vec::new();
    for (name, package) in &input.workspace {
        violations.extend(check_direction(name, package, &input.workspace));
        violations.extend(check_order(name, package, &input.workspace));
        if let Some(closure) = input.alone.get(name) {
            violations.extend(check_links(name, package, closure));
            if package.is_binary && package.zone != Some(Zone::Tool) {
                violations.extend(check_features(name, closure, input));
            }
        }
    }
    for (name, _) in MUST_NOT_LINK {
        if !input.alone.contains_key(*name) {
            violations.push(format!("a rule names `{name}`, which does not exist"));
        }
    }
    violations
}

/// Dependencies stay within a zone or point to a more trusted library zone.
fn check_direction(name: &str, package: &Package, workspace: &Workspace) -> Vec<String> {
    let Some(from) = package.zone else {
        return vec![format!("`{name}` is in a folder that is not a zone")];
    };
    package
        .dependencies
        .iter()
        .filter(|dependency| {
            let to = workspace.get(*dependency).and_then(|package| package.zone);
            let host_side = HOST_SIDE.contains(&dependency.as_str()) && from == Zone::Service;
            !host_side && !to.is_some_and(|to| may_depend(name, from, to))
        })
        .map(|dependency| format!("`{name}` ({from:?}) must not depend on `{dependency}`"))
        .collect()
}

fn may_depend(name: &str, from: Zone, to: Zone) -> bool {
    match to {
        Zone::Protocol => true,
        Zone::Tool => from == Zone::Tool,
        _ => from == to || from == Zone::Tool || COMPOSITION_ROOTS.contains(&name),
    }
}

/// Inside `protocol/` the order is written down crate by crate.
fn check_order(name: &str, package: &Package, workspace: &Workspace) -> Vec<String> {
    if package.zone != Some(Zone::Protocol) {
        return Vec::new();
    }
    let Some((_, allowed)) = PROTOCOL_ORDER
        .iter()
        .find(|(crate_name, _)| *crate_name == name)
    else {
        return vec![format!("`{name}` has no place in the order of protocol/")];
    };
    package
        .dependencies
        .iter()
        .filter(|dependency| {
            let zone = workspace.get(*dependency).and_then(|package| package.zone);
            zone == Some(Zone::Protocol) && !allowed.contains(&dependency.as_str())
        })
        .map(|dependency| format!("`{name}` must not use `{dependency}`: wrong order"))
        .collect()
}

fn check_links(name: &str, package: &Package, closure: &Closure) -> Vec<String> {
    let by_name = MUST_NOT_LINK
        .iter()
        .filter(|(rule, _)| *rule == name)
        .flat_map(|(_, forbidden)| forbidden.iter());
    let by_zone = match package.zone {
        Some(Zone::Protocol) => INPUT_AND_OUTPUT,
        _ => &[],
    };
    let forbidden: BTreeSet<_> = by_name.chain(by_zone).collect();
    forbidden
        .into_iter()
        .filter(|dependency| closure.contains_key(**dependency))
        .map(|dependency| format!("`{name}` must not link `{dependency}`"))
        .collect()
}

/// A program must be the same whether it is built alone or with the others:
/// then a feature another program asks for cannot change it.
fn check_features(name: &str, alone: &Closure, input: &Input) -> Vec<String> {
    alone
        .iter()
        .filter(|(package, _)| input.workspace.contains_key(*package))
        .filter_map(|(package, features)| {
            let joint = input.joint.get(package)?;
            let extra: Vec<_> = joint.difference(features).map(String::as_str).collect();
            (!extra.is_empty()).then(|| {
                let extra = extra.join(", ");
                format!("a joint build gives `{name}` more of `{package}`: {extra}")
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
