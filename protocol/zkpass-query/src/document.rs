//! Reading fields of the documents.

use std::collections::BTreeMap;

use crate::ast::Field;
use crate::check::public_flag;
use zkpass_core::json::Value;
use zkpass_core::limits::MAX_STRING_BYTES;

/// The root of the data of each document, by tag. A document that is not
/// there has no fields.
pub type Documents<'a> = BTreeMap<String, &'a Value<'a>>;

/// A value that a query can use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar<'a> {
    Integer(i64),
    String(&'a str),
    Boolean(bool),
}

/// Why a field cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Missing,
    WrongType,
    NotAnInteger,
    EscapedValue,
    ValueTooLong,
    EscapedKey,
}

/// Reads a scalar.
pub(crate) fn read<'a>(documents: &Documents<'a>, field: &Field) -> Result<Scalar<'a>, Unreadable> {
    match find(documents, field)?.ok_or(Unreadable::Missing)? {
        Value::Null => Err(Unreadable::Missing),
        Value::Boolean(boolean) => Ok(Scalar::Boolean(*boolean)),
        Value::Number(number) => integer(number).map(Scalar::Integer),
        Value::String(text) if text.has_escape() => Err(Unreadable::EscapedValue),
        Value::String(text) if text.raw().len() > MAX_STRING_BYTES => Err(Unreadable::ValueTooLong),
        Value::String(text) => Ok(Scalar::String(text.raw())),
        Value::Array(_) | Value::Object(_) => Err(Unreadable::WrongType),
    }
}

/// Whether the field is there and not `null`.
pub(crate) fn exists(documents: &Documents, field: &Field) -> Result<bool, Unreadable> {
    Ok(find(documents, field)?.is_some_and(|value| !matches!(value, Value::Null)))
}

/// Whether the issuer allows the field to be disclosed.
pub(crate) fn is_public(documents: &Documents, field: &Field) -> Result<bool, Unreadable> {
    let Some((last, parents)) = field.segments.split_last() else {
        return Ok(false);
    };
    let flag = public_flag(last);
    let path = parents.iter().map(String::as_str).chain([flag.as_str()]);
    Ok(matches!(
        walk(documents, &field.tag, path)?,
        Some(Value::Boolean(true))
    ))
}

fn find<'a>(documents: &Documents<'a>, field: &Field) -> Result<Option<&'a Value<'a>>, Unreadable> {
    walk(
        documents,
        &field.tag,
        field.segments.iter().map(String::as_str),
    )
}

fn walk<'a, 'n>(
    documents: &Documents<'a>,
    tag: &str,
    path: impl Iterator<Item = &'n str>,
) -> Result<Option<&'a Value<'a>>, Unreadable> {
    let Some(mut value) = documents.get(tag).copied() else {
        return Ok(None);
    };
    for name in path {
        let Value::Object(members) = value else {
            return Ok(None);
        };
        // Names are distinct after decoding, so there is at most one.
        let Some((key, member)) = members.iter().find(|(key, _)| key.decode() == name) else {
            return Ok(None);
        };
        // The circuit compares names byte by byte.
        if key.has_escape() {
            return Err(Unreadable::EscapedKey);
        }
        value = member;
    }
    Ok(Some(value))
}

/// A JSON number token as an integer: no fraction, exponent or `-0`.
fn integer(number: &str) -> Result<i64, Unreadable> {
    if number == "-0" {
        return Err(Unreadable::NotAnInteger);
    }
    number.parse().map_err(|_| Unreadable::NotAnInteger)
}
