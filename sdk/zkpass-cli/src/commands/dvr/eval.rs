//! `zkpass dvr eval`

use std::collections::BTreeMap;

use serde_json::json;
use zeroize::Zeroizing;
use zkpass_core::code::Code;
use zkpass_core::json::{self, JsonError, Value};
use zkpass_core::jws::{Part, TokenError};
use zkpass_core::statement::output_json;
use zkpass_query::Documents;

use crate::args::DvrEval;
use crate::clock;
use crate::documents::by_tag;
use crate::failure::Failure;
use crate::query::{compile, output_text};
use crate::screen::Answer;

/// Answers a query on plain data.
pub fn run(args: &DvrEval) -> Result<Answer, Failure> {
    let files = by_tag(
        "the data",
        args.data.iter().map(|data| (data.tag.clone(), &data.file)),
    )?;
    let query = args.query.read()?;
    let texts: BTreeMap<&String, Zeroizing<String>> = files
        .iter()
        .map(|(tag, file)| Ok((tag, Zeroizing::new(file.read()?))))
        .collect::<Result<_, Failure>>()?;

    let program = compile(&query, files.keys())?;
    let values: BTreeMap<&String, Value<'_>> = texts
        .iter()
        .map(|(tag, text)| match json::parse(text) {
            Ok(value) => Ok((*tag, value)),
            Err(error) => Err(not_json(&files[*tag].to_string(), error)),
        })
        .collect::<Result<_, Failure>>()?;
    let documents: Documents<'_> = values
        .iter()
        .map(|(tag, value)| ((*tag).clone(), value))
        .collect();

    let as_of = match args.as_of {
        Some(date) => date,
        None => clock::today()?,
    };
    let entries = zkpass_query::evaluate(&program, &documents, as_of)?;
    let output = output_json(&entries);
    Ok(Answer {
        text: output_text(&output),
        json: json!({"output": output}),
    })
}

/// The code is the one that a token with this data would get, but for the query language's own
/// name for a duplicate key.
fn not_json(file: &str, error: JsonError) -> Failure {
    let message = format!("{file} is not strict JSON: {error}");
    let code = match error {
        JsonError::DuplicateKey { .. } => Code::DuplicateKey,
        error => TokenError::json(Part::Payload, error).code(),
    };
    Failure::refused(code, message)
}
