//! What is posted for a record, computed with serde_json alone.

use perseus_forwarder::{
    decode::{
        event::Envelope,
        record::{Encoded, Unreadable},
    },
    value::format::BatchFormat,
};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::entries::{entries, field};

/// The most message attributes that are read.
const MOST_ATTRIBUTES: usize = 100;

/// The expected result of [`perseus_forwarder::decode::record::encode`].
pub(crate) fn expected(envelope: &Envelope<'_>, format: BatchFormat) -> Result<Encoded, Unreadable> {
    let raw = envelope.body.filter(|body| body.starts_with('"')).ok_or(Unreadable::Body)?;
    let (system, sent) = system(envelope.attributes).ok_or(Unreadable::Attributes)?;
    let attributes = attributes(envelope.message_attributes).ok_or(Unreadable::MessageAttributes)?;
    let body = body(raw).ok_or(Unreadable::Body)?;
    let wire = match format {
        BatchFormat::Records => {
            let id = quoted(&envelope.message_id);
            format!(r#"{{"messageId":{id}{system}{attributes},"body":{body}}}"#)
        }
        BatchFormat::Array => body,
        BatchFormat::Ndjson => body.replace(['\n', '\r'], " "),
    };
    Ok(Encoded { wire: wire.into_bytes(), sent })
}

/// What is posted for a body: its JSON value, or its text as a JSON string.
fn body(raw: &str) -> Option<String> {
    let text = text(raw)?;
    let value = serde_json::from_str::<&RawValue>(&text).map(|value| value.get().to_owned());
    Some(value.unwrap_or_else(|_| raw.to_owned()))
}

/// What is posted for the system attributes, and when the message was sent.
fn system(attributes: Option<&str>) -> Option<(String, Option<u64>)> {
    let mut fields = [
        ("SentTimestamp", "sentTimestamp", None),
        ("ApproximateReceiveCount", "receiveCount", None),
        ("MessageGroupId", "groupId", None),
        ("SequenceNumber", "sequenceNumber", None),
        ("MessageDeduplicationId", "deduplicationId", None),
        ("AWSTraceHeader", "traceHeader", None),
    ];
    for (name, value) in of_object(attributes)? {
        if let Some((.., field)) = fields.iter_mut().find(|(known, ..)| *known == name)
            && field.replace(value).is_some()
        {
            return None;
        }
    }
    let mut posted = String::new();
    for (_, name, value) in fields {
        let Some(value) = value.filter(|value| *value != "null") else { continue };
        let value = match name {
            "sentTimestamp" | "receiveCount" => number(value)?.to_string(),
            "traceHeader" => match text(value).filter(|trace| !trace.is_empty()) {
                Some(trace) => quoted(&trace),
                None => continue,
            },
            _ => quoted(&text(value)?),
        };
        posted += &format!(r#","{name}":{value}"#);
    }
    Some((posted, fields[0].2.and_then(number)))
}

/// What is posted for the message attributes.
fn attributes(attributes: Option<&str>) -> Option<String> {
    let entries = of_object(attributes)?;
    if entries.len() > MOST_ATTRIBUTES {
        return None;
    }
    let attributes: Option<Vec<_>> =
        entries.iter().map(|(name, value)| Some(format!("{}:{}", quoted(name), attribute(value)?))).collect();
    let attributes = attributes?.join(",");
    Some(if attributes.is_empty() { attributes } else { format!(r#","attributes":{{{attributes}}}"#) })
}

fn attribute(value: &str) -> Option<String> {
    let fields = entries(value)?;
    let mut posted = Vec::new();
    for name in ["dataType", "stringValue", "binaryValue"] {
        if let Some(value) = field(&fields, name)?.filter(|value| *value != "null") {
            posted.push(format!(r#""{name}":{}"#, quoted(&text(value)?)));
        }
    }
    // Unchanged, unless they are empty.
    let is_something = |values: &&str| *values != "null" && values.contains(|c| !"[] \n\r\t".contains(c));
    for name in ["stringListValues", "binaryListValues"] {
        if let Some(values) = field(&fields, name)?.filter(is_something) {
            posted.push(format!(r#""{name}":{values}"#));
        }
    }
    Some(format!("{{{}}}", posted.join(",")))
}

/// The fields of an object that may be absent or null.
fn of_object(value: Option<&str>) -> Option<Vec<(String, &str)>> {
    value.filter(|value| *value != "null").map_or_else(|| Some(Vec::new()), entries)
}

pub(crate) fn number(value: &str) -> Option<u64> {
    match text(value) {
        Some(digits) => digits.parse().ok(),
        None => value.parse().ok(),
    }
}

pub(crate) fn text(value: &str) -> Option<String> {
    serde_json::from_str(value).ok()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text is JSON")
}

/// Whether text is one JSON value.
pub(crate) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}
