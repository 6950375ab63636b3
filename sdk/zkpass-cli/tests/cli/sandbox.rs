//! A folder of its own for each test, and the command run in it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A temporary folder that commands run in.
pub struct Sandbox(TempDir);

impl Sandbox {
    /// An empty one.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// One with the files of an example.
    pub fn of_example(name: &str) -> Self {
        let sandbox = Self::new();
        for entry in fs::read_dir(example(name)).unwrap() {
            let file = entry.unwrap().path();
            fs::copy(
                &file,
                sandbox.path(file.file_name().unwrap().to_str().unwrap()),
            )
            .unwrap();
        }
        sandbox
    }

    /// The place of a file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Names of all files, sorted.
    pub fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The command, to be started by the caller.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zkpass"));
        command
            .args(line.split_whitespace())
            .current_dir(self.0.path())
            .env("COLUMNS", "100")
            .stdin(Stdio::null());
        command
    }

    /// Runs `zkpass` with the words of a line.
    #[track_caller]
    pub fn run(&self, line: &str) -> Outcome {
        Outcome::of(line, self.command(line).output().unwrap())
    }

    /// Runs `zkpass` with something on its standard input.
    #[track_caller]
    pub fn run_with(&self, line: &str, input: &str) -> Outcome {
        let mut child = self
            .command(line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that refuses its arguments may leave before it reads.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Outcome::of(line, child.wait_with_output().unwrap())
    }

    /// Runs a command that must succeed.
    #[track_caller]
    pub fn ok(&self, line: &str) -> Outcome {
        self.run(line).exits(0)
    }
}

/// What a command did.
#[derive(Debug)]
pub struct Outcome {
    line: String,
    status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    fn of(line: &str, output: std::process::Output) -> Self {
        Self {
            line: line.to_owned(),
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Asserts the exit status.
    #[track_caller]
    pub fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    /// The JSON answer.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Asserts a refusal with this code, told in both forms' terms.
    #[track_caller]
    pub fn refused(self, code: &str) -> Self {
        let outcome = self.exits(1);
        let answer = outcome.json();
        assert_eq!(answer["error"]["code"], code, "{outcome:#?}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(!message.is_empty() && !message.ends_with('.'), "{message}");
        outcome
    }

    /// Asserts that nothing of this text was printed anywhere.
    #[track_caller]
    pub fn hides(self, secret: &str) -> Self {
        assert!(
            !self.stdout.contains(secret) && !self.stderr.contains(secret),
            "`{secret}` was printed by `{}`",
            self.line
        );
        self
    }
}

/// The folder of an example.
pub fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples")
        .join(name)
}
