//! A record's body is posted as the value that it is, or as the text that it is.

use std::borrow::Cow;

use perseus_forwarder::{
    decode::{event::Envelope, record::encode},
    value::format::BatchFormat,
};

use crate::record::{expected, is_json};

/// Takes the input for a body's text, and for what is between the quotes of a body, if it can be that.
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
