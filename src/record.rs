//! One SQS record, decoded alone so that a bad one fails alone, and encoded for the wire at once:
//! its exact size is known to the batcher, and no retry or split encodes it again.

use std::{borrow::Cow, fmt};

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    config::BatchFormat,
    event::{Envelope, Text, text},
};

/// A record on its way to Perseus.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the event, which is its identity in the ledger: ids can repeat, places cannot.
    pub slot: usize,
    /// Its message group, numbered by the ledger; set on a FIFO queue alone.
    pub group: Option<usize>,
    /// When the message was sent, in epoch milliseconds, if SQS said so.
    pub sent: Option<u64>,
    /// What is posted of it, without anything that stands between two records.
    pub wire: Vec<u8>,
}

/// What of a record cannot be read. Holds nothing of the record itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unreadable {
    /// A system attribute that is posted is of the wrong type.
    Attributes,
    /// A message attribute is not what SQS sends.
    MessageAttributes,
    /// There is no body, or one that is not text.
    Body,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unreadable::Attributes => "its attributes cannot be read",
            Unreadable::MessageAttributes => "its messageAttributes cannot be read",
            Unreadable::Body => "its body is missing or no text",
        })
    }
}

impl std::error::Error for Unreadable {}

/// What a record has become for its way to Perseus.
#[derive(Debug, PartialEq, Eq)]
pub struct Encoded {
    /// See [`Record::wire`].
    pub wire: Vec<u8>,
    /// See [`Record::sent`].
    pub sent: Option<u64>,
}

/// Decodes a record and encodes what is posted of it.
///
/// # Errors
///
/// If a part of it that would be posted cannot be read.
pub fn encode(envelope: &Envelope<'_>, format: BatchFormat) -> Result<Encoded, Unreadable> {
    let raw_body = envelope.body.ok_or(Unreadable::Body)?;
    let body_text = text(raw_body).ok_or(Unreadable::Body)?;
    // A body that is no JSON value goes out as the JSON string that it came in as.
    let body = serde_json::from_str::<&RawValue>(&body_text).unwrap_or(raw_body);

    // Read for every format: whether a record can be delivered must not depend on it.
    let system: SystemAttributes<'_> = read(envelope.attributes).ok_or(Unreadable::Attributes)?;
    let attributes: Attributes<'_> =
        read(envelope.message_attributes).ok_or(Unreadable::MessageAttributes)?;

    let wire = match format {
        BatchFormat::Records => records_entry(envelope, &system, attributes, body),
        BatchFormat::Array => body.get().as_bytes().to_vec(),
        BatchFormat::Ndjson => on_one_line(body.get()),
    };
    Ok(Encoded { wire, sent: system.sent_timestamp.map(|Number(n)| n) })
}

fn records_entry(
    envelope: &Envelope<'_>,
    system: &SystemAttributes<'_>,
    attributes: Attributes<'_>,
    body: &RawValue,
) -> Vec<u8> {
    let entry = Entry {
        message_id: &envelope.message_id,
        sent_timestamp: system.sent_timestamp.map(|Number(n)| n),
        receive_count: system.receive_count.map(|Number(n)| n),
        group_id: system.group_id.as_ref(),
        sequence_number: system.sequence_number.as_ref(),
        deduplication_id: system.deduplication_id.as_ref(),
        // No part of the message: without it the record is worth as much.
        trace_header: system.trace_header.and_then(text).filter(|trace| !trace.is_empty()).map(Text),
        attributes: (!attributes.0.is_empty()).then_some(attributes),
        body,
    };
    // The other fields of a usual entry take about 120 bytes.
    let mut wire = Vec::with_capacity(body.get().len() + 160);
    serde_json::to_writer(&mut wire, &entry).expect("strings, numbers and raw JSON always encode");
    wire
}

/// A JSON value without line breaks. Between tokens, where alone JSON allows raw ones, a space means
/// the same.
fn on_one_line(json: &str) -> Vec<u8> {
    json.bytes().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { b }).collect()
}

/// Reads an object that may be absent or null, which then has its default.
fn read<'a, T: Deserialize<'a> + Default>(raw: Option<&'a RawValue>) -> Option<T> {
    match raw.map(RawValue::get) {
        None | Some("null") => Some(T::default()),
        Some(raw) => read_object(raw),
    }
}

/// Reads an object, and not an array, as which serde would take a struct too.
pub(crate) fn read_object<'a, T: Deserialize<'a>>(raw: &'a str) -> Option<T> {
    raw.starts_with('{').then(|| serde_json::from_str(raw).ok())?
}

/// An element of `records` in a request to Perseus.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    message_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_timestamp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receive_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_id: Option<&'a Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence_number: Option<&'a Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deduplication_id: Option<&'a Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_header: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<Attributes<'a>>,
    body: &'a RawValue,
}

/// What SQS says of a message, as far as it is posted.
#[derive(Default, Deserialize)]
struct SystemAttributes<'a> {
    #[serde(rename = "SentTimestamp")]
    sent_timestamp: Option<Number>,
    #[serde(rename = "ApproximateReceiveCount")]
    receive_count: Option<Number>,
    #[serde(rename = "MessageGroupId", borrow)]
    group_id: Option<Text<'a>>,
    #[serde(rename = "SequenceNumber", borrow)]
    sequence_number: Option<Text<'a>>,
    #[serde(rename = "MessageDeduplicationId", borrow)]
    deduplication_id: Option<Text<'a>>,
    #[serde(rename = "AWSTraceHeader", borrow)]
    trace_header: Option<&'a RawValue>,
}

