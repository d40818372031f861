//! The SQS event: its records' fields as raw JSON.
//!
//! One scan of the event finds each record's fields and does not decode them, so that a malformed field fails its own
//! record only (see [`crate::decode::record`]). This module checks what concerns the whole event: that it comes from
//! SQS, and that each record has an id to report it by.

use std::{borrow::Cow, fmt, str::Utf8Error};

use futures_util::FutureExt;
use serde_json::value::RawValue;
use thiserror::Error;
use tokio::task::yield_now;

use crate::decode::{
    field::{number, text},
    json::{
        scan as json, unescape,
        walk::{ARRAY, OBJECT, Walk},
    },
};

/// An SQS event: its records' envelopes, in the order of the event.
#[derive(Debug)]
pub struct Event<'a> {
    /// One per record.
    pub envelopes: Vec<Envelope<'a>>,
    /// Whether the queue is a FIFO queue, by its ARN. A `MessageGroupId` does not prove it: on a standard queue it marks
    /// the tenants of a fair queue.
    pub fifo: bool,
    /// The queue's ARN, if all records have the same.
    pub queue: Option<Cow<'a, str>>,
}

/// One record of an event, its fields not decoded yet.
pub struct Envelope<'a> {
    /// The id that the record is reported by; never empty.
    pub message_id: Cow<'a, str>,
    /// The message's text, normally a JSON string.
    pub body: Option<&'a str>,
    /// The message's system attributes, as JSON.
    pub attributes: Option<&'a str>,
    /// The producer's message attributes, as JSON.
    pub message_attributes: Option<&'a str>,
}

/// Why a payload cannot be answered record by record: all its messages return to the queue.
///
/// No variant holds a part of the payload, so that no part can end in a log.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum EventError {
    /// The payload is not JSON.
    #[error("the payload is not JSON")]
    NotJson,
    /// The payload has no list of records.
    #[error("not an SQS event: there is no list of records")]
    NotAnSqsEvent,
    /// This record (counted from 0) is from another AWS service.
    #[error("not an SQS event: record {0} comes from {1}")]
    OtherSource(usize, String),
    /// This record (counted from 0) is not from AWS, or does not name its source.
    #[error("not an SQS event: the eventSource of record {0} is not aws:sqs")]
    UnknownSource(usize),
    /// This record (counted from 0) has no id to report it by.
    #[error("record {0} has no usable messageId")]
    NoMessageId(usize),
}

impl<'a> Event<'a> {
    /// Reads the payload of an invocation.
    ///
    /// # Errors
    ///
    /// If it is not an SQS event, or if a record has no id to report it by.
    pub fn parse(payload: &'a [u8]) -> Result<Self, EventError> {
        Event::open(payload).now_or_never().unwrap_or_else(|| Err(diagnose(payload)))
    }

    /// As [`parse`](Self::parse), but yields to other tasks before it reads a malformed payload a second time.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub async fn open(payload: &'a [u8]) -> Result<Self, EventError> {
        let mut builder = EventBuilder::default();
        let read = without_bom(payload).ok().and_then(|text| read(text, |record| builder.push(record)));
        if read.is_some() {
            return builder.finish();
        }
        yield_now().await;
        Err(diagnose(payload))
    }
}

/// Why a payload is not an event. This takes a second scan, so it is done only for the error.
fn diagnose(payload: &[u8]) -> EventError {
    let is_json = without_bom(payload).is_ok_and(json::is_value);
    if is_json { EventError::NotAnSqsEvent } else { EventError::NotJson }
}

/// The receipt handles of an event's records, in their order. They are secrets.
///
/// Only records that return to the queue need one, and only with some settings. So [`Event`] does not hold them, which
/// would take memory in every invocation; the event is scanned again instead.
pub fn receipt_handles<'a>(payload: &'a [u8]) -> Vec<Option<&'a RawValue>> {
    let mut handles = Vec::new();
    let take = |record: RawRecord<'a>| {
        handles.push(record.receipt_handle);
        true
    };
    match without_bom(payload) {
        Ok(text) if read(text, take).is_some() => {
            handles.into_iter().map(|handle| serde_json::from_str(handle?).ok()).collect()
        }
        _ => Vec::new(),
    }
}

