//! One SQS record: decoded on its own, so that a malformed record fails alone.
//!
//! It is encoded for the request in the same step. So the batcher knows its exact size, and no retry or split encodes it
//! again.

use std::fmt;

use thiserror::Error;

use crate::{
    decode::{
        attributes, body,
        event::Envelope,
        field::{append_json, append_name, append_string, given, number, text},
        json::scan as json,
    },
    value::format::BatchFormat,
};

/// A record on its way to Perseus.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Its position in the event, which identifies it in the ledger: message ids can repeat.
    pub slot: usize,
    /// Its message group, numbered by the ledger; `None` unless the queue is FIFO.
    pub group: Option<usize>,
    /// When the message was sent, in epoch milliseconds, if the event has it.
    pub sent: Option<u64>,
    /// Its bytes in the request, without separators.
    pub wire: Vec<u8>,
}

/// The malformed part of a record. It holds nothing of the record itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Unreadable {
    /// A system attribute that is forwarded has the wrong type.
    #[error("its attributes cannot be read")]
    Attributes,
    /// A message attribute does not have the form that SQS sends.
    #[error("its messageAttributes cannot be read")]
    MessageAttributes,
    /// The body is missing or not text.
    #[error("its body is missing or no text")]
    Body,
}

/// An encoded record.
#[derive(Debug, PartialEq, Eq)]
pub struct Encoded {
    /// See [`Record::wire`].
    pub wire: Vec<u8>,
    /// See [`Record::sent`].
    pub sent: Option<u64>,
}

