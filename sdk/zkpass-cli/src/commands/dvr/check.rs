//! `zkpass dvr check`

use serde_json::json;
use zkpass_query::leakage;

use crate::args::DvrCheck;
use crate::draft::Draft;
use crate::failure::Failure;
use crate::query::compile;
use crate::screen::Answer;

/// Checks a query and reports what its answers can reveal.
pub fn run(args: &DvrCheck) -> Result<Answer, Failure> {
    let draft = match &args.dvr {
        Some(file) => Draft::read(file)?,
        None => Draft::default(),
    };
    let mut tags = args.tag.clone();
    if tags.is_empty() {
        tags = draft.tags();
    }
    if tags.is_empty() {
        tags.push(String::new());
    }
    let program = match &args.query {
        Some(file) => compile(&file.read()?, &tags)?,
        None => compile(draft.query()?, &tags)?,
    };
    let report = leakage(&program);
    Ok(Answer {
        text: report.to_string().trim_end().to_owned(),
        json: json!({"valid": true, "tags": tags, "leakage": report}),
    })
}
