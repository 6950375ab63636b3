//! Dates as they are written in user data.

use crate::ast::DateFormat;
use zkpass_core::date::Date;

/// The format with this name.
pub(crate) fn format_named(name: &str) -> Option<DateFormat> {
    match name {
        "DD/MM/YYYY" => Some(DateFormat::DayMonthYear),
        "MM/DD/YYYY" => Some(DateFormat::MonthDayYear),
        "YYYY-MM-DD" => Some(DateFormat::YearMonthDay),
        _ => None,
    }
}

/// Reads a date; see [`DateFormat`] for what is accepted. `None`: it is not
/// written in the format, or does not exist.
pub(crate) fn parse_date(text: &str, format: DateFormat) -> Option<Date> {
    let separator = text.chars().find(|c| matches!(c, '/' | '-' | '.'))?;
    let mut parts = text.split(separator);
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (year, month, day) = match format {
        DateFormat::DayMonthYear => (third, second, first),
        DateFormat::MonthDayYear => (third, first, second),
        DateFormat::YearMonthDay => (first, second, third),
    };
    Date::new(
        digits(year, 4..=4)?,
        u8::try_from(digits(month, 1..=2)?).ok()?,
        u8::try_from(digits(day, 1..=2)?).ok()?,
    )
}

fn digits(text: &str, length: std::ops::RangeInclusive<usize>) -> Option<u16> {
    // `parse` alone would accept a sign.
    let plain = length.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use DateFormat::{DayMonthYear, MonthDayYear, YearMonthDay};

    #[test]
    fn accepted() {
        for (format, text, expected) in [
            (DayMonthYear, "13/02/2000", "2000-02-13"),
            (DayMonthYear, "1.2.2000", "2000-02-01"),
            (DayMonthYear, "1-02-2000", "2000-02-01"),
            (DayMonthYear, "29/02/2000", "2000-02-29"),
            (DayMonthYear, "31/12/9999", "9999-12-31"),
            (DayMonthYear, "1/1/0001", "0001-01-01"),
            (MonthDayYear, "01/31/1980", "1980-01-31"),
            (YearMonthDay, "2000-2-1", "2000-02-01"),
            (YearMonthDay, "2000/02/01", "2000-02-01"),
        ] {
            let date = parse_date(text, format).unwrap();
            assert_eq!(date.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn refused() {
        for (format, text) in [
            (DayMonthYear, ""),
            (DayMonthYear, "13/02/00"),
            (DayMonthYear, "13/02/20000"),
            (DayMonthYear, "13-2/2000"),
            (DayMonthYear, "13,02,2000"),
            (DayMonthYear, "+1/02/2000"),
            (DayMonthYear, "001/02/2000"),
            (DayMonthYear, " 1/02/2000"),
            (DayMonthYear, "1/02/2000 "),
            (DayMonthYear, "1/02/2000/"),
            (DayMonthYear, "/02/2000"),
            (DayMonthYear, "01//2000"),
            (DayMonthYear, "01/022000"),
            (DayMonthYear, "aa/02/2000"),
            (DayMonthYear, "٣/02/2000"),
            (DayMonthYear, "29/02/1900"),
            (DayMonthYear, "31/04/2000"),
            (DayMonthYear, "00/01/2000"),
            (DayMonthYear, "01/00/2000"),
            (DayMonthYear, "01/01/0000"),
            (DayMonthYear, "2000-02-01"),
            (MonthDayYear, "31/01/1980"),
            (YearMonthDay, "01/02/2000"),
            (YearMonthDay, "20000201"),
        ] {
            assert_eq!(parse_date(text, format), None, "{text}");
        }
    }
}
