//! Dates in strings, ages and day differences.

use crate::builder::{Builder, Lc};
use crate::field::{F, from_i64, low_u64, pow2};
use crate::gadgets::values::{less_than, token_bytes};
use bellpepper_core::ConstraintSystem;
use ff::Field;
use zkpass_query::ast::DateFormat;

/// Days of the months of a common year.
const MONTH_DAYS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// A valid Gregorian date.
pub(crate) struct Date {
    year: Lc,
    month: Lc,
    day: Lc,
    month_flags: Vec<Lc>,
    leap: Lc,
}

/// The date of evaluation, public.
pub(crate) struct AsOf {
    pub(crate) year: Lc,
    pub(crate) month: Lc,
    pub(crate) day: Lc,
    pub(crate) day_number: Lc,
}

/// A text every format can stand in for where no date is needed.
pub(crate) fn default_text(format: DateFormat) -> &'static str {
    match format {
        DateFormat::DayMonthYear | DateFormat::MonthDayYear => "01/01/2000",
        DateFormat::YearMonthDay => "2000/01/01",
    }
}

/// Decimal fields and separator of a date text, for the witness.
struct Parts {
    separator: u8,
    fields: [Vec<u8>; 3],
}

fn native(token: &[u8]) -> Parts {
    let separator = token
        .iter()
        .copied()
        .find(|c| matches!(c, b'/' | b'-' | b'.'))
        .unwrap_or(b'/');
    let mut fields = token.split(|c| *c == separator).map(<[u8]>::to_vec);
    let mut next = || fields.next().unwrap_or_default();
    Parts {
        separator,
        fields: [next(), next(), next()],
    }
}

/// The date a string spells.
///
/// Relation: `limb` is the register of a quoted token of one limb that spells a
/// date in `format` (day and month in one or two digits, year in four, one of
/// three separators twice), and the date exists in the Gregorian calendar.
/// About 125 constraints.
pub(crate) fn parse<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    limb: &Lc,
    format: DateFormat,
) -> Date {
    let token = token_bytes(&[limb.value()])
        .map(|t| t.0)
        .unwrap_or_default();
    let parts = native(&token);
    let separators = [b'/', b'-', b'.'];
    let chosen = separators.iter().position(|s| *s == parts.separator);
    let flags = b.one_hot(3, chosen.unwrap_or(0));
    let separator = b.sum(
        flags
            .iter()
            .zip(separators)
            .map(|(f, s)| (F::from(u64::from(s)), f)),
    );
    let [first, second, third] = &parts.fields;
    let mut text = b.one();
    let (year, month, day) = match format {
        DateFormat::YearMonthDay => {
            let y = year_field(b, &mut text, first);
            push(b, &mut text, &separator);
            let m = short_field(b, &mut text, second);
            push(b, &mut text, &separator);
            let d = short_field(b, &mut text, third);
            (y, m, d)
        }
        DateFormat::DayMonthYear | DateFormat::MonthDayYear => {
            let x = short_field(b, &mut text, first);
            push(b, &mut text, &separator);
            let y = short_field(b, &mut text, second);
            push(b, &mut text, &separator);
            let year = year_field(b, &mut text, third);
            if format == DateFormat::DayMonthYear {
                (year, y, x)
            } else {
                (year, x, y)
            }
        }
    };
    b.accumulate(&mut text, pow2(250), &b.one());
    b.equal(&text, limb);
    validate(b, year, month, day)
}

fn push<CS: ConstraintSystem<F>>(b: &Builder<'_, CS>, text: &mut Lc, character: &Lc) {
    let shifted = b.scale(text, F::from(256));
    *text = b.add(&shifted, character);
}

/// A decimal digit in `bits` bits and its character.
fn digit<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    character: Option<&u8>,
    width: usize,
) -> Lc {
    let v = character.map_or(0, |c| c.wrapping_sub(b'0'));
    let bits: Vec<Lc> = (0..width).map(|i| b.bit((v >> i) & 1 == 1)).collect();
    if let [_, b1, b2, b3] = bits.as_slice() {
        let high = b.add(b1, b2);
        b.zero_product(b3, &high);
    }
    b.radix(F::from(2), &bits)
}

