//! A record's body is posted as the JSON value that it contains, otherwise as a JSON string.

use std::borrow::Cow;

use perseus_forwarder::{
    decode::{event::Envelope, record::encode},
    value::format::BatchFormat,
};

use crate::record::{expected, is_json};

/// Uses the input as the text of a body, and as the raw string of a body if it is a valid one.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    check_body(&serde_json::to_string(text).expect("text is JSON"));
    let raw = format!("\"{text}\"");
    if is_json(&raw) {
        check_body(&raw);
    }
}

fn check_body(body: &str) {
    let envelope = Envelope {
        message_id: Cow::Borrowed("m"),
        body: Some(body),
        attributes: None,
        message_attributes: None,
    };
    for format in BatchFormat::ALL {
        assert_eq!(encode(&envelope, format), expected(&envelope, format), "{format:?}");
    }
}
