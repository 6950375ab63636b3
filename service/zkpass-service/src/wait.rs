//! How long a client is willing to wait: `Prefer: wait=N` and `?wait=N`.

use std::time::Duration;

use axum::http::HeaderMap;

/// Reads the `wait` preference of RFC 7240, capped at `limit`.
///
/// Preferences that are unknown or malformed are ignored, as section 2 of the
/// RFC asks; the first `wait` counts.
pub(crate) fn preferred_wait(headers: &HeaderMap, limit: Duration) -> Option<Duration> {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|preference| {
            // Parameters after `;` belong to the preference, not to us.
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=')?;
            name.trim().eq_ignore_ascii_case("wait").then_some(value)
        })
        .and_then(|value| seconds(value.trim().trim_matches('"')))
        .map(|wait| wait.min(limit))
}

/// Reads `?wait=N`, capped at `limit`: nothing there is no wait, anything but
/// a number is `None`.
pub(crate) fn query_wait(query: Option<&str>, limit: Duration) -> Option<Duration> {
    let Some(value) = query
        .unwrap_or_default()
        .split('&')
        .find_map(|pair| pair.strip_prefix("wait="))
    else {
        return Some(Duration::ZERO);
    };
    seconds(value).map(|wait| wait.min(limit))
}

fn seconds(text: &str) -> Option<Duration> {
    // `u32::from_str` alone would accept a leading plus sign.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| text.parse::<u32>().unwrap_or(u32::MAX))
        .map(|seconds| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn prefer_header() {
        let cases: &[(&[&str], Option<u64>)] = &[
            (&[], None),
            (&["wait=10"], Some(10)),
            (&["respond-async, wait=10"], Some(10)),
            (&["respond-async", "Wait = 10"], Some(10)),
            (&["wait=\"10\"; foo=bar"], Some(10)),
            (&["wait=10, wait=20"], Some(10)),
            (&["wait=99999999999999999999"], Some(60)),
            (&["wait=-1"], None),
            (&["wait=+1"], None),
            (&["wait="], None),
            (&["waiter=1"], None),
        ];
        for (values, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in *values {
                headers.append("prefer", value.parse().unwrap());
            }
            let got = preferred_wait(&headers, LIMIT).map(|wait| wait.as_secs());
            assert_eq!(got, *expected, "{values:?}");
        }
    }

    #[test]
    fn query_string() {
        let cases = [
            (None, Some(0)),
            (Some(""), Some(0)),
            (Some("a=b"), Some(0)),
            (Some("wait=7"), Some(7)),
            (Some("a=b&wait=700"), Some(60)),
            (Some("wait="), None),
            (Some("wait=x"), None),
            (Some("wait=1.5"), None),
        ];
        for (query, expected) in cases {
            let got = query_wait(query, LIMIT).map(|wait| wait.as_secs());
            assert_eq!(got, expected, "{query:?}");
        }
    }
}
