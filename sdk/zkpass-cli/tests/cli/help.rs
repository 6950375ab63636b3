//! Help texts are part of the product: a change is seen.

use crate::sandbox::Sandbox;

const COMMANDS: &[&str] = &[
    "",
    "keygen",
    "token",
    "token sign",
    "dvr",
    "dvr new",
    "dvr check",
    "dvr sign",
    "dvr eval",
    "prove",
    "verify",
    "attest",
    "attest verify",
    "attest inspect",
    "attest show",
    "attest policy",
    "attest measure",
    "attest fetch",
    "inspect",
    "serve",
    "demo",
    "completions",
    "man",
];

#[test]
fn help_of_every_command() {
    let sandbox = Sandbox::new();
    for command in COMMANDS {
        let help = sandbox.ok(&format!("{command} --help"));
        let name = if command.is_empty() {
            "zkpass".to_owned()
        } else {
            format!("zkpass-{}", command.replace(' ', "-"))
        };
        insta::assert_snapshot!(name, help.stdout);
        // The short form is a summary of the long one, and never fails.
        sandbox.ok(&format!("{command} -h"));
    }
}

#[test]
fn every_visible_command_is_listed_here() {
    let sandbox = Sandbox::new();
    for parent in COMMANDS {
        let help = sandbox.ok(&format!("{parent} -h")).stdout;
        let Some((_, rest)) = help.split_once("Commands:\n") else {
            continue;
        };
        for line in rest.lines().take_while(|line| line.starts_with("  ")) {
            let name = line.split_whitespace().next().unwrap();
            let full = format!("{parent} {name}").trim().to_owned();
            assert!(
                name == "help" || COMMANDS.contains(&full.as_str()),
                "`{full}` has no snapshot"
            );
        }
    }
}

#[test]
fn no_arguments_is_wrong_usage_and_shows_the_commands() {
    let outcome = Sandbox::new().run("").exits(2);
    assert!(outcome.stderr.contains("Commands:"));
    assert_eq!(outcome.stdout, "");
}

#[test]
fn completions_and_manual_pages() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = sandbox.ok(&format!("completions {shell}")).stdout;
        assert!(
            script.contains("zkpass") && script.contains("issuer-key"),
            "{shell}"
        );
        assert!(
            !script.contains("run-enclave"),
            "{shell} offers a hidden command"
        );
    }
    let page = sandbox.ok("man").stdout;
    assert!(page.contains(".TH zkpass 1") && page.contains(".SH \"EXIT STATUS\""));
    sandbox.ok("man --out pages");
    for command in COMMANDS {
        let name = format!("zkpass {command}").trim().replace(' ', "-");
        let page = sandbox.read(&format!("pages/{name}.1"));
        assert!(page.contains("SYNOPSIS"), "{name}");
    }
}
