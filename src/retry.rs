//! What to do with a status, when to try again. Without I/O.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use reqwest::{
    StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};

/// What a status asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// All accepted, unless the reply says otherwise.
    Accept,
    /// As the reply says, record by record.
    Read,
    /// Try again later.
    Again,
    /// Something in the batch is at fault: find it by halves.
    Split,
    /// The set-up is wrong: send nothing more.
    Stop(Misconfigured),
}

/// What is wrong with the set-up, told from a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misconfigured(StatusCode);

impl Misconfigured {
    /// The status that told it.
    pub fn status(self) -> u16 {
        self.0.as_u16()
    }

    /// The settings to look at; `credentials` are those with which the function shows who it is.
    pub fn look_at(self, credentials: &str) -> &str {
        match self.0.as_u16() {
            401 | 403 | 407 => credentials,
            406 | 415 => "BATCH_FORMAT and PERSEUS_COMPRESSION",
            411 | 417 | 426 | 428 | 431 | 505 => {
                "PERSEUS_URL (what answers there does not take this function's requests)"
            }
            300..=399 => "PERSEUS_URL (it redirects, and redirects are not followed)",
            _ => "PERSEUS_URL",
        }
    }
}

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.0.as_u16())
    }
}

/// What `status` asks for. A status that no one defined is treated like a 500: nothing is taken for
/// acknowledged that might not be.
pub fn action(status: StatusCode) -> Action {
    match status.as_u16() {
        200 | 201 | 202 | 204 => Action::Accept,
        207 => Action::Read,
        // 409: a request with this key is still being worked on.
        408 | 409 | 425 | 429 => Action::Again,
        400 | 413 | 422 => Action::Split,
        300..=499 | 501 => Action::Stop(Misconfigured(status)),
        _ => Action::Again,
    }
}

/// Full-jitter exponential backoff
/// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The longest first delay.
    pub base: Duration,
    /// The longest delay.
    pub cap: Duration,
}

impl Backoff {
    /// The longest delay before the retry with this number, counted from 0.
    fn longest(&self, retry: u32) -> Duration {
        self.base.saturating_mul(2_u32.saturating_pow(retry)).min(self.cap)
    }

    /// A delay before the retry with this number, counted from 0, and not less than `at_least`.
    pub fn delay(&self, retry: u32, at_least: Option<Duration>) -> Duration {
        self.longest(retry).mul_f64(fastrand::f64()).max(at_least.unwrap_or_default())
    }
}

/// The delay that a reply asks for, in seconds or until a date; `now` is the wall clock.
///
/// None if it asks for none, or in words that no one defined. It counts on 429 and 503 alone: elsewhere it is a
/// proxy's, or means something else.
pub fn retry_after(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return None;
    }
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than a u64 has are a long time, not nonsense.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn each_status_has_the_meaning_of_the_contract() {
        for status in 100..=999 {
            let status = StatusCode::from_u16(status).unwrap();
            let expected = match status.as_u16() {
                200 | 201 | 202 | 204 => Action::Accept,
                207 => Action::Read,
                400 | 413 | 422 => Action::Split,
                408 | 409 | 425 | 429 | 500 | 502 | 503 | 504 => Action::Again,
                401 | 403 | 404 | 405 | 501 => Action::Stop(Misconfigured(status)),
                300..=399 | 402 | 406 | 407 | 410..=499 => Action::Stop(Misconfigured(status)),
                505..=599 => Action::Again,
                // Not in the contract: nothing is acknowledged.
                _ => Action::Again,
            };
            assert_eq!(action(status), expected, "{status}");
        }
    }

    #[test]
    fn a_wrong_set_up_names_the_setting() {
        for (status, setting) in [
            (401, "CREDENTIALS"),
            (403, "CREDENTIALS"),
            (404, "PERSEUS_URL"),
            (405, "PERSEUS_URL"),
            (501, "PERSEUS_URL"),
            (302, "PERSEUS_URL"),
            (406, "BATCH_FORMAT and PERSEUS_COMPRESSION"),
            (407, "CREDENTIALS"),
            (411, "does not take this function's requests"),
            (415, "BATCH_FORMAT and PERSEUS_COMPRESSION"),
            (418, "PERSEUS_URL"),
            (426, "does not take this function's requests"),
            (307, "redirects are not followed"),
        ] {
            let Action::Stop(wrong) = action(StatusCode::from_u16(status).unwrap()) else {
                panic!("{status}")
            };
            assert!(wrong.look_at("CREDENTIALS").contains(setting), "{status}");
        }
    }

    #[test]
    fn backoff_doubles_up_to_its_cap() {
        let backoff = Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(5) };
        let longest: Vec<_> = (0..8).map(|retry| backoff.longest(retry).as_millis()).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(backoff.longest(u32::MAX), backoff.cap);
    }

    #[test]
    fn jitter_is_full() {
        fastrand::seed(7);
        let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(1) };
        let delays: Vec<_> = (0..1_000).map(|_| backoff.delay(0, None)).collect();
        assert!(delays.iter().all(|delay| *delay <= backoff.cap));
        assert!(delays.iter().any(|delay| *delay < backoff.cap / 10));
        assert!(delays.iter().any(|delay| *delay > backoff.cap * 9 / 10));
    }

    #[test]
    fn a_delay_is_at_least_what_was_asked_for() {
        let backoff = Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(1) };
        assert_eq!(backoff.delay(9, Some(Duration::from_secs(7))), Duration::from_secs(7));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_700);
        for (value, delay) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(77)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(77)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("soon", None),
            ("1.5", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            for status in [429, 503].map(|status| StatusCode::from_u16(status).unwrap()) {
                assert_eq!(retry_after(status, &headers, now), delay.map(Duration::from_secs), "{value:?}");
            }
        }
        assert_eq!(retry_after(StatusCode::SERVICE_UNAVAILABLE, &HeaderMap::new(), now), None);
    }

    #[test]
    fn retry_after_counts_on_429_and_503_alone() {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]);
        let counts = |status: &u16| {
            retry_after(StatusCode::from_u16(*status).unwrap(), &headers, UNIX_EPOCH).is_some()
        };
        assert_eq!((100..=999).filter(counts).collect::<Vec<_>>(), [429, 503]);
    }
}
