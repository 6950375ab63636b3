//! The README's tour of the command line, run as it stands.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell;

/// Where the tour begins and what ends it.
const HEADING: &str = "## Five minutes with the command line";

/// The installation, which the release build stands in for.
const INSTALL: &str = "cargo install";

/// Runs the tour in a new folder.
pub fn run() -> Result<()> {
    let readme = std::fs::read_to_string(shell::root().join("README.md"))?;
    let script = commands(&readme)?;
    let programs = programs()?;
    let folder = env::temp_dir().join(format!("zkpass-tour-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let link = format!("ln -s '{}/examples' examples\n", shell::root().display());
    let mut shell = Command::new("sh");
    let mut path = programs.into_os_string();
    if let Some(rest) = env::var_os("PATH") {
        path.push(":");
        path.push(rest);
    }
    shell
        .args(["-exc", &(link + &script)])
        .current_dir(&folder)
        .env("PATH", path);
    let result = shell::run(shell);
    std::fs::remove_dir_all(&folder)?;
    result?;
    println!("tour: the README's commands work");
    Ok(())
}

/// The shell blocks under the heading, without the installation.
fn commands(readme: &str) -> Result<String> {
    let (_, rest) = readme
        .split_once(HEADING)
        .context("the README has no tour")?;
    let tour = rest.split("\n## ").next().unwrap_or(rest);
    let blocks = tour.split("```sh\n").skip(1);
    let script: String = blocks
        .filter_map(|block| block.split("```").next())
        .filter(|block| !block.starts_with(INSTALL))
        .collect();
    if !script.contains("zkpass verify") {
        bail!("the README's tour verifies nothing");
    }
    Ok(script)
}

/// The folder of the release build.
fn programs() -> Result<PathBuf> {
    shell::run(shell::command(
        "cargo build --release --locked -p zkpass-cli --bin zkpass",
    ))?;
    let metadata = cargo_metadata::MetadataCommand::new()
        .current_dir(shell::root())
        .no_deps()
        .exec()?;
    Ok(metadata
        .target_directory
        .join("release")
        .into_std_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tour_is_its_shell_blocks() {
        let readme = format!(
            "```sh\nother\n```\n{HEADING}\n```sh\ncargo install x\n```\ntext\n\
             ```sh\nzkpass keygen\n```\n```sh\nzkpass verify\n```\n## Next\n```sh\nno\n```\n"
        );
        assert_eq!(commands(&readme).unwrap(), "zkpass keygen\nzkpass verify\n");
        assert!(commands("# Nothing").is_err());
        assert!(commands(&format!("{HEADING}\n```sh\nls\n```\n")).is_err());
    }
}
