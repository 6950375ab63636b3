//! `zkpass inspect`: what a file is and holds, without verifying it and without secrets.

use serde_json::{Map, Value as Json, json};
use zeroize::Zeroizing;
use zkpass_core::code::Code;
use zkpass_core::dvr::{Dvr, DvrToken};
use zkpass_core::encoding::hex;
use zkpass_core::json::Value;
use zkpass_core::jws::{Compact, Header, TokenError};
use zkpass_core::keys::{IssuerKey, PublicKey, SigningKey};
use zkpass_core::limits::MAX_PROOF_TOKEN_BYTES;
use zkpass_core::proof::{PROOF_TYPE, ProofToken};
use zkpass_core::user_data::{Profile, data_root};

use crate::args::Inspect;
use crate::failure::Failure;
use crate::screen::Answer;

/// Shows what the file is.
pub fn run(args: &Inspect) -> Result<Answer, Failure> {
    let text = Zeroizing::new(args.file.read_word()?);
    let found = if text.starts_with("-----") {
        key(&text)?
    } else if text.starts_with('{') {
        match key(&text) {
            Ok(found) => found,
            Err(_) => dvr(&Dvr::from_json(&text)?),
        }
    } else if text.starts_with('[') {
        return Err(Failure::refused(
            Code::InvalidRequest,
            "this looks like a query; `zkpass dvr check --query` reads those",
        ));
    } else {
        token(&text)?
    };
    Ok(Answer {
        text: lines(&found),
        json: found,
    })
}

fn key(text: &str) -> Result<Json, Failure> {
    let (kind, key) = match SigningKey::from_text(text) {
        Ok(key) => ("private-key", key.public()),
        Err(_) => {
            let key = PublicKey::from_text(text)
                .map_err(|error| Failure::refused(error.code(), error))?;
            ("public-key", key)
        }
    };
    Ok(json!({
        "kind": kind,
        "thumbprint": key.thumbprint(),
        "public_jwk": key,
    }))
}

fn dvr(dvr: &Dvr) -> Json {
    let keys: Map<String, Json> = dvr
        .user_data_requests
        .iter()
        .map(|(tag, request)| (tag.clone(), key_name(&request.user_data_verifying_key)))
        .collect();
    json!({
        "kind": "dvr",
        "dvr_digest": hex(&dvr.digest()),
        "issuer_keys": keys,
        "verifier_key": dvr.dvr_verifying_key.as_ref().map(key_name),
        "dvr": dvr,
    })
}

/// A key's thumbprint, or where it is to be found.
fn key_name(key: &IssuerKey) -> Json {
    match key {
        IssuerKey::KeysetEndpoint { jku, kid } => json!({"jku": jku, "kid": kid}),
        IssuerKey::PublicKey(text) => json!(text.public_key().ok().map(|key| key.thumbprint())),
    }
}

fn token(text: &str) -> Result<Json, Failure> {
    let token = Compact::parse_within(text, MAX_PROOF_TOKEN_BYTES)?;
    if token.header().typ.as_deref() == Some(PROOF_TYPE) {
        return proof(text);
    }
    let payload = token.payload_json()?;
    let is_dvr = payload.get("data").is_some_and(|data| {
        data.get("query").is_some() && data.get("user_data_requests").is_some()
    });
    if is_dvr {
        let token = DvrToken::parse(text)?;
        let mut found = dvr(token.dvr());
        found["kind"] = json!("dvr-token");
        found["header"] = header(token.header());
        return Ok(found);
    }
    user_data(&token, &payload)
}

fn proof(text: &str) -> Result<Json, Failure> {
    let token = ProofToken::parse(text)?;
    let claims = token.claims();
    Ok(json!({
        "kind": "proof",
        "header": header(token.header()),
        "dvr_title": claims.dvr_title,
        "dvr_id": claims.dvr_id,
        "time_stamp": claims.time_stamp,
        "proof_bytes": claims.zkproof.len(),
        "statement_digest": hex(&claims.statement.digest()),
        "statement": claims.statement,
        "evidence": claims.evidence,
    }))
}

fn user_data(token: &Compact, payload: &Value<'_>) -> Result<Json, Failure> {
    // A JWT may have a claim `data` of its own; only the request says which is meant.
    let profile = match data_root(payload, Profile::Zkpass).map(Value::as_object) {
        Some(Some(_)) => Profile::Zkpass,
        _ => Profile::Jwt,
    };
    let root = data_root(payload, profile).ok_or(TokenError::MissingData)?;
    let mut found = Vec::new();
    members(root, &mut String::new(), &mut found);
    Ok(json!({
        "kind": "user-data-token",
        "header": header(token.header()),
        "bytes": token.as_str().len(),
        "profile": profile,
        "members": found,
    }))
}

/// Lists members with their types; the values are nobody's business.
fn members(value: &Value<'_>, path: &mut String, found: &mut Vec<Json>) {
    let Some(object) = value.as_object() else {
        return;
    };
    for (name, member) in object {
        let name = name.decode();
        if name.starts_with('_') && name.ends_with("_zkpass_public_") {
            continue;
        }
        let flag = value.get(&format!("_{name}_zkpass_public_"));
        let length = path.len();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(&name);
        match member {
            Value::Object(_) => members(member, path, found),
            _ => found.push(json!({
                "path": path,
                "type": member.kind(),
                "public": flag == Some(&Value::Boolean(true)),
            })),
        }
        path.truncate(length);
    }
}

fn header(header: &Header) -> Json {
    let members = [
        ("typ", &header.typ),
        ("kid", &header.kid),
        ("jku", &header.jku),
        ("cty", &header.cty),
    ];
    let members = members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?))));
    Json::Object(members.collect())
}

/// The same for people: one member per line, nested ones indented, list items after a dash.
fn lines(found: &Json) -> String {
    let mut out = String::new();
    write_lines(&mut out, found, 0);
    out.truncate(out.trim_end().len());
    out
}

fn write_lines(out: &mut String, value: &Json, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Json::Object(members) if is_member_row(members) => {
            let public = if members["public"] == true {
                ", public"
            } else {
                ""
            };
            let path = members["path"].as_str().unwrap_or_default().escape_debug();
            let kind = members["type"].as_str().unwrap_or_default();
            out.push_str(&format!("{indent}{path}: {kind}{public}\n"));
        }
        Json::Object(members) => {
            for (name, value) in members {
                let name = match name.as_str() {
                    "" => "\"\"".to_owned(),
                    name => name.escape_debug().to_string(),
                };
                match value {
                    Json::Null => {}
                    Json::Object(_) | Json::Array(_) => {
                        out.push_str(&format!("{indent}{name}:\n"));
                        write_lines(out, value, depth + 1);
                    }
                    scalar => out.push_str(&format!("{indent}{name}: {}\n", plain(scalar))),
                }
            }
        }
        Json::Array(items) => {
            for item in items {
                let start = out.len();
                write_lines(out, item, depth + 1);
                out.replace_range(start + indent.len()..start + indent.len() + 1, "-");
            }
        }
        scalar => out.push_str(&format!("{indent}{}\n", plain(scalar))),
    }
}

fn is_member_row(members: &Map<String, Json>) -> bool {
    members.len() == 3 && members.contains_key("path") && members.contains_key("public")
}

/// A scalar. Text stands bare only if it cannot be mistaken for anything else on a terminal.
fn plain(scalar: &Json) -> String {
    let is_plain = |text: &&str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() || byte == b' ')
    };
    match scalar.as_str().filter(is_plain) {
        Some(text) => text.to_owned(),
        None => scalar.to_string(),
    }
}