/// One or two digits; the tens digit is at most 3.
fn short_field<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    text: &mut Lc,
    native: &[u8],
) -> Lc {
    let two = b.bit(native.len() == 2);
    let tens = digit(b, native.first().filter(|_| native.len() == 2), 2);
    let ones = digit(b, native.last(), 4);
    let single = b.not(&two);
    b.zero_product(&tens, &single);
    // With two digits: text * 256 + '0' + tens, else text.
    let mut grown = b.scale(text, F::from(255));
    b.accumulate(&mut grown, F::ONE, &tens);
    b.accumulate(&mut grown, F::from(48), &b.one());
    let added = b.mul(&two, &grown);
    *text = b.add(text, &added);
    let mut character = ones.clone();
    b.accumulate(&mut character, F::from(48), &b.one());
    push(b, text, &character);
    b.sum([(F::from(10), &tens), (F::ONE, &ones)])
}

/// A year: value, century and year in the century.
struct Year {
    value: Lc,
    century: Lc,
    in_century: Lc,
}

fn year_field<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    text: &mut Lc,
    native: &[u8],
) -> Year {
    let digits: Vec<Lc> = (0..4).map(|i| digit(b, native.get(i), 4)).collect();
    for d in &digits {
        let mut character = d.clone();
        b.accumulate(&mut character, F::from(48), &b.one());
        push(b, text, &character);
    }
    let pair =
        |b: &Builder<'_, CS>, at: usize| b.radix(F::from(10), digits.iter().skip(at).take(2).rev());
    let (century, in_century) = (pair(b, 0), pair(b, 2));
    Year {
        value: b.sum([(F::from(100), &century), (F::ONE, &in_century)]),
        century,
        in_century,
    }
}

/// Enforces that year, month and day exist.
fn validate<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    year: Year,
    month: Lc,
    day: Lc,
) -> Date {
    b.nonzero(&year.value);
    let m = low_u64(month.value()) as usize;
    let month_flags = b.one_hot(12, m.saturating_sub(1).min(11));
    let sum = b.sum(month_flags.iter().zip(1u64..).map(|(f, n)| (F::from(n), f)));
    b.equal(&sum, &month);
    // Leap years: divisible by four, and centuries only by 400.
    let by_four = divisible_by_four(b, &year.in_century);
    let century_by_four = divisible_by_four(b, &year.century);
    let is_century = b.is_zero(&year.in_century);
    let leap = b.select(&is_century, &century_by_four, &by_four);
    let mut last = b.sum(
        month_flags
            .iter()
            .zip(MONTH_DAYS)
            .map(|(f, n)| (F::from(n), f)),
    );
    if let Some(february) = month_flags.get(1) {
        let extra = b.mul(february, &leap);
        b.accumulate(&mut last, F::ONE, &extra);
    }
    let room = b.sub(&last, &day);
    b.bits(&room, 5);
    let from_first = b.sub(&day, &b.one());
    b.bits(&from_first, 5);
    Date {
        year: year.value,
        month,
        day,
        month_flags,
        leap,
    }
}

/// Whether a number below 128 is a multiple of four.
fn divisible_by_four<CS: ConstraintSystem<F>>(b: &mut Builder<'_, CS>, v: &Lc) -> Lc {
    let bits = b.bits(v, 7);
    match bits.as_slice() {
        [b0, b1, ..] => {
            let either = b.or(b0, b1);
            b.not(&either)
        }
        _ => b.zero(),
    }
}

/// A date as one number that orders like the date.
fn ordinal<CS: ConstraintSystem<F>>(b: &Builder<'_, CS>, y: &Lc, m: &Lc, d: &Lc) -> Lc {
    b.sum([(F::from(512), y), (F::from(32), m), (F::ONE, d)])
}

impl Date {
    fn ordinal<CS: ConstraintSystem<F>>(&self, b: &Builder<'_, CS>) -> Lc {
        ordinal(b, &self.year, &self.month, &self.day)
    }