/// The payload's text without a byte order mark, which some editors put in front of a test event.
fn without_bom(payload: &[u8]) -> Result<&str, Utf8Error> {
    std::str::from_utf8(payload.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(payload))
}

impl Envelope<'_> {
    /// How often the message has been received, if the attribute is valid.
    pub fn receive_count(&self) -> Option<u64> {
        number(self.attribute("ApproximateReceiveCount")?)
    }

    /// The message's group. It is needed even if other attributes of the record are malformed, because the rest of the
    /// group must then wait for this record.
    pub fn group(&self) -> Option<Cow<'_, str>> {
        text(self.attribute("MessageGroupId")?)
    }

    /// The system attribute of this name; `None` if it is there twice.
    fn attribute(&self, name: &str) -> Option<&str> {
        let mut found = None;
        json::each_entry(self.attributes?, |key, value| {
            let is_second = key == name && found.replace(value).is_some();
            (!is_second).then_some(())
        })?;
        found
    }
}

// Written by hand so that no part of a message can be logged by accident.
impl fmt::Debug for Envelope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}

/// Passes each record of an event to `take`, until it returns false. `None` if the text is not an event.
fn read<'a>(text: &'a str, take: impl FnMut(RawRecord<'a>) -> bool) -> Option<()> {
    let mut reader = EventReader { text, walk: Walk::new(text.as_bytes()), take };
    reader.event()?;
    reader.walk.is_at_end().then_some(())
}

/// Reads an event down to the fields of its records. Each method returns `None` if the text is not an event.
struct EventReader<'a, T> {
    text: &'a str,
    walk: Walk<'a>,
    take: T,
}

impl<'a, T: FnMut(RawRecord<'a>) -> bool> EventReader<'a, T> {
    fn event(&mut self) -> Option<()> {
        let mut lists = 0;
        let mut more = self.walk.open(OBJECT)?;
        while more {
            if self.key()? == "Records" {
                self.records()?;
                lists += 1;
            } else {
                self.walk.value()?;
            }
            more = self.walk.more(OBJECT)?;
        }
        (lists == 1).then_some(())
    }

    fn records(&mut self) -> Option<()> {
        let mut more = self.walk.open(ARRAY)?;
        let mut is_wanted = true;
        while more {
            if is_wanted {
                let record = self.record()?;
                is_wanted = (self.take)(record);
            } else {
                self.walk.value()?;
            }
            more = self.walk.more(ARRAY)?;
        }
        Some(())
    }

    /// Reads a record. The last of two equal keys counts.
    fn record(&mut self) -> Option<RawRecord<'a>> {
        let mut record = RawRecord::default();
        let mut more = self.walk.open(OBJECT)?;
        while more {
            let key = self.key()?;
            let value = &self.text[self.walk.value()?];
            more = self.walk.more(OBJECT)?;
            let field = match key.as_ref() {
                "messageId" => &mut record.message_id,
                "eventSource" => &mut record.event_source,
                "eventSourceARN" => &mut record.event_source_arn,
                "receiptHandle" => &mut record.receipt_handle,
                "body" => &mut record.body,
                "attributes" => &mut record.attributes,
                "messageAttributes" => &mut record.message_attributes,
                _ => continue,
            };
            *field = Some(value);
        }
        Some(record)
    }

    fn key(&mut self) -> Option<Cow<'a, str>> {
        unescape::text(&self.text[self.walk.key()?])
    }
}

/// Collects records up to the first one that fails the event. The records after it are not kept, so that they take no
/// memory.
#[derive(Default)]
struct EventBuilder<'a> {
    envelopes: Vec<Envelope<'a>>,
    fifo: bool,
    /// The queue's ARN as JSON, if all records so far have the same.
    queue: Option<&'a str>,
    error: Option<EventError>,
}

