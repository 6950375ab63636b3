//! Text that somebody else wrote, in messages for people.

use std::fmt::{self, Write as _};

/// Characters that are shown at most.
const MAX_CHARACTERS: usize = 200;

/// The beginning of a text without control characters: a terminal would obey them.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(MAX_CHARACTERS) {
            f.write_char(match character.is_control() {
                true => char::REPLACEMENT_CHARACTER,
                false => character,
            })?;
        }
        match characters.next() {
            Some(_) => f.write_str("..."),
            None => Ok(()),
        }
    }
}
