//! The package graph, reduced to what the zone rules look at.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, MetadataCommand, Target};

use crate::shell;

/// A trust zone; folders of the repository are zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// Pure libraries.
    Protocol,
    /// What users install.
    Sdk,
    /// Untrusted: sees ciphertext only.
    Service,
    /// Trusted and measured: sees plaintext.
    Enclave,
    /// Tests, benches, fuzzing and automation: shipped to nobody.
    Tool,
}

impl Zone {
    /// The zone of a folder below the workspace root.
    pub fn of_folder(folder: &str) -> Option<Self> {
        match folder {
            "protocol" => Some(Self::Protocol),
            "sdk" => Some(Self::Sdk),
            "service" => Some(Self::Service),
            "enclave" => Some(Self::Enclave),
            "tests" | "benches" | "examples" | "fuzz" | "xtask" => Some(Self::Tool),
            _ => None,
        }
    }
}

/// A workspace member.
#[derive(Clone, Debug, Default)]
pub struct Package {
    /// `None`: the folder is not a zone.
    pub zone: Option<Zone>,
    /// Direct dependencies on other members; development dependencies left out.
    pub dependencies: BTreeSet<String>,
    /// Whether a program is built from it.
    pub is_binary: bool,
}

/// Members of the workspace by name.
pub type Workspace = BTreeMap<String, Package>;

/// Everything one package links, itself included, with the features that are
/// on when it is built alone: name of a package -> its features. Versions are
/// merged, which can only make a rule stricter.
pub type Closure = BTreeMap<String, BTreeSet<String>>;

/// Reads the members and the edges between them from `cargo metadata`.
pub fn workspace() -> Result<Workspace> {
    let metadata = MetadataCommand::new().current_dir(shell::root()).exec()?;
    let resolve = metadata.resolve.as_ref().context("no resolve graph")?;
    let members: BTreeMap<_, _> = metadata
        .workspace_packages()
        .into_iter()
        .map(|package| (&package.id, package))
        .collect();

    let mut workspace = Workspace::new();
    for (id, member) in &members {
        let zone = member
            .manifest_path
            .strip_prefix(&metadata.workspace_root)
            .ok()
            .and_then(|path| path.iter().next())
            .and_then(Zone::of_folder);
        let node = resolve.nodes.iter().find(|node| node.id == **id);
        let dependencies = node
            .with_context(|| format!("`{}` is not resolved", member.name))?
            .deps
            .iter()
            .filter(|edge| {
                let mut kinds = edge.dep_kinds.iter();
                kinds.any(|kind| kind.kind != DependencyKind::Development)
            })
            .filter_map(|edge| members.get(&edge.pkg))
            .map(|package| package.name.to_string())
            .collect();
        workspace.insert(
            member.name.to_string(),
            Package {
                zone,
                dependencies,
                is_binary: member.targets.iter().any(Target::is_bin),
            },
        );
    }
    Ok(workspace)
}

/// What `package` links when it is built alone.
pub fn closure(package: &str) -> Result<Closure> {
    tree(&format!("--package {package}"))
}

/// What a joint build of the whole workspace links.
pub fn joint_closure() -> Result<Closure> {
    tree("--workspace")
}

fn tree(selection: &str) -> Result<Closure> {
    let mut command = shell::command(&format!(
        "cargo tree --locked {selection} --edges normal,no-proc-macro --prefix none"
    ));
    command.args(["--format", "{p}|{f}"]);
    Ok(parse_tree(&shell::capture(command)?))
}

/// Parses lines such as `serde v1.0.2 (/path)|derive,std (*)`.
fn parse_tree(text: &str) -> Closure {
    let mut closure = Closure::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (package, features) = line.split_once('|').unwrap_or((line, ""));
        let name = package.split(' ').next().unwrap_or(package);
        let features = features.trim_end_matches("(*)").trim();
        closure.entry(name.to_owned()).or_default().extend(
            features
                .split(',')
                .filter(|f| !f.is_empty())
                .map(str::to_owned),
        );
    }
    closure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_line_gives_name_and_features() {
        let closure = parse_tree("a v1.0.0 (/somewhere)|\n\nb v0.2.0|std,x (*)\nb v0.3.0|y\n");
        assert_eq!(closure["a"], BTreeSet::new());
        assert_eq!(closure["b"], ["std", "x", "y"].map(str::to_owned).into());
    }
}
