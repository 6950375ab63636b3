//! The present, read here only: everything below takes it as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

use zkpass_core::date::Date;

use crate::failure::Failure;

/// Seconds since 1970.
pub fn now() -> Result<i64, Failure> {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .ok_or_else(wrong)
}

/// The date in UTC.
pub fn today() -> Result<Date, Failure> {
    Date::from_unix_seconds(now()?).ok_or_else(wrong)
}

fn wrong() -> Failure {
    Failure::system("the system clock is not set".to_owned())
}
