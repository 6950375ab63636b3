//! Files that belong to the documents of a request, by tag.

use std::collections::BTreeMap;

use crate::failure::Failure;

/// Puts values in the order of their tags. `what` names them in messages.
pub fn by_tag<T>(
    what: &str,
    given: impl IntoIterator<Item = (String, T)>,
) -> Result<BTreeMap<String, T>, Failure> {
    let mut values = BTreeMap::new();
    for (tag, value) in given {
        if values.contains_key(&tag) {
            return Err(Failure::usage(match tag.as_str() {
                "" => format!("{what} is given twice without a tag; write TAG=... for each"),
                tag => format!("{what} of `{tag}` is given twice"),
            }));
        }
        values.insert(tag, value);
    }
    Ok(values)
}

/// Lets a single value without a tag stand for the only document, whatever that one's tag is.
pub fn adopt_only_tag<'t, T>(
    values: &mut BTreeMap<String, T>,
    mut tags: impl Iterator<Item = &'t String>,
) {
    if let (Some(tag), None) = (tags.next(), tags.next())
        && values.len() == 1
        && let Some(value) = values.remove("")
    {
        values.insert(tag.clone(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(tags: &[&str]) -> Result<BTreeMap<String, usize>, Failure> {
        by_tag(
            "the token",
            tags.iter().map(|tag| (*tag).to_owned()).zip(0..),
        )
    }

    #[test]
    fn a_tag_is_used_once() {
        assert!(tagged(&["a", "b", ""]).is_ok());
        let twice = tagged(&["a", "a"]).unwrap_err();
        assert_eq!(twice.to_string(), "the token of `a` is given twice");
        assert!(tagged(&["", ""]).unwrap_err().to_string().contains("TAG="));
    }

    #[test]
    fn a_tag_may_be_left_out_for_a_single_document() {
        let adopt = |given: &[&str], wanted: &[&str]| {
            let mut values = tagged(given).unwrap();
            let wanted: Vec<String> = wanted.iter().map(|tag| (*tag).to_owned()).collect();
            adopt_only_tag(&mut values, wanted.iter());
            values.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(adopt(&[""], &["bank"]), ["bank"]);
        assert_eq!(adopt(&[""], &[""]), [""]);
        assert_eq!(adopt(&["x"], &["bank"]), ["x"]);
        assert_eq!(adopt(&[""], &["bank", "clinic"]), [""]);
        assert_eq!(adopt(&["", "x"], &["bank"]), ["", "x"]);
    }
}
