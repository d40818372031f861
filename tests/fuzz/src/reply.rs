//! No reply of Perseus acknowledges a record that it names, or that it may have named before it was cut short.

use std::collections::HashMap;

use perseus_forwarder::perseus::{
    reply::{Verdict, verdict},
    retry_after::retry_after,
};
use reqwest::{
    StatusCode,
    header::{HeaderMap, HeaderValue, RETRY_AFTER},
};
use serde_json::{Value, value::RawValue};

use crate::{
    entries::{entries, field},
    record::text,
};

const IDS: [&str; 3] = ["a", "b", "c"];

/// Up to this length, each reply is also cut short at every byte.
const SHORT: usize = 256;

/// Uses the input as the body of a reply, and as the value of `Retry-After`.
pub fn check(body: &[u8]) {
    let verdicts = [false, true].map(|must_tell| verdict(body, &IDS, must_tell));
    if let Some(model) = model(body) {
        assert_eq!(verdicts, model);
    }
    let [lenient, strict] = verdicts;
    if let Verdict::Refused(refused) = &lenient {
        assert!(!refused.is_empty());
        assert!(refused.keys().all(|id| IDS.contains(&id.as_str())));
        // If no ids were sent, none can be matched.
        assert!(matches!(verdict(body, &[], false), Verdict::Unknown(_)));
    }
    // The strict mode never acknowledges more.
    assert!(strict == lenient || (lenient == Verdict::Accepted && matches!(strict, Verdict::Unknown(_))));
    check_cuts(body);
    check_retry_after(body);
}

/// The verdicts without and with `must_tell`, computed with serde_json. None if serde_json cannot hold the reply.
fn model(body: &[u8]) -> Option<[Verdict; 2]> {
    let text = trimmed(body);
    let unreadable = || Verdict::Unknown("a reply that cannot be read");
    let untold = || Verdict::Unknown("a reply without batchItemFailures");
    let might_name = text.windows(17).any(|part| part == b"batchItemFailures");
    let Ok(value) = serde_json::from_slice::<Value>(text) else {
        // It may be cut short, nested too deeply, or not JSON.
        let is_json = matches!(text.first(), Some(b'{' | b'['));
        return (!is_json)
            .then(|| if might_name { [unreadable(), unreadable()] } else { [Verdict::Accepted, untold()] });
    };
    let Value::Object(_) = value else {
        // A list or a string says nothing unless it contains the name.
        return Some(if might_name { [unreadable(), unreadable()] } else { [Verdict::Accepted, untold()] });
    };
    let fields = entries(std::str::from_utf8(text).ok()?)?;
    Some(match field(&fields, "batchItemFailures") {
        Some(None) if might_name => [unreadable(), unreadable()],
        Some(None | Some("null")) => [Verdict::Accepted, untold()],
        failures => {
            let verdict = || failures.flatten().and_then(refused).unwrap_or_else(unreadable);
            [verdict(), verdict()]
        }
    })
}

/// The verdict of a list of failures. None if it cannot be read.
fn refused(failures: &str) -> Option<Verdict> {
    let failures: Vec<&RawValue> = serde_json::from_str(failures).ok()?;
    let mut refused = HashMap::new();
    let mut is_known = true;
    for failure in failures {
        let fields = entries(failure.get())?;
        let id = text(field(&fields, "itemIdentifier")??)?;
        let retryable = match field(&fields, "retryable")? {
            None | Some("null" | "true") => true,
            Some("false") => false,
            Some(_) => return None,
        };
        is_known &= IDS.contains(&id.as_str());
        *refused.entry(id).or_insert(true) &= retryable;
    }
    Some(match refused.is_empty() {
        true => Verdict::Accepted,
        false if is_known => Verdict::Refused(refused),
        false => Verdict::Unknown("a reply that names an id that was not sent"),
    })
}

fn trimmed(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii()
}

/// A reply that was cut short acknowledges nothing.
fn check_cuts(body: &[u8]) {
    let body = trimmed(body);
    let is_whole =
        body.len() <= SHORT && body.starts_with(b"{") && serde_json::from_slice::<Value>(body).is_ok();
    for cut in 1..if is_whole { body.len() } else { 0 } {
        assert!(matches!(verdict(&body[..cut], &IDS, false), Verdict::Unknown(_)), "{cut}");
    }
}

fn check_retry_after(value: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(value) else { return };
    let headers = HeaderMap::from_iter([(RETRY_AFTER, value)]);
    for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
        let _ = retry_after(status, &headers, std::time::UNIX_EPOCH);
    }
    assert_eq!(retry_after(StatusCode::OK, &headers, std::time::UNIX_EPOCH), None);
}
