//! Calendar dates of the proleptic Gregorian calendar, years 1 to 9999.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A day that exists in the Gregorian calendar, with a year from 1 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    // Declared in this order so that the derived order is the calendar's.
    year: u16,
    month: u8,
    day: u8,
}

/// Day number of 1970-01-01.
const UNIX_EPOCH_DAY: i64 = 719_163;
/// Day number of 9999-12-31.
const LAST_DAY: i64 = 3_652_059;
const SECONDS_PER_DAY: i64 = 86_400;

impl Date {
    /// The date, if the calendar has it.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let valid = (1..=9999).contains(&year) && day >= 1 && day <= days_in_month(year, month);
        valid.then_some(Self { year, month, day })
    }

    /// The year, 1 to 9999.
    pub fn year(self) -> u16 {
        self.year
    }

    /// The month, 1 to 12.
    pub fn month(self) -> u8 {
        self.month
    }

    /// The day of the month, 1 to 31.
    pub fn day(self) -> u8 {
        self.day
    }

    /// Days since 0000-12-31, so that 0001-01-01 is 1.
    pub fn day_number(self) -> i64 {
        let before = i64::from(self.year) - 1;
        let months: i64 = (1..self.month)
            .map(|month| i64::from(days_in_month(self.year, month)))
            .sum();
        365 * before + before / 4 - before / 100 + before / 400 + months + i64::from(self.day)
    }

    /// The date with this [`day_number`](Self::day_number).
    pub fn from_day_number(number: i64) -> Option<Self> {
        if !(1..=LAST_DAY).contains(&number) {
            return None;
        }
        // 400 years are 146097 days, so the quotient is within one year of the
        // answer; two more is never too early.
        let estimate = u16::try_from((number * 400) / 146_097 + 2).ok()?;
        let first = |year| Self::new(year, 1, 1);
        let mut year = estimate.min(9999);
        while first(year)?.day_number() > number {
            year -= 1;
        }
        let mut rest = number - first(year)?.day_number() + 1;
        let mut month = 1;
        while rest > i64::from(days_in_month(year, month)) {
            rest -= i64::from(days_in_month(year, month));
            month += 1;
        }
        Self::new(year, month, u8::try_from(rest).ok()?)
    }

    /// The UTC date of a Unix time, if its year is in range.
    pub fn from_unix_seconds(seconds: i64) -> Option<Self> {
        Self::from_day_number(seconds.div_euclid(SECONDS_PER_DAY) + UNIX_EPOCH_DAY)
    }

    /// Reads exactly `YYYY-MM-DD`.
    pub fn parse_iso(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || (year.len(), month.len(), day.len()) != (4, 2, 2) {
            return None;
        }
        // `parse` alone would accept a leading plus sign.
        if !text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-')
        {
            return None;
        }
        Self::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
    }

    /// Whole years from this date to `as_of`; `None` when `as_of` is earlier.
    ///
    /// Someone born on 29 February has a birthday on 1 March in other years.
    pub fn age_at(self, as_of: Self) -> Option<i64> {
        if as_of < self {
            return None;
        }
        let years = i64::from(as_of.year) - i64::from(self.year);
        let birthday_to_come = (as_of.month, as_of.day) < (self.month, self.day);
        Some(years - i64::from(birthday_to_come))
    }

    /// Calendar days from this date to `other`; negative when `other` is earlier.
    pub fn days_until(self, other: Self) -> i64 {
        other.day_number() - self.day_number()
    }
}

