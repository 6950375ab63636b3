use super::*;

/// A workspace that follows every rule.
fn sound() -> Input {
    let members: &[(&str, Zone, &[&str])] = &[
        ("zkpass-core", Zone::Protocol, &[]),
        ("zkpass-query", Zone::Protocol, &["zkpass-core"]),
        (
            "zkpass-circuit",
            Zone::Protocol,
            &["zkpass-core", "zkpass-query"],
        ),
        ("zkpass-channel", Zone::Protocol, &["zkpass-core"]),
        (
            "zkpass-client",
            Zone::Sdk,
            &["zkpass-core", "zkpass-circuit"],
        ),
        ("zkpass-launcher", Zone::Enclave, &["zkpass-core"]),
        ("zkpass-attest", Zone::Protocol, &["zkpass-core"]),
        ("zkpass-devtee", Zone::Enclave, &["zkpass-core"]),
        (
            "zkpass-service",
            Zone::Service,
            &["zkpass-core", "zkpass-launcher"],
        ),
        (
            "zkpass-enclave",
            Zone::Enclave,
            &["zkpass-channel", "zkpass-circuit"],
        ),
        (
            "zkpass-cli",
            Zone::Sdk,
            &["zkpass-client", "zkpass-service", "zkpass-enclave"],
        ),
        ("zkpass-fuzz", Zone::Tool, &["zkpass-enclave"]),
    ];
    let workspace = members
        .iter()
        .map(|(name, zone, dependencies)| {
            let package = Package {
                zone: Some(*zone),
                dependencies: dependencies.iter().map(|name| name.to_string()).collect(),
                is_binary: true,
            };
            (name.to_string(), package)
        })
        .collect();
    let alone = members
        .iter()
        .map(|(name, ..)| (name.to_string(), Closure::new()))
        .collect();
    Input {
        workspace,
        alone,
        joint: Closure::new(),
    }
}

fn depend(input: &mut Input, from: &str, to: &str) {
    let package = input.workspace.get_mut(from).unwrap();
    package.dependencies.insert(to.to_owned());
}

fn link(input: &mut Input, from: &str, to: &str) {
    let closure = input.alone.get_mut(from).unwrap();
    closure.insert(to.to_owned(), BTreeSet::new());
}

#[test]
fn a_sound_workspace_passes() {
    assert_eq!(check(&sound()), Vec::<String>::new());
}

#[test]
fn each_wrong_edge_is_one_violation() {
    let edges = [
        ("zkpass-service", "zkpass-enclave"),
        ("zkpass-service", "zkpass-client"),
        ("zkpass-enclave", "zkpass-service"),
        ("zkpass-enclave", "zkpass-client"),
        ("zkpass-client", "zkpass-service"),
        ("zkpass-client", "zkpass-enclave"),
        ("zkpass-client", "zkpass-launcher"),
        ("zkpass-launcher", "zkpass-service"),
        ("zkpass-core", "zkpass-query"),
        ("zkpass-query", "zkpass-circuit"),
        ("zkpass-channel", "zkpass-circuit"),
        ("zkpass-circuit", "zkpass-enclave"),
        ("zkpass-cli", "zkpass-fuzz"),
    ];
    for (from, to) in edges {
        let mut input = sound();
        depend(&mut input, from, to);
        let violations = check(&input);
        assert_eq!(violations.len(), 1, "{from} -> {to}: {violations:?}");
        assert!(violations[0].contains(from) && violations[0].contains(to));
    }
}

#[test]
fn each_forbidden_link_is_one_violation() {
    let links = [
        ("zkpass-service", "zkpass-query"),
        ("zkpass-service", "zkpass-circuit"),
        ("zkpass-service", "zkpass-channel"),
        ("zkpass-service", "hpke"),
        ("zkpass-service", "vega-prover"),
        ("zkpass-launcher", "zkpass-channel"),
        ("zkpass-core", "getrandom"),
        ("zkpass-core", "tokio"),
        ("zkpass-query", "reqwest"),
        ("zkpass-circuit", "hyper"),
        ("zkpass-enclave", "axum"),
    ];
    for (from, to) in links {
        let mut input = sound();
        link(&mut input, from, to);
        let violations = check(&input);
        assert_eq!(violations.len(), 1, "{from} -> {to}: {violations:?}");
    }
}

#[test]
fn links_that_no_rule_forbids_pass() {
    let mut input = sound();
    link(&mut input, "zkpass-service", "tokio");
    link(&mut input, "zkpass-circuit", "getrandom");
    link(&mut input, "zkpass-client", "reqwest");
    assert_eq!(check(&input), Vec::<String>::new());
}

#[test]
fn a_feature_only_the_joint_build_has_is_a_violation() {
    let mut input = sound();
    link(&mut input, "zkpass-service", "zkpass-core");
    let features = BTreeSet::from(["danger".to_owned()]);
    input.joint.insert("zkpass-core".to_owned(), features);
    let violations = check(&input);
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert!(violations[0].contains("danger"));
}

#[test]
fn a_foreign_package_may_gain_features_in_the_joint_build() {
    let mut input = sound();
    link(&mut input, "zkpass-service", "serde");
    let features = BTreeSet::from(["derive".to_owned()]);
    input.joint.insert("serde".to_owned(), features);
    assert_eq!(check(&input), Vec::<String>::new());
}

#[test]
fn a_folder_that_is_no_zone_is_a_violation() {
    let mut input = sound();
    input
        .workspace
        .insert("stray".to_owned(), Package::default());
    assert_eq!(check(&input).len(), 1);
}

#[test]
fn a_protocol_crate_needs_a_place_in_the_order() {
    let mut input = sound();
    let package = Package {
        zone: Some(Zone::Protocol),
        ..Package::default()
    };
    input.workspace.insert("zkpass-new".to_owned(), package);
    assert_eq!(check(&input).len(), 1);
}

#[test]
fn a_rule_about_a_package_that_is_gone_is_a_violation() {
    let mut input = sound();
    input.alone.remove("zkpass-service");
    let violations = check(&input);
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert!(violations[0].contains("zkpass-service"));
}