    /// Whole years to `as_of`, and whether the date is later than `as_of`.
    pub(crate) fn age<CS: ConstraintSystem<F>>(
        &self,
        b: &mut Builder<'_, CS>,
        as_of: &AsOf,
    ) -> (Lc, Lc) {
        let today = ordinal(b, &as_of.year, &as_of.month, &as_of.day);
        let this = self.ordinal(b);
        let future = less_than(b, &today, &this);
        let zero = b.zero();
        let today = ordinal(b, &zero, &as_of.month, &as_of.day);
        let birthday = ordinal(b, &zero, &self.month, &self.day);
        let not_yet = less_than(b, &today, &birthday);
        let mut years = b.sub(&as_of.year, &self.year);
        b.accumulate(&mut years, -F::ONE, &not_yet);
        (years, future)
    }

    /// Calendar days to `as_of`.
    pub(crate) fn days<CS: ConstraintSystem<F>>(
        &self,
        b: &mut Builder<'_, CS>,
        as_of: &AsOf,
    ) -> Lc {
        // Full years before this one, their leap days, and the day of the year.
        let before = b.sub(&self.year, &b.one());
        let mut number = b.scale(&before, F::from(365));
        for (divisor, sign) in [(4u64, 1), (100, -1), (400, 1)] {
            let quotient = divide(b, &before, divisor);
            b.accumulate(&mut number, from_i64(sign), &quotient);
        }
        let mut passed = 0;
        for (flag, days) in self.month_flags.iter().zip(MONTH_DAYS) {
            b.accumulate(&mut number, F::from(passed), flag);
            passed += days;
        }
        let after_february = b.total(self.month_flags.iter().skip(2));
        let leap_day = b.mul(&after_february, &self.leap);
        b.accumulate(&mut number, F::ONE, &leap_day);
        b.accumulate(&mut number, F::ONE, &self.day);
        b.sub(&as_of.day_number, &number)
    }

    /// Whether the date is before (else: after) a constant date.
    pub(crate) fn ordered<CS: ConstraintSystem<F>>(
        &self,
        b: &mut Builder<'_, CS>,
        before: bool,
        reference: zkpass_core::date::Date,
    ) -> Lc {
        let this = self.ordinal(b);
        let that = b.int(
            512 * u64::from(reference.year())
                + 32 * u64::from(reference.month())
                + u64::from(reference.day()),
        );
        if before {
            less_than(b, &this, &that)
        } else {
            less_than(b, &that, &this)
        }
    }
}