impl<'a> EventBuilder<'a> {
    /// Whether it wants more records.
    fn push(&mut self, record: RawRecord<'a>) -> bool {
        let queue = record.event_source_arn;
        if queue != self.queue || self.envelopes.is_empty() {
            self.fifo |= record.is_from_fifo_queue();
            self.queue = queue.filter(|_| self.envelopes.is_empty());
        }
        match record.open(self.envelopes.len()) {
            Ok(envelope) => self.envelopes.push(envelope),
            Err(error) => self.error = Some(error),
        }
        self.error.is_none()
    }

    fn finish(self) -> Result<Event<'a>, EventError> {
        let EventBuilder { envelopes, fifo, queue, error } = self;
        error.map_or_else(|| Ok(Event { envelopes, fifo, queue: queue.and_then(text) }), Err)
    }
}

/// A record's fields, each as JSON.
#[derive(Default)]
struct RawRecord<'a> {
    message_id: Option<&'a str>,
    event_source: Option<&'a str>,
    event_source_arn: Option<&'a str>,
    receipt_handle: Option<&'a str>,
    body: Option<&'a str>,
    attributes: Option<&'a str>,
    message_attributes: Option<&'a str>,
}

impl<'a> RawRecord<'a> {
    fn open(self, index: usize) -> Result<Envelope<'a>, EventError> {
        let source = self.event_source.and_then(text);
        if source.as_deref() != Some("aws:sqs") {
            return Err(match source.filter(|source| is_aws_source(source)) {
                Some(source) => EventError::OtherSource(index, source.into_owned()),
                None => EventError::UnknownSource(index),
            });
        }
        let message_id = self.message_id.and_then(text).filter(|id| !id.trim().is_empty());
        Ok(Envelope {
            message_id: message_id.ok_or(EventError::NoMessageId(index))?,
            body: self.body,
            attributes: self.attributes,
            message_attributes: self.message_attributes,
        })
    }

    fn is_from_fifo_queue(&self) -> bool {
        self.event_source_arn.and_then(text).is_some_and(|arn| arn.ends_with(".fifo"))
    }
}

