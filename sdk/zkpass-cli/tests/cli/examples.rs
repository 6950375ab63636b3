//! The commands of each example's README, run as they stand.

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

#[test]
fn bank_loan() {
    follow("bank-loan");
}

#[test]
fn age_check_jwt() {
    follow("age-check-jwt");
}

#[test]
fn insurance() {
    follow("insurance");
}

#[test]
fn employment_screening() {
    follow("employment-screening");
}

fn follow(example: &str) {
    let sandbox = Sandbox::of_example(example);
    let expected: Value = serde_json::from_str(&sandbox.read("expected.json")).unwrap();
    let readme = sandbox.read("README.md");

    let mut seen = Vec::new();
    for line in commands(&readme) {
        let outcome = sandbox.ok(&line);
        let command = line.split_whitespace().next().unwrap();
        match command {
            "dvr" if line.starts_with("dvr eval") => {
                assert_eq!(outcome.json(), json!({"output": expected["output"]}));
            }
            "prove" => {
                let answer = outcome.json();
                assert_eq!(answer["output"], expected["output"]);
                assert_eq!(answer["as_of"], expected["as_of"]);
            }
            "verify" => {
                let answer = outcome.json();
                assert_eq!(answer["verified"], true);
                assert_eq!(answer["output"], expected["output"]);
                assert_eq!(answer["as_of"], expected["as_of"]);
            }
            _ => {}
        }
        seen.push(command.to_owned());
    }
    for needed in ["keygen", "token", "dvr", "prove", "verify"] {
        assert!(seen.iter().any(|command| command == needed), "{needed}");
    }
}

/// The command lines of the README's shell blocks, without the word `zkpass`.
fn commands(readme: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for block in readme.split("```sh\n").skip(1) {
        let block = block.split("```").next().unwrap().replace("\\\n", " ");
        lines.extend(
            block
                .lines()
                .filter_map(|line| line.strip_prefix("zkpass "))
                .map(str::to_owned),
        );
    }
    lines
}
