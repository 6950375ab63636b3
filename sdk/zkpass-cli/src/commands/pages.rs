//! `zkpass completions` and `zkpass man`: both come from the argument definitions.

use std::io;
use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use serde_json::json;

use crate::args::{self, Cli};
use crate::failure::Failure;
use crate::files::{Access, make_folder, write_file};
use crate::screen::Answer;

/// Prints the completion script of a shell.
pub fn completions(args: &args::Completions) -> Result<Answer, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "zkpass", &mut script);
    let text = String::from_utf8_lossy(&script).trim_end().to_owned();
    Ok(Answer {
        json: json!({"shell": args.shell.to_string(), "script": text}),
        text,
    })
}

/// Prints the manual page, or writes one page per command.
pub fn man(args: &args::Man) -> Result<Answer, Failure> {
    let mut command = Cli::command();
    command.build();
    let Some(folder) = &args.out else {
        let text = String::from_utf8_lossy(&page(&command)?)
            .trim_end()
            .to_owned();
        return Ok(Answer {
            json: json!({"page": text}),
            text,
        });
    };
    make_folder(folder)?;
    let mut written = Vec::new();
    write_pages(&command, folder, &mut written)?;
    Ok(Answer {
        text: format!("{} pages in {}", written.len(), folder.display()),
        json: json!({"pages": written}),
    })
}

fn write_pages(command: &Command, folder: &Path, written: &mut Vec<String>) -> Result<(), Failure> {
    let path = folder.join(format!("{}.1", page_name(command)));
    write_file(&path, &page(command)?, Access::Shared)?;
    written.push(path.display().to_string());
    command
        .get_subcommands()
        .filter(|command| command.get_name() != "help")
        .try_for_each(|command| write_pages(command, folder, written))
}

fn page(command: &Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    write_page(command, &mut page)
        .map_err(|error| Failure::system(format!("cannot make a manual page: {error}")))?;
    Ok(page)
}

fn write_page(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let man = Man::new(command.clone()).title(page_name(command));
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(page)?;
    }
    let notes = command
        .get_after_long_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    sections(&notes).to_writer(page)?;
    man.render_version_section(page)
}

/// What follows the options in the help, line by line: a line that ends with a colon and is not
/// indented begins a section.
fn sections(notes: &str) -> Roff {
    let mut roff = Roff::default();
    for line in notes.lines() {
        match line.strip_suffix(':') {
            Some(title) if !line.starts_with(' ') => {
                roff.control("SH", [title.to_uppercase().as_str()]);
                roff.control("nf", []);
            }
            _ => {
                roff.text([roman(line)]);
            }
        }
    }
    if !notes.is_empty() {
        roff.control("fi", []);
    }
    roff
}

/// `zkpass dvr sign` has the page `zkpass-dvr-sign`.
fn page_name(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    name.replace(' ', "-")
}