/// A whole number: text in what SQS sends, a plain number in many events made by hand.
#[derive(Clone, Copy)]
pub(crate) struct Number(pub(crate) u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;

        impl Visitor<'_> for Digits {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_str<E: Error>(self, digits: &str) -> Result<Number, E> {
                digits.parse().map(Number).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Digits)
    }
}

/// More attributes than any message has: SQS takes ten. Decoded they take more memory than in the event.
const MOST_ATTRIBUTES: usize = 100;

/// What the producer says of a message, in the order of the event.
#[derive(Default)]
struct Attributes<'a>(Vec<(Text<'a>, Attribute<'a>)>);

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Attribute<'a> {
    #[serde(borrow)]
    data_type: Text<'a>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    string_value: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    binary_value: Option<Base64<'a>>,
    // Reserved by SQS for later use: null, absent or empty today. Whatever they will be goes along unread.
    #[serde(borrow, default, skip_serializing_if = "no_values")]
    string_list_values: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "no_values")]
    binary_list_values: Option<&'a RawValue>,
}

fn no_values(values: &Option<&RawValue>) -> bool {
    values.is_none_or(|values| values.get().trim_matches(['[', ']', ' ', '\n', '\r', '\t']).is_empty())
}

impl<'de: 'a, 'a> Deserialize<'de> for Attributes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Attributes<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("message attributes by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut attributes = Vec::new();
                while let Some((name, attribute)) = map.next_entry::<_, &RawValue>()? {
                    if attributes.len() == MOST_ATTRIBUTES {
                        return Err(A::Error::custom("too many attributes"));
                    }
                    let attribute = read_object(attribute.get());
                    attributes.push((name, attribute.ok_or_else(|| A::Error::custom("no attribute"))?));
                }
                Ok(Attributes(attributes))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, attribute)| (name, attribute)))
    }
}

/// Binary data as it came and as it goes on: in base64, checked and not decoded.
#[derive(Serialize)]
#[serde(transparent)]
struct Base64<'a>(Text<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Base64<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
            &STANDARD,
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
        );
        let data = Text::deserialize(deserializer)?;
        ANY_PADDING.decode(data.0.as_bytes()).map_err(|_| D::Error::custom("not base64"))?;
        Ok(Base64(data))
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Text(text): &Text<'_> = self;
        let text: &Cow<'_, str> = text;
        serializer.serialize_str(text)
    }
}

// Nothing of a message may be printed by accident.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("slot", &self.slot).field("group", &self.group).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

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

    /// What a body's text becomes.
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
    fn white_space_around_a_value_is_no_part_of_it() {
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
    fn a_hundred_thousand_brackets_are_a_value_like_any_other() {
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
    fn what_sqs_did_not_give_is_not_posted() {
        assert_eq!(encoded(r#","body":"1""#).unwrap(), r#"{"messageId":"m","body":1}"#);
        assert_eq!(
            encoded(r#","body":"1","attributes":null,"messageAttributes":{},"md5OfMessageAttributes":null"#)
                .unwrap(),
            r#"{"messageId":"m","body":1}"#
        );
    }

    #[test]
    fn what_sqs_gave_is_posted_in_the_order_of_the_contract() {
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
    fn a_trace_header_goes_along_if_it_is_one() {
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
    fn list_values_go_along_unless_they_are_empty() {
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
    fn numbers_may_be_numbers() {
        let fields =
            r#","body":"1","attributes":{"SentTimestamp":1545082649183,"ApproximateReceiveCount":3}"#;
        assert_eq!(
            encoded(fields).unwrap(),
            r#"{"messageId":"m","sentTimestamp":1545082649183,"receiveCount":3,"body":1}"#
        );
    }

    #[test]
    fn a_record_without_readable_text_is_unreadable() {
        for fields in ["", r#","body":null"#, r#","body":{"a":1}"#, r#","body":7"#, r#","body":"\ud800""#] {
            assert_eq!(encoded(fields), Err(Unreadable::Body), "{fields}");
        }
    }

    #[test]
    fn a_record_with_bad_attributes_is_unreadable_in_every_format() {
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
    fn a_record_with_bad_message_attributes_is_unreadable() {
        for attributes in [
            "[1]",
            r#"{"a":null}"#,
            r#"{"a":"text"}"#,
            r#"{"a":{}}"#,
            r#"{"a":["String","x"]}"#,
            r#"{"a":{"dataType":7}}"#,
            r#"{"a":{"dataType":"String","stringValue":7}}"#,
            r#"{"a":{"dataType":"Binary","binaryValue":"%%%"}}"#,
        ] {
            let fields = format!(r#","body":"1","messageAttributes":{attributes}"#);
            assert_eq!(encoded(&fields), Err(Unreadable::MessageAttributes), "{attributes}");
        }
    }

    #[test]
    fn nothing_of_a_message_is_printed() {
        let record = Record { slot: 3, group: None, sent: None, wire: b"secret".to_vec() };
        assert_eq!(format!("{record:?}"), "Record { slot: 3, group: None, .. }");
    }
}