/// Whether a source may be logged: a name like `aws:kinesis` cannot be private.
fn is_aws_source(source: &str) -> bool {
    source
        .strip_prefix("aws:")
        .is_some_and(|service| service.len() <= 20 && service.bytes().all(|b| b.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::{collection::vec, prelude::*, sample::select};
    use serde::{Deserialize, de::IgnoredAny};

    use super::*;
    use crate::decode::json::{scan::read_object, strategies};

    const SQS: &str = r#""eventSource":"aws:sqs""#;

    fn parse(json: &str) -> Result<Event<'_>, EventError> {
        Event::parse(json.as_bytes())
    }

    #[test]
    fn an_event_may_have_no_records() {
        assert!(parse(r#"{"Records":[]}"#).unwrap().envelopes.is_empty());
    }

    #[test]
    fn a_byte_order_mark_in_front_is_ignored() {
        let event = format!("\u{feff}{{\"Records\":[{{\"messageId\":\"a\",{SQS}}}]}}");
        assert_eq!(parse(&event).unwrap().envelopes[0].message_id, "a");
    }

    #[test]
    fn a_payload_that_is_not_an_sqs_event_is_an_error() {
        for (json, error) in [
            ("", EventError::NotJson),
            ("{", EventError::NotJson),
            (r#"{"Records":[}"#, EventError::NotJson),
            ("null", EventError::NotAnSqsEvent),
            ("[]", EventError::NotAnSqsEvent),
            ("[[]]", EventError::NotAnSqsEvent),
            ("{}", EventError::NotAnSqsEvent),
            (r#"{"Records":null}"#, EventError::NotAnSqsEvent),
            (r#"{"Records":[null]}"#, EventError::NotAnSqsEvent),
            (r#"{"Records":[[]]}"#, EventError::NotAnSqsEvent),
            (r#"{"records":[]}"#, EventError::NotAnSqsEvent),
        ] {
            assert_eq!(parse(json).unwrap_err(), error, "{json}");
        }
        assert_eq!(Event::parse(b"{\"Records\":[\"\xff\"]}").unwrap_err(), EventError::NotJson);
    }

    #[test]
    fn other_tasks_run_before_a_malformed_payload_is_read_again() {
        for (payload, is_ready) in [(r#"{"Records":[]}"#, true), ("[]", false), ("[", false)] {
            assert_eq!(Event::open(payload.as_bytes()).now_or_never().is_some(), is_ready, "{payload}");
        }
    }

    #[test]
    fn one_record_from_another_source_fails_the_event() {
        let of = |source: &str| {
            format!(r#"{{"Records":[{{"messageId":"a",{SQS}}},{{"messageId":"b"{source}}}]}}"#)
        };
        for (source, error) in [
            ("", EventError::UnknownSource(1)),
            (r#","EventSource":"aws:sns""#, EventError::UnknownSource(1)),
            (r#","eventSource":null"#, EventError::UnknownSource(1)),
            (r#","eventSource":"secret text""#, EventError::UnknownSource(1)),
            (r#","eventSource":"aws:kinesis""#, EventError::OtherSource(1, "aws:kinesis".to_owned())),
        ] {
            assert_eq!(parse(&of(source)).unwrap_err(), error, "{source}");
        }
    }

    #[test]
    fn one_record_without_an_id_fails_the_event() {
        for id in
            ["", r#""messageId":"","#, r#""messageId":" ","#, r#""messageId":7,"#, r#""messageId":null,"#]
        {
            let event = format!(r#"{{"Records":[{{{id}{SQS}}}]}}"#);
            assert_eq!(parse(&event).unwrap_err(), EventError::NoMessageId(0), "{id}");
        }
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        let event = format!(r#"{{"Records":[{{"messageId":"a","messageId":"b",{SQS}}}]}}"#);
        assert_eq!(parse(&event).unwrap().envelopes[0].message_id, "b");
    }

    #[test]
    fn a_queue_is_fifo_by_its_arn_only() {
        let of = |arn: &str| {
            format!(
                r#"{{"Records":[{{"messageId":"a","attributes":{{"MessageGroupId":"g"}},"eventSourceARN":"{arn}",{SQS}}}]}}"#
            )
        };
        assert!(parse(&of("arn:aws:sqs:eu-west-1:1:orders.fifo")).unwrap().fifo);
        let fair = of("arn:aws:sqs:eu-west-1:1:orders");
        let fair = parse(&fair).unwrap();
        assert!(!fair.fifo);
        assert_eq!(fair.envelopes[0].group().as_deref(), Some("g"));
    }

    #[test]
    fn the_queue_is_known_if_all_records_have_the_same() {
        let record = |arn: &str| format!(r#"{{"messageId":"a",{SQS}{arn}}}"#);
        let queue = |arns: &[&str]| {
            let records: Vec<_> = arns.iter().map(|arn| record(arn)).collect();
            let event = format!(r#"{{"Records":[{}]}}"#, records.join(","));
            parse(&event).unwrap().queue.map(Cow::into_owned)
        };
        let (one, other) = (r#","eventSourceARN":"arn:one""#, r#","eventSourceARN":"arn:other""#);
        assert_eq!(queue(&[one, one, one]).as_deref(), Some("arn:one"));
        for arns in [
            &[][..],
            &[""],
            &[one, other],
            &[one, other, one],
            &[one, other, other],
            &["", one],
            &[one, ""],
            &[r#","eventSourceARN":7"#],
        ] {
            assert_eq!(queue(arns), None, "{arns:?}");
        }
    }

    #[test]
    fn receipt_handles_have_the_order_of_the_records() {
        let event = format!(
            "\u{feff}{{\"Records\":[{{\"messageId\":\"a\",{SQS},\"receiptHandle\":\"x\"}},{{}},{{\"receiptHandle\":\"z\"}}]}}"
        );
        let handles: Vec<_> =
            receipt_handles(event.as_bytes()).into_iter().map(|handle| handle.map(RawValue::get)).collect();
        assert_eq!(handles, [Some(r#""x""#), None, Some(r#""z""#)]);
        assert!(receipt_handles(b"{").is_empty());
    }

    #[test]
    fn a_receive_count_may_be_text_or_a_number() {
        for (count, expected) in
            [(r#""7""#, Some(7)), ("7", Some(7)), (r#""many""#, None), ("-1", None), ("null", None)]
        {
            let event = format!(
                r#"{{"Records":[{{"messageId":"a",{SQS},"attributes":{{"ApproximateReceiveCount":{count}}}}}]}}"#
            );
            assert_eq!(parse(&event).unwrap().envelopes[0].receive_count(), expected, "{count}");
        }
    }

    #[test]
    fn a_hundred_thousand_brackets_do_not_overflow_the_stack() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let event =
            format!(r#"{{"x":{deep},"Records":[{{"messageId":"a","y":{deep},"attributes":{deep},{SQS}}}]}}"#);
        let event = parse(&event).unwrap();
        assert_eq!(event.envelopes[0].group(), None);
    }

    /// The id, body and attributes of each record, read by serde_json.
    fn by_serde(text: &str) -> Option<Vec<[Option<String>; 4]>> {
        #[derive(Deserialize)]
        struct RawEvent<'a> {
            #[serde(rename = "Records", borrow)]
            records: Vec<HashMap<String, &'a RawValue>>,
        }
        let RawEvent { records } = read_object(text.trim_start_matches([' ', '\n', '\r', '\t']))?;
        let fields = |record: HashMap<String, &RawValue>| {
            let raw = |key: &str| record.get(key).map(|value| value.get().to_owned());
            let string = |key: &str| serde_json::from_str::<String>(&raw(key)?).ok();
            let id = string("messageId").filter(|id| !id.trim().is_empty())?;
            let is_from_sqs = string("eventSource")? == "aws:sqs";
            is_from_sqs.then(|| [Some(id), raw("body"), raw("attributes"), raw("messageAttributes")])
        };
        records.into_iter().map(fields).collect()
    }

    fn record() -> impl Strategy<Value = String> {
        let names = [
            "messageId",
            "eventSource",
            "body",
            "attributes",
            "messageAttributes",
            r"\u0062ody",
            "x",
            r"\ud800",
        ];
        let field = (select(names.to_vec()), strategies::value());
        vec(field, 0..6).prop_map(|fields| {
            let fields = fields.into_iter().map(|(name, value)| format!(r#","{name}":{value}"#));
            format!(r#"{{"messageId":"m",{SQS}{}}}"#, fields.collect::<String>())
        })
    }

    fn event() -> impl Strategy<Value = String> {
        let records = vec(prop_oneof![9 => record(), 1 => strategies::value()], 0..4);
        (records, strategies::value()).prop_map(|(records, other)| {
            format!(r#" {{"x":{other} , "Records": [{}],"y":{other}}} "#, records.join(" ,\n"))
        })
    }

    proptest! {
        #[test]
        fn serde_reads_the_same_event(
            event in event(), change in proptest::option::of(strategies::change()),
        ) {
            let event = change.map_or(event.clone(), |change| strategies::changed(&event, &[change]));
            let opened = parse(&event);
            // A byte order mark is ignored here and an error in serde.
            let event = event.strip_prefix('\u{feff}').unwrap_or(&event);
            if matches!(opened, Err(EventError::NotJson)) {
                prop_assert!(serde_json::from_str::<IgnoredAny>(event).is_err());
            } else {
                prop_assert!(serde_json::from_str::<IgnoredAny>(event).is_ok());
            }
            let fields = |envelope: &Envelope<'_>| {
                let raw = |value: Option<&str>| value.map(str::to_owned);
                let Envelope { message_id, body, attributes, message_attributes } = envelope;
                [Some(message_id.to_string()), raw(*body), raw(*attributes), raw(*message_attributes)]
            };
            let opened = opened.ok().map(|event| event.envelopes.iter().map(fields).collect());
            prop_assert_eq!(opened, by_serde(event));
        }
    }
}
