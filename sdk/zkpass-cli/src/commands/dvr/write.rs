//! `zkpass dvr new` and `zkpass dvr sign`

use serde_json::{Value, json};
use zkpass_core::dvr::{Dvr, DvrToken};
use zkpass_core::encoding::hex;
use zkpass_query::ast::Program;
use zkpass_query::leakage;

use crate::args::{DvrNew, DvrSign};
use crate::draft::Draft;
use crate::failure::Failure;
use crate::keys;
use crate::screen::Answer;

/// Writes an unsigned request.
pub fn new(args: &DvrNew) -> Result<Answer, Failure> {
    let (dvr, program) = Draft::from_args(&args.draft)?.finish()?;
    let text = serde_json::to_string_pretty(&dvr)
        .map_err(|error| Failure::system(format!("cannot write the request: {error}")))?;
    args.out.write_line(&text)?;
    Ok(answer(&args.out.to_string(), &dvr, &program))
}

/// Signs a request.
pub fn sign(args: &DvrSign) -> Result<Answer, Failure> {
    let key = keys::read_private(&args.key)?;
    let mut draft = Draft::from_args(&args.draft)?;
    draft.signed_by(key.public())?;
    let (dvr, program) = draft.finish()?;
    args.out.write_line(&DvrToken::sign(&dvr, &key, None)?)?;
    Ok(answer(&args.out.to_string(), &dvr, &program))
}

fn answer(file: &str, dvr: &Dvr, program: &Program) -> Answer {
    let report = leakage(program);
    let digest = hex(&dvr.digest());
    let tags: Vec<Value> = dvr.tags().into_iter().map(Value::from).collect();
    let mut text = format!(
        "{file}: request {}, digest {digest}\nits answers reveal at most {} bits; \
         `zkpass dvr check --dvr {file}` lists them",
        dvr.dvr_id, report.worst_case_bits
    );
    for pinned in &report.pinned {
        text.push_str(&format!(
            "\nwarning: the answers can tell that {} is exactly {}",
            pinned.quantity,
            pinned.values.join(", ")
        ));
    }
    Answer {
        text,
        json: json!({
            "dvr": file,
            "dvr_id": dvr.dvr_id,
            "dvr_digest": digest,
            "tags": tags,
            "expires_at": dvr.expires_at,
            "leakage": report,
        }),
    }
}
