//! Words of the command line that are more than text.

use std::str::FromStr;

use clap::ValueEnum;
use zkpass_core::date::Date;

use crate::args::ProfileArg;
use crate::files::TaggedText;

/// A point in time, as the command line writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Seconds since 1970.
    Unix(i64),
    /// Seconds from now.
    FromNow(i64),
}

impl Moment {
    /// Seconds since 1970, given the present.
    pub fn unix_seconds(self, now: i64) -> i64 {
        match self {
            Self::Unix(seconds) => seconds,
            Self::FromNow(seconds) => now.saturating_add(seconds),
        }
    }
}

/// Reads `1780300800`, `90s`, `30m`, `12h` or `7d`.
pub fn moment(text: &str) -> Result<Moment, String> {
    let wrong = || "expected seconds since 1970, or a span such as `30m`, `12h`, `7d`".to_owned();
    if let Ok(seconds) = text.parse() {
        return Ok(Moment::Unix(seconds));
    }
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let count: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    Ok(Moment::FromNow(i64::from(count) * unit))
}

/// Reads a calendar date.
pub fn date(text: &str) -> Result<Date, String> {
    Date::parse_iso(text).ok_or_else(|| "expected an existing date as YYYY-MM-DD".to_owned())
}

/// Reads `PROFILE` or `TAG=PROFILE`.
pub fn tagged_profile(text: &str) -> Result<(String, ProfileArg), String> {
    let TaggedText { tag, text } = TaggedText::from_str(text)?;
    let profile = ProfileArg::from_str(&text, false)
        .map_err(|_| "expected the profile `zkpass` or `jwt`".to_owned())?;
    Ok((tag, profile))
}

/// Bytes written in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

/// Reads hexadecimal of any even length, in either case.
pub fn hex_bytes(text: &str) -> Result<Bytes, String> {
    let wrong = || "expected bytes in hexadecimal".to_owned();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let digits = text.bytes().map(digit).collect::<Option<Vec<u32>>>();
    let digits = digits.filter(|digits| digits.len() % 2 == 0);
    let pairs = digits.ok_or_else(wrong)?;
    let bytes = pairs.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    });
    bytes.collect::<Option<_>>().map(Bytes).ok_or_else(wrong)
}

/// Reads a SHA-256 fingerprint in hexadecimal.
pub fn fingerprint(text: &str) -> Result<[u8; 32], String> {
    let bytes = hex_bytes(text)?.0;
    bytes
        .try_into()
        .map_err(|_| "expected a SHA-256 fingerprint: 64 hexadecimal digits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!(moment("1780300800"), Ok(Moment::Unix(1_780_300_800)));
        assert_eq!(moment("-5"), Ok(Moment::Unix(-5)));
        assert_eq!(moment("30m"), Ok(Moment::FromNow(1800)));
        assert_eq!(moment("7d"), Ok(Moment::FromNow(604_800)));
        for wrong in ["", "m", "1.5h", "-3m", "3 m", "soon", "5ü"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Moment::FromNow(5).unix_seconds(i64::MAX), i64::MAX);
    }

    #[test]
    fn hexadecimal() {
        assert_eq!(hex_bytes("0aFF"), Ok(Bytes(vec![0x0a, 0xff])));
        assert_eq!(hex_bytes(""), Ok(Bytes(Vec::new())));
        for wrong in ["0", "0g", "0x00", " 00", "ïï"] {
            assert!(hex_bytes(wrong).is_err(), "{wrong}");
        }
        assert_eq!(fingerprint(&"11".repeat(32)), Ok([0x11; 32]));
        assert!(fingerprint("11").is_err());
    }

    #[test]
    fn dates_and_profiles() {
        assert!(date("2024-02-29").is_ok());
        assert!(date("2023-02-29").is_err());
        assert_eq!(
            tagged_profile("bank=jwt"),
            Ok(("bank".to_owned(), ProfileArg::Jwt))
        );
        assert_eq!(
            tagged_profile("zkpass"),
            Ok((String::new(), ProfileArg::Zkpass))
        );
        assert!(tagged_profile("bank=").is_err());
    }
}
