//! Single JSON values: read from the event, and written to the request.

use std::borrow::Cow;

use serde::Serialize;

use crate::decode::json::{scan as json, unescape};

/// The text of a JSON string; `None` if the value is not a string, or holds a lone surrogate and so is not Unicode text.
pub(crate) fn text(value: &str) -> Option<Cow<'_, str>> {
    unescape::text(json::string(value)?)
}

/// The value, unless it is absent or null.
pub(crate) fn given(value: Option<&str>) -> Option<&str> {
    value.filter(|value| *value != "null")
}

/// Appends the name of a field that is not the first one.
pub(crate) fn append_name(name: &str, wire: &mut Vec<u8>) {
    wire.push(b',');
    append_key(name, wire);
}

/// Appends the name of an object's first field.
pub(crate) fn append_key(name: &str, wire: &mut Vec<u8>) {
    wire.push(b'"');
    wire.extend_from_slice(name.as_bytes());
    wire.extend_from_slice(b"\":");
}

/// Appends a JSON string as serde_json writes it; `None` if the value is not a string.
pub(crate) fn append_string(value: &str, wire: &mut Vec<u8>) -> Option<()> {
    match text(value)? {
        // Without escapes the string is already as serde_json writes it.
        Cow::Borrowed(_) => wire.extend_from_slice(value.as_bytes()),
        Cow::Owned(text) => append_json(text.as_str(), wire),
    }
    Some(())
}

/// Appends a value as JSON.
pub(crate) fn append_json(value: impl Serialize, wire: &mut Vec<u8>) {
    serde_json::to_writer(wire, &value).expect("strings and numbers always encode");
}

/// A whole number. SQS sends text; many test events have a plain number.
pub(crate) fn number(value: &str) -> Option<u64> {
    text(value).map_or_else(|| value.parse(), |digits| digits.parse()).ok()
}
