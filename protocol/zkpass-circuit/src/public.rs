//! The public values of the core circuit, computed from the statement by prover
//! and verifier alike.
//!
//! In order: the statement digest as two 128-bit halves; year, month, day and
//! day number of `as_of`; for each token the coordinates of the issuer key and
//! the word elements of its prefix (header and dot), zero behind it; for each
//! output of the program its type code (0: absent) and four value elements.

use crate::core::prefix_elements;
use crate::field::{F, from_be_bytes, from_bool, from_i64, pow2};
use crate::gadgets::values::string_constant;
use crate::plan::Plan;
use crate::query::{CODES, OUTPUT_WIDTH};
use ff::Field;
use zkpass_core::limits::MAX_STRING_BYTES;
use zkpass_core::statement::{OutputValue, Statement};
use zkpass_query::ast::{Program, Type};

/// `None` when the statement cannot be one of this program and plan.
pub(crate) fn values(plan: &Plan, program: &Program, statement: &Statement) -> Option<Vec<F>> {
    let digest = statement.digest();
    let mut out: Vec<F> = digest.chunks(16).map(from_be_bytes).collect();
    let as_of = statement.as_of;
    out.push(F::from(u64::from(as_of.year())));
    out.push(F::from(u64::from(as_of.month())));
    out.push(F::from(u64::from(as_of.day())));
    out.push(from_i64(as_of.day_number()));
    if statement.tokens.len() != plan.tokens.len() {
        return None;
    }
    for (token, plan) in statement.tokens.iter().zip(&plan.tokens) {
        let (x, y) = token.issuer_key.coordinates();
        out.push(from_be_bytes(&x));
        out.push(from_be_bytes(&y));
        let prefix = format!("{}.", token.header);
        if prefix.len() != plan.prefix_len {
            return None;
        }
        let mut rest = prefix.as_bytes();
        for (_, _, covered, size) in prefix_elements(plan) {
            let (head, tail) = rest.split_at_checked(covered)?;
            out.push(from_be_bytes(head) * pow2(8 * (size - covered)));
            rest = tail;
        }
    }
    // Entries come in the program's order; a name the program does not have, or
    // an entry out of order, is left over.
    let mut entries = statement.output.iter().peekable();
    for name in &program.outputs {
        let entry = entries.next_if(|e| e.name == *name);
        let mut row = match entry {
            None => vec![F::ZERO],
            Some(e) => encode(&e.value)?,
        };
        row.resize(OUTPUT_WIDTH, F::ZERO);
        out.extend(row);
    }
    entries.next().is_none().then_some(out)
}

fn encode(value: &OutputValue) -> Option<Vec<F>> {
    let code = |t: Type| {
        CODES
            .iter()
            .find(|(k, _)| *k == t)
            .map(|(_, c)| F::from(*c))
    };
    Some(match value {
        OutputValue::Integer(v) => vec![code(Type::Integer)?, from_i64(*v)],
        OutputValue::Boolean(v) => vec![code(Type::Boolean)?, from_bool(*v)],
        OutputValue::String(v) => {
            if v.len() > MAX_STRING_BYTES {
                return None;
            }
            let mut row = vec![code(Type::String)?];
            row.extend(string_constant(v));
            row
        }
    })
}
