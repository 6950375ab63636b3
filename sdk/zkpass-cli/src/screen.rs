//! What a command says: an answer on standard output, notes and progress on standard error.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::failure::Failure;

/// What a command found, in both forms; nothing is printed when the text is empty.
#[derive(Debug)]
pub struct Answer {
    /// For programs.
    pub json: Value,
    /// For people.
    pub text: String,
}

/// Where a command speaks.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Answers are JSON.
    pub json: bool,
    /// No notes, no progress.
    pub quiet: bool,
}

impl Screen {
    /// Prints the answer. A reader that has gone away is no failure.
    pub fn answer(self, answer: &Answer) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let printed = if answer.text.is_empty() {
            Ok(())
        } else if self.json {
            writeln!(out, "{}", answer.json)
        } else {
            writeln!(out, "{}", answer.text)
        };
        match printed.and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::system(
                format!("cannot write to standard output: {error}"),
            )),
            _ => Ok(()),
        }
    }

    /// Prints a line that is not part of the answer.
    pub fn note(self, line: &str) {
        if !self.quiet {
            // Without standard error there is nobody to tell.
            let _ = writeln!(io::stderr(), "{line}");
        }
    }

    /// Shows that a long step runs, until the value is dropped: only on a terminal.
    pub fn progress(self, step: &'static str) -> Progress {
        let seen = !self.quiet && io::stderr().is_terminal();
        let bar = if seen {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(step);
        if seen {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Progress(bar)
    }
}

/// A running step on the terminal; clones show the same one.
#[derive(Clone, Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Names the step that runs now.
    pub fn step(&self, step: &'static str) {
        self.0.set_message(step);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
