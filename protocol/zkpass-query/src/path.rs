//! Data paths as written in `{"dvar": path}`.

/// A well-formed path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// As written.
    pub(crate) text: String,
    /// Names up to the end or to `beyond`.
    pub(crate) segments: Vec<String>,
    /// Byte offset of the first character outside the plain dotted form:
    /// indexes, projections, filters and functions.
    pub(crate) beyond: Option<usize>,
}

/// Why a path is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// Byte offset.
    pub(crate) position: usize,
    /// What belongs there.
    pub(crate) expected: &'static str,
}

impl Path {
    /// Reads `name(.name)*`, a name being a letter followed by letters, digits
    /// and `_`. It stops without an error at JMESPath syntax beyond that, so
    /// that the checker can say "not supported" rather than "malformed".
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let mut segments = Vec::new();
        let mut rest = text;
        let beyond = loop {
            let position = text.len() - rest.len();
            if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
                if !segments.is_empty() && rest.starts_with(JMESPATH) {
                    break Some(position);
                }
                return Err(Malformed {
                    position,
                    expected: "a name that starts with a letter",
                });
            }
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            let (name, tail) = rest.split_at(end);
            segments.push(name.to_owned());
            if tail.is_empty() {
                break None;
            }
            if tail.starts_with(JMESPATH) {
                break Some(position + end);
            }
            rest = tail.strip_prefix('.').ok_or(Malformed {
                position: position + end,
                expected: "a letter, a digit, `_` or `.`",
            })?;
        };
        Ok(Self {
            text: text.to_owned(),
            segments,
            beyond,
        })
    }
}

/// Characters with a meaning in JMESPath, which the original system accepts.
const JMESPATH: [char; 20] = [
    '[', ']', '(', ')', '{', '}', '|', '&', '=', '<', '>', '!', '*', '@', '?', ':', ',', '"', '\'',
    '`',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain() {
        for (text, expected) in [
            ("a", vec!["a"]),
            ("address.zip_code2", vec!["address", "zip_code2"]),
            ("A._", vec![]),
        ] {
            match Path::parse(text) {
                Ok(path) => {
                    assert_eq!(path.segments, expected);
                    assert_eq!(path.beyond, None);
                }
                Err(malformed) => assert_eq!((text, malformed.position), ("A._", 2)),
            }
        }
    }

    #[test]
    fn beyond_the_plain_form() {
        for (text, position) in [
            ("a[0]", 1),
            ("a.b[].c", 3),
            ("a[*]", 1),
            ("a[?x]", 1),
            ("length(items)", 6),
            ("a.*", 2),
            ("a.\"b\"", 2),
            ("a|b", 1),
        ] {
            assert_eq!(Path::parse(text).unwrap().beyond, Some(position), "{text}");
        }
    }

    #[test]
    fn malformed() {
        for (text, position) in [
            ("", 0),
            (".a", 0),
            ("_a", 0),
            ("1a", 0),
            ("[0]", 0),
            ("\"a\"", 0),
            ("@", 0),
            ("a..b", 2),
            ("a.", 2),
            ("a._b", 2),
            ("a b", 1),
            ("a-b", 1),
            ("aé", 1),
            ("a$", 1),
        ] {
            assert_eq!(Path::parse(text).unwrap_err().position, position, "{text}");
        }
    }
}
