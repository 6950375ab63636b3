//! Case folding.
//!
//! One rule for every `~` operator: Unicode simple folding (statuses C and S
//! of `CaseFolding.txt`), which keeps the number of characters. The circuit
//! folds ASCII only, so Unicode folding is reached for literals alone.

/// `text` with every character folded.
pub(crate) fn fold(text: &str) -> String {
    text.chars().map(fold_char).collect()
}

fn fold_char(c: char) -> char {
    unicode_case_mapping::case_folded(c)
        .and_then(|folded| char::from_u32(folded.get()))
        .unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn folds_simply() {
        for (text, expected) in [
            ("Hello World 1", "hello world 1"),
            ("ÉÀ", "éà"),
            ("ΑΣς", "ασσ"),
            ("ẞ", "ß"),
            // Full folding would make `ss`; simple folding keeps the length.
            ("straße", "straße"),
            // U+212A KELVIN SIGN folds to an ASCII letter.
            ("\u{212A}", "k"),
            ("İ", "İ"),
            ("日本", "日本"),
        ] {
            assert_eq!(fold(text), expected, "{text}");
        }
    }

    #[test]
    fn agrees_with_ascii_lower_case_on_ascii() {
        let ascii: String = (0..128u8).map(char::from).collect();
        assert_eq!(fold(&ascii), ascii.to_ascii_lowercase());
    }
}