/// Zero for a month that does not exist.
fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 0,
    }
}

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse_iso(&text).ok_or_else(|| de::Error::custom("expected a date as YYYY-MM-DD"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn date(text: &str) -> Date {
        Date::parse_iso(text).unwrap()
    }

    #[test]
    fn accepts_exactly_the_days_of_the_calendar() {
        for (year, month, day, exists) in [
            (2024, 2, 29, true),
            (2023, 2, 29, false),
            (1900, 2, 29, false),
            (2000, 2, 29, true),
            (2023, 4, 31, false),
            (2023, 12, 31, true),
            (2023, 0, 1, false),
            (2023, 13, 1, false),
            (2023, 1, 0, false),
            (0, 1, 1, false),
            (1, 1, 1, true),
            (9999, 12, 31, true),
            (10000, 1, 1, false),
        ] {
            assert_eq!(
                Date::new(year, month, day).is_some(),
                exists,
                "{year}-{month}-{day}"
            );
        }
    }

    #[test]
    fn reads_only_the_iso_form() {
        for text in [
            "2024-1-01",
            "24-01-01",
            "2024/01/01",
            "2024-01-01 ",
            " 2024-01-01",
            "+024-01-01",
            "2024-01-+1",
            "2024-01",
            "2024-01-01-",
            "",
            "２０２４-01-01",
            "02024-01-01",
        ] {
            assert_eq!(Date::parse_iso(text), None, "{text}");
        }
        assert_eq!(date("2024-02-29").to_string(), "2024-02-29");
        assert_eq!(date("0001-01-01").to_string(), "0001-01-01");
    }

    #[test]
    fn day_numbers_are_anchored() {
        assert_eq!(date("0001-01-01").day_number(), 1);
        assert_eq!(date("1970-01-01").day_number(), UNIX_EPOCH_DAY);
        assert_eq!(date("9999-12-31").day_number(), LAST_DAY);
        assert_eq!(Date::from_day_number(0), None);
        assert_eq!(Date::from_day_number(LAST_DAY + 1), None);
        assert_eq!(Date::from_day_number(i64::MAX), None);
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = Date::from_day_number(1).unwrap();
        for number in 2..=LAST_DAY {
            let day = Date::from_day_number(number).unwrap();
            assert_eq!(day.day_number(), number);
            assert!(day > before);
            before = day;
        }
    }

    #[test]
    fn unix_seconds_give_the_utc_date() {
        for (seconds, text) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (86_400, "1970-01-02"),
            (-1, "1969-12-31"),
            (1_739_404_800, "2025-02-13"),
            (951_782_400, "2000-02-29"),
        ] {
            assert_eq!(
                Date::from_unix_seconds(seconds),
                Some(date(text)),
                "{seconds}"
            );
        }
        assert_eq!(Date::from_unix_seconds(i64::MIN), None);
        assert_eq!(Date::from_unix_seconds(i64::MAX), None);
    }

    #[test]
    fn age_counts_whole_years() {
        for (born, as_of, age) in [
            ("2000-02-13", "2025-02-13", Some(25)),
            ("2000-02-14", "2025-02-13", Some(24)),
            ("2004-02-29", "2025-02-28", Some(20)),
            ("2004-02-29", "2025-03-01", Some(21)),
            ("2004-02-29", "2024-02-29", Some(20)),
            ("2025-02-13", "2025-02-13", Some(0)),
            ("2025-02-14", "2025-02-13", None),
            ("2030-01-01", "2025-02-13", None),
        ] {
            assert_eq!(date(born).age_at(date(as_of)), age, "{born} at {as_of}");
        }
    }

    #[test]
    fn serde_form_is_the_iso_string() {
        let text = serde_json::to_string(&date("2025-02-13")).unwrap();
        assert_eq!(text, "\"2025-02-13\"");
        assert_eq!(
            serde_json::from_str::<Date>(&text).unwrap(),
            date("2025-02-13")
        );
        assert!(serde_json::from_str::<Date>("\"2025-02-30\"").is_err());
        assert!(serde_json::from_str::<Date>("20250213").is_err());
    }

    proptest! {
        #[test]
        fn print_then_parse_returns_the_date(number in 1..=LAST_DAY) {
            let date = Date::from_day_number(number).unwrap();
            prop_assert_eq!(Date::parse_iso(&date.to_string()), Some(date));
        }

        #[test]
        fn parse_never_panics(text in ".{0,16}") {
            let _ = Date::parse_iso(&text);
        }
    }
}
