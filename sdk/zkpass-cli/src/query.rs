//! Queries, and their answers for people.

use serde_json::{Map, Value};
use zkpass_query::ast::Program;

use crate::failure::Failure;

/// Parses and checks a query about documents with these tags.
pub fn compile<'t>(
    script: &str,
    tags: impl IntoIterator<Item = &'t String>,
) -> Result<Program, Failure> {
    let tags: Vec<&str> = tags.into_iter().map(String::as_str).collect();
    Ok(zkpass_query::compile(script, &tags)?)
}

/// The answer, one value per line; text stays in JSON quotes, so that nothing in it can look like
/// something else on a terminal.
pub fn output_text(output: &Map<String, Value>) -> String {
    if output.is_empty() {
        return "(no output)".to_owned();
    }
    let lines: Vec<String> = output
        .iter()
        .map(|(name, value)| format!("{} = {value}", name.escape_debug()))
        .collect();
    lines.join("\n")
}