/// `v / divisor` rounded down, for `v` below 2^14.
fn divide<CS: ConstraintSystem<F>>(b: &mut Builder<'_, CS>, v: &Lc, divisor: u64) -> Lc {
    let native = low_u64(v.value()) & 0x3fff;
    let quotient = b.alloc(F::from(native / divisor));
    b.bits(&quotient, 12);
    let remainder = b.sub(v, &b.scale(&quotient, F::from(divisor)));
    b.bits(&remainder, 9);
    let room = b.sub(&b.int(divisor - 1), &remainder);
    b.bits(&room, 9);
    quotient
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gadgets::values::string_constant;
    use crate::testing::{Checker, forgeries, unexplained};
    use zkpass_core::date::Date as Native;

    const FORMATS: [DateFormat; 3] = [
        DateFormat::DayMonthYear,
        DateFormat::MonthDayYear,
        DateFormat::YearMonthDay,
    ];

    fn build(b: &mut Builder<'_, Checker>, text: &str, format: DateFormat, now: Native) -> Vec<Lc> {
        let limb = b.constant(string_constant(text)[0]);
        let as_of = AsOf {
            year: b.int(u64::from(now.year())),
            month: b.int(u64::from(now.month())),
            day: b.int(u64::from(now.day())),
            day_number: b.constant(from_i64(now.day_number())),
        };
        let date = parse(b, &limb, format);
        let (age, future) = date.age(b, &as_of);
        let days = date.days(b, &as_of);
        let before = date.ordered(b, true, now);
        vec![age, future, days, before]
    }

    fn write(d: Native, format: DateFormat, separator: char) -> String {
        let (y, m, d) = (d.year(), d.month(), d.day());
        let s = separator;
        match format {
            DateFormat::DayMonthYear => format!("{d}{s}{m:02}{s}{y:04}"),
            DateFormat::MonthDayYear => format!("{m:02}{s}{d:02}{s}{y:04}"),
            DateFormat::YearMonthDay => format!("{y:04}{s}{m}{s}{d:02}"),
        }
    }

    #[test]
    fn agrees_with_the_native_calendar() {
        let now = Native::new(2024, 2, 29).unwrap();
        let last = Native::new(9999, 12, 31).unwrap().day_number();
        // Month ends of leap and common years, and a walk through all years.
        let mut days: Vec<i64> = (1..=last).step_by(19_997).collect();
        for (y, m, d) in [
            (1900, 2, 28),
            (2000, 2, 29),
            (2024, 2, 28),
            (2024, 3, 1),
            (2023, 12, 31),
        ] {
            days.push(Native::new(y, m, d).unwrap().day_number());
        }
        for (i, n) in days.into_iter().enumerate() {
            let date = Native::from_day_number(n).unwrap();
            let format = FORMATS[i % 3];
            let text = write(date, format, ['/', '-', '.'][i % 3]);
            let mut out = vec![];
            let cs = Checker::build(|b| out = build(b, &text, format, now));
            assert!(cs.satisfied(), "{text}");
            let values: Vec<F> = out.iter().map(Lc::value).collect();
            let expected_age = date.age_at(now);
            assert_eq!(
                values[1],
                crate::field::from_bool(expected_age.is_none()),
                "{text}"
            );
            if let Some(age) = expected_age {
                assert_eq!(values[0], from_i64(age), "{text}");
            }
            assert_eq!(values[2], from_i64(date.days_until(now)), "{text}");
            assert_eq!(values[3], crate::field::from_bool(date < now), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_date() {
        let now = Native::new(2024, 2, 29).unwrap();
        let text = |t: &str, f| !Checker::build(|b| drop(build(b, t, f, now))).satisfied();
        for bad in [
            "",
            "2000",
            "2000-1",
            "2000-01-32",
            "2000-02-30",
            "2001-02-29",
            "2100-02-29",
            "2000-00-10",
            "2000-13-10",
            "2000-10-00",
            "0000-10-10",
            "2000/10-10",
            "2000,10,10",
            "200-10-10",
            "20000-10-10",
            "2000-010-10",
            "2000-10-010",
            "2000-1a-10",
            "2000-10-1 ",
            " 2000-10-10",
            "2000-10-10T",
            "+200-10-10",
        ] {
            assert!(text(bad, DateFormat::YearMonthDay), "{bad}");
        }
        assert!(!text("2000-10-10", DateFormat::YearMonthDay));
        assert!(text("31/12/2000", DateFormat::MonthDayYear));
        assert!(!text("31/12/2000", DateFormat::DayMonthYear));
    }

    #[test]
    fn cannot_be_forged() {
        let now = Native::new(2024, 2, 29).unwrap();
        for (text, format) in [
            ("29/02/2000", DateFormat::DayMonthYear),
            ("1.3.1900", DateFormat::MonthDayYear),
            ("9999-12-31", DateFormat::YearMonthDay),
        ] {
            let found = forgeries(|b| build(b, text, format, now));
            assert!(found.is_empty(), "{text}: {found:?}");
            let mut cs = Checker::build(|b| drop(build(b, text, format, now)));
            let free = cs.free_variables();
            assert!(unexplained(&free).is_empty(), "{text}: {free:?}");
        }
    }

    #[test]
    fn constraint_count() {
        let now = Native::new(2024, 2, 29).unwrap();
        let counts = FORMATS
            .map(|f| Checker::build(|b| drop(build(b, default_text(f), f, now))).constraints());
        // Parsing, two comparisons for the age, three divisions for the days,
        // and one comparison with a constant.
        assert_eq!(counts, [392, 392, 392]);
    }
}