/// Decodes a record and encodes it for the request.
///
/// # Errors
///
/// If a part that is forwarded is malformed.
pub fn encode(envelope: &Envelope<'_>, format: BatchFormat) -> Result<Encoded, Unreadable> {
    let body = envelope.body.and_then(json::string).ok_or(Unreadable::Body)?;
    let system = SystemAttributes::read(envelope.attributes).ok_or(Unreadable::Attributes)?;
    // The other fields of a typical record take about 120 bytes.
    let mut wire = Vec::with_capacity(body.len() + 160);
    // Checked in every format: whether a record is readable must not depend on the format.
    wire.extend_from_slice(br#"{"messageId":"#);
    append_json(envelope.message_id.as_ref(), &mut wire);
    system.append(&mut wire).ok_or(Unreadable::Attributes)?;
    attributes::append(envelope.message_attributes, &mut wire).ok_or(Unreadable::MessageAttributes)?;
    if format == BatchFormat::Records {
        append_name("body", &mut wire);
    } else {
        wire.clear();
    }
    body::append(body, &mut wire).ok_or(Unreadable::Body)?;
    match format {
        BatchFormat::Records => wire.push(b'}'),
        BatchFormat::Array => {}
        BatchFormat::Ndjson => put_on_one_line(&mut wire),
    }
    Ok(Encoded { wire, sent: system.sent_timestamp.and_then(number) })
}

/// Replaces line breaks by spaces. JSON allows raw line breaks only between tokens, where a space means the same.
fn put_on_one_line(json: &mut [u8]) {
    for byte in json {
        if matches!(*byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

/// The system attributes that are forwarded, each as JSON.
#[derive(Default)]
struct SystemAttributes<'a> {
    sent_timestamp: Option<&'a str>,
    receive_count: Option<&'a str>,
    group_id: Option<&'a str>,
    sequence_number: Option<&'a str>,
    deduplication_id: Option<&'a str>,
    trace_header: Option<&'a str>,
}

impl<'a> SystemAttributes<'a> {
    /// Reads an object that may be absent or null. `None` if it is another value, or has one of these names twice.
    fn read(attributes: Option<&'a str>) -> Option<Self> {
        let mut read = SystemAttributes::default();
        let Some(attributes) = given(attributes) else { return Some(read) };
        json::each_entry(attributes, |name, value| {
            let field = match name {
                "SentTimestamp" => &mut read.sent_timestamp,
                "ApproximateReceiveCount" => &mut read.receive_count,
                "MessageGroupId" => &mut read.group_id,
                "SequenceNumber" => &mut read.sequence_number,
                "MessageDeduplicationId" => &mut read.deduplication_id,
                "AWSTraceHeader" => &mut read.trace_header,
                _ => return Some(()),
            };
            field.replace(value).is_none().then_some(())
        })?;
        Some(read)
    }

    /// Appends the attributes that are there. `None` if one has the wrong type.
    fn append(&self, wire: &mut Vec<u8>) -> Option<()> {
        for (name, value) in [("sentTimestamp", self.sent_timestamp), ("receiveCount", self.receive_count)] {
            if let Some(value) = given(value) {
                append_name(name, wire);
                append_json(number(value)?, wire);
            }
        }
        for (name, value) in [
            ("groupId", self.group_id),
            ("sequenceNumber", self.sequence_number),
            ("deduplicationId", self.deduplication_id),
        ] {
            if let Some(value) = given(value) {
                append_name(name, wire);
                append_string(value, wire)?;
            }
        }
        // A malformed trace header is left out: the message is complete without it.
        if let Some(trace) = self.trace_header.and_then(text).filter(|trace| !trace.is_empty()) {
            append_name("traceHeader", wire);
            append_json(trace.as_ref(), wire);
        }
        Some(())
    }
}

// Written by hand so that no part of a message can be logged by accident.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("slot", &self.slot).field("group", &self.group).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::event::Event;

    /// Encodes the record with these fields beside its id and source.
    fn encode_as(format: BatchFormat, fields: &str) -> Result<String, Unreadable> {
        let event = format!(
            r#"{{"Records":[{{"messageId":"m","eventSource":"aws:sqs","receiptHandle":"r"{fields}}}]}}"#
        );
        let event = Event::parse(event.as_bytes()).unwrap();
        encode(&event.envelopes[0], format).map(|encoded| String::from_utf8(encoded.wire).unwrap())
    }

    fn encoded(fields: &str) -> Result<String, Unreadable> {
        encode_as(BatchFormat::Records, fields)
    }

    /// The encoded form of a body with this text.
    fn body(text: &str) -> String {
        let raw = serde_json::to_string(text).unwrap();
        encode_as(BatchFormat::Array, &format!(r#","body":{raw}"#)).unwrap()
    }

    #[test]
    fn json_text_is_forwarded_byte_for_byte() {
        for json in [
            r#"{"b":1,"a":2,"b":3}"#,
            "123456789012345678901234567890.10e-999",
            r#""é\u00e9\ud800""#,
            "[ 1 ,\t2\n]",
            "null",
            "-0",
        ] {
            assert_eq!(body(json), json);
        }
    }

    #[test]
    fn white_space_around_a_json_body_is_removed() {
        assert_eq!(body(" \r\n{\"a\":1}\t "), r#"{"a":1}"#);
    }

    #[test]
    fn other_text_becomes_a_json_string() {
        for text in
            ["", " ", "hello", "{\"a\":", "1 2", "NaN", "01", "'a'", "\u{feff}1", "nul\u{0}l", "\"a\nb\""]
        {
            assert_eq!(serde_json::from_str::<String>(&body(text)).unwrap(), text);
        }
    }

    #[test]
    fn a_hundred_thousand_brackets_do_not_overflow_the_stack() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(body(&deep), deep);
        let open = "[".repeat(100_000);
        assert_eq!(body(&open), format!("\"{open}\""));
    }

    #[test]
    fn an_ndjson_body_is_one_line() {
        let pretty = r#","body":"{\n  \"a\": \"x\\ny\",\r\n  \"b\": 2\n}""#;
        assert_eq!(encode_as(BatchFormat::Ndjson, pretty).unwrap(), r#"{   "a": "x\ny",    "b": 2 }"#);
        assert_eq!(encode_as(BatchFormat::Ndjson, r#","body":"two\nlines""#).unwrap(), r#""two\nlines""#);
    }

    #[test]
    fn absent_fields_are_left_out() {
        assert_eq!(encoded(r#","body":"1""#).unwrap(), r#"{"messageId":"m","body":1}"#);
        assert_eq!(
            encoded(r#","body":"1","attributes":null,"messageAttributes":{},"md5OfMessageAttributes":null"#)
                .unwrap(),
            r#"{"messageId":"m","body":1}"#
        );
    }

    #[test]
    fn fields_have_the_order_of_the_contract() {
        let fields = r#","md5OfBody":"wrong","messageAttributes":{
            "z":{"stringValue":"é\"","stringListValues":[],"binaryListValues":null,"dataType":"String"},
            "a":{"binaryValue":"AAE=","dataType":"Binary"},
            "n":{"stringValue":"1.50","dataType":"Number.price"}},
          "body":"x","attributes":{"MessageGroupId":"g","SentTimestamp":"1545082649183","AWSTraceHeader":"Root=1",
            "ApproximateReceiveCount":"2","SequenceNumber":"18849496460467696128","MessageDeduplicationId":"d"}"#;
        assert_eq!(
            encoded(fields).unwrap(),
            concat!(
                r#"{"messageId":"m","sentTimestamp":1545082649183,"receiveCount":2,"groupId":"g","#,
                r#""sequenceNumber":"18849496460467696128","deduplicationId":"d","traceHeader":"Root=1","attributes":{"#,
                r#""z":{"dataType":"String","stringValue":"é\""},"a":{"dataType":"Binary","binaryValue":"AAE="},"#,
                r#""n":{"dataType":"Number.price","stringValue":"1.50"}},"body":"x"}"#
            )
        );
    }

    #[test]
    fn a_valid_trace_header_is_forwarded() {
        let entry = |trace: &str| {
            encoded(&format!(r#","body":"1","attributes":{{"AWSTraceHeader":{trace}}}"#)).unwrap()
        };
        assert_eq!(
            entry(r#""Root=1-\u0061;Sampled=1""#),
            r#"{"messageId":"m","traceHeader":"Root=1-a;Sampled=1","body":1}"#
        );
        for none in [r#""""#, "null", "7", "{}", r#"["Root=1"]"#, r#""\ud800""#] {
            assert_eq!(entry(none), r#"{"messageId":"m","body":1}"#, "{none}");
        }
    }

    #[test]
    fn list_values_are_forwarded_unless_they_are_empty() {
        let attributes = |lists: &str| {
            encoded(&format!(r#","body":"1","messageAttributes":{{"a":{{"dataType":"S",{lists}}}}}"#))
                .unwrap()
        };
        for empty in [r#""stringListValues":[]"#, r#""binaryListValues":[ ]"#, r#""stringListValues":null"#] {
            assert_eq!(
                attributes(empty),
                r#"{"messageId":"m","attributes":{"a":{"dataType":"S"}},"body":1}"#
            );
        }
        assert_eq!(
            attributes(r#""stringListValues":["x"]"#),
            r#"{"messageId":"m","attributes":{"a":{"dataType":"S","stringListValues":["x"]}},"body":1}"#
        );
    }

    #[test]
    fn message_attributes_are_forwarded_unchanged() {
        for attribute in [
            r#"{"dataType":"Binary","binaryValue":"base64Str"}"#,
            r#"{"dataType":"Binary","binaryValue":"%%%"}"#,
            r#"{"dataType":"Binary","binaryValue":"AAE"}"#,
            r#"{"stringValue":"x"}"#,
            r#"{"binaryValue":"AAE="}"#,
            r#"{"dataType":"String"}"#,
            r#"{"dataType":"","stringValue":"","binaryValue":""}"#,
            r#"{"stringListValues":["x"],"binaryListValues":["AAE="]}"#,
            "{}",
        ] {
            let fields = format!(r#","body":"1","messageAttributes":{{"a":{attribute}}}"#);
            let expected = format!(r#"{{"messageId":"m","attributes":{{"a":{attribute}}},"body":1}}"#);
            assert_eq!(encoded(&fields).unwrap(), expected);
        }
        let nulls = r#","body":"1","messageAttributes":{"a":{"dataType":null,"stringValue":"x","binaryValue":null,
            "stringListValues":null,"binaryListValues":null}}"#;
        assert_eq!(
            encoded(nulls).unwrap(),
            r#"{"messageId":"m","attributes":{"a":{"stringValue":"x"}},"body":1}"#
        );
    }

    #[test]
    fn numeric_attributes_may_be_json_numbers() {
        let fields =
            r#","body":"1","attributes":{"SentTimestamp":1545082649183,"ApproximateReceiveCount":3}"#;
        assert_eq!(
            encoded(fields).unwrap(),
            r#"{"messageId":"m","sentTimestamp":1545082649183,"receiveCount":3,"body":1}"#
        );
    }

    #[test]
    fn each_reason_is_explained_in_the_documents() {
        let page = include_str!("../../docs/log-lines.md");
        for reason in [Unreadable::Attributes, Unreadable::MessageAttributes, Unreadable::Body] {
            assert!(page.contains(&format!("`{reason}`")), "docs/log-lines.md does not have {reason}");
        }
    }

    #[test]
    fn a_record_without_a_text_body_is_unreadable() {
        for fields in ["", r#","body":null"#, r#","body":{"a":1}"#, r#","body":7"#, r#","body":"\ud800""#] {
            assert_eq!(encoded(fields), Err(Unreadable::Body), "{fields}");
        }
    }

    #[test]
    fn a_record_with_malformed_attributes_is_unreadable_in_every_format() {
        for attributes in [
            "7",
            r#""x""#,
            r#"["1"]"#,
            r#"{"SentTimestamp":"yesterday"}"#,
            r#"{"ApproximateReceiveCount":-1}"#,
            r#"{"ApproximateReceiveCount":{}}"#,
            r#"{"MessageGroupId":7}"#,
            r#"{"SequenceNumber":[]}"#,
        ] {
            for format in BatchFormat::ALL {
                let fields = format!(r#","body":"1","attributes":{attributes}"#);
                assert_eq!(encode_as(format, &fields), Err(Unreadable::Attributes), "{attributes}");
            }
        }
    }

    #[test]
    fn a_record_with_malformed_message_attributes_is_unreadable() {
        for attributes in [
            "[1]",
            r#"{"a":null}"#,
            "7",
            r#""x""#,
            r#"{"a":"text"}"#,
            r#"{"a":["String","x"]}"#,
            r#"{"a":{"dataType":7}}"#,
            r#"{"a":{"dataType":"String","stringValue":7}}"#,
            r#"{"a":{"dataType":"Binary","binaryValue":["AAE="]}}"#,
            r#"{"a":{"dataType":"String","stringValue":"\ud800"}}"#,
        ] {
            let fields = format!(r#","body":"1","messageAttributes":{attributes}"#);
            assert_eq!(encoded(&fields), Err(Unreadable::MessageAttributes), "{attributes}");
        }
    }

    #[test]
    fn debug_output_holds_nothing_of_the_message() {
        let record = Record { slot: 3, group: None, sent: None, wire: b"secret".to_vec() };
        assert_eq!(format!("{record:?}"), "Record { slot: 3, group: None, .. }");
    }
}
