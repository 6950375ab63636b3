//! The clock of the caller's machine.

use std::time::{SystemTime, UNIX_EPOCH};

use zkpass_core::date::Date;

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> i64 {
    // A clock before 1970 is a clock that was never set.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
}

/// Today's date in UTC.
pub(crate) fn today() -> Option<Date> {
    Date::from_unix_seconds(unix_seconds())
}
