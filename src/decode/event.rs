//! The SQS event, opened just far enough to know whose records are in it.
//!
//! One scan of the event finds each record's fields and leaves them as raw JSON, so a field that
//! cannot be read is that record's trouble alone (see [`crate::decode::record`]). What is decided here is
//! what concerns the whole batch: that this is an SQS event, and that each record has an id by which
//! it can be reported.

use std::{borrow::Cow, fmt, str::Utf8Error};

use futures_util::FutureExt;
use serde_json::value::RawValue;
use tokio::task::yield_now;

use crate::decode::{
    field::{number, text},
    json::{
        scan as json,
        scan::{ARRAY, OBJECT, Walk},
        unescape,
    },
};

/// An SQS event: its records' envelopes, in the order of the event.
#[derive(Debug)]
pub struct Event<'a> {
    /// One per record.
    pub envelopes: Vec<Envelope<'a>>,
    /// Whether the queue keeps an order. A `MessageGroupId` alone does not say so: it also marks the
    /// tenants of a fair (standard) queue. The queue's ARN does.
    pub fifo: bool,
    /// The queue's ARN, if all records name the same.
    pub queue: Option<Cow<'a, str>>,
}

/// One record of an event, its fields not read yet.
pub struct Envelope<'a> {
    /// By what the record is reported; never empty.
    pub message_id: Cow<'a, str>,
    /// The message's text, as a JSON string.
    pub body: Option<&'a str>,
    /// What SQS says of the message, as JSON.
    pub attributes: Option<&'a str>,
    /// What the producer says of the message, as JSON.
    pub message_attributes: Option<&'a str>,
}

/// Why an invocation's payload cannot be answered record by record: the whole batch returns.
///
/// No variant holds a part of the payload, so none can end in a log.
#[derive(Debug, PartialEq, Eq)]
pub enum EventError {
    /// The payload is not JSON.
    NotJson,
    /// The payload has no list of records.
    NotAnSqsEvent,
    /// This record (counted from 0) came from elsewhere; the source is named if it is an AWS one.
    OtherSource(usize, Option<String>),
    /// This record (counted from 0) has no id by which it could be reported.
    NoMessageId(usize),
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventError::NotJson => write!(f, "the payload is not JSON"),
            EventError::NotAnSqsEvent => write!(f, "not an SQS event: there is no list of records"),
            EventError::OtherSource(record, Some(source)) => {
                write!(f, "not an SQS event: record {record} comes from {source}")
            }
            EventError::OtherSource(record, None) => {
                write!(f, "not an SQS event: the eventSource of record {record} is not aws:sqs")
            }
            EventError::NoMessageId(record) => write!(f, "record {record} has no usable messageId"),
        }
    }
}

impl std::error::Error for EventError {}

impl<'a> Event<'a> {
    /// Opens the payload of an invocation.
    ///
    /// # Errors
    ///
    /// If it is not an SQS event, or one with a record that could not be reported.
    pub fn parse(payload: &'a [u8]) -> Result<Self, EventError> {
        Event::open(payload).now_or_never().unwrap_or_else(|| Err(why_none(payload)))
    }

    /// The same, such that others have their turn before a payload that is no event is read a second time.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub async fn open(payload: &'a [u8]) -> Result<Self, EventError> {
        let mut opening = Opening::default();
        let is_read = without_mark(payload).ok().and_then(|text| read(text, |record| opening.take(record)));
        if is_read.is_some() {
            return opening.finish();
        }
        yield_now().await;
        Err(why_none(payload))
    }
}

/// Why a payload is no event. Only here is the difference worth another walk.
fn why_none(payload: &[u8]) -> EventError {
    let is_json = without_mark(payload).is_ok_and(json::is_value);
    if is_json { EventError::NotAnSqsEvent } else { EventError::NotJson }
}

/// The receipt handles of an event's records, in their order: what SQS knows the messages by until they are
/// received again, and a secret.
///
/// They are needed only of what comes back, and only if a setting asks for it. So they are no part of
/// [`Event`], where they would take memory in every invocation, and the event is scanned again instead.
pub fn receipt_handles<'a>(payload: &'a [u8]) -> Vec<Option<&'a RawValue>> {
    let mut handles = Vec::new();
    let take = |record: RawRecord<'a>| {
        handles.push(record.receipt_handle);
        true
    };
    match without_mark(payload) {
        Ok(text) if read(text, take).is_some() => {
            handles.into_iter().map(|handle| serde_json::from_str(handle?).ok()).collect()
        }
        _ => Vec::new(),
    }
}

/// The payload's text. A byte order mark comes from the tool that saved the event, not from SQS.
fn without_mark(payload: &[u8]) -> Result<&str, Utf8Error> {
    std::str::from_utf8(payload.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(payload))
}

impl Envelope<'_> {
    /// How often the message has been received, if that can be read.
    pub fn receive_count(&self) -> Option<u64> {
        number(self.attribute("ApproximateReceiveCount")?)
    }

    /// The message's group, read for its own sake: it is needed even of a record that cannot be read
    /// otherwise, whose group has to wait for it.
    pub fn group(&self) -> Option<Cow<'_, str>> {
        text(self.attribute("MessageGroupId")?)
    }

    /// What SQS says under this name; none if it says it twice.
    fn attribute(&self, name: &str) -> Option<&str> {
        let mut found = None;
        json::each_entry(self.attributes?, |key, value| {
            let is_second = key == name && found.replace(value).is_some();
            (!is_second).then_some(())
        })?;
        found
    }
}

// Nothing of a message may be printed by accident.
impl fmt::Debug for Envelope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}

/// Hands the records of an event to `take`, until that returns false. None if it is no event.
fn read<'a>(text: &'a str, take: impl FnMut(RawRecord<'a>) -> bool) -> Option<()> {
    let mut reader = Reader { text, walk: Walk::new(text.as_bytes()), take };
    reader.event()?;
    reader.walk.is_at_end().then_some(())
}

/// Reads an event as far as to its records' fields. None if it is none, or no JSON.
struct Reader<'a, T> {
    text: &'a str,
    walk: Walk<'a>,
    take: T,
}

impl<'a, T: FnMut(RawRecord<'a>) -> bool> Reader<'a, T> {
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

    /// Reads a record. Of two equal keys the last counts.
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

/// What the records say of the event, until one cannot be opened. What follows it takes no memory, however much of it
/// there is.
#[derive(Default)]
struct Opening<'a> {
    envelopes: Vec<Envelope<'a>>,
    fifo: bool,
    /// As JSON, if all records so far name the same queue.
    queue: Option<&'a str>,
    error: Option<EventError>,
}

impl<'a> Opening<'a> {
    fn take(&mut self, record: RawRecord<'a>) -> bool {
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
        let Opening { envelopes, fifo, queue, error } = self;
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
            return Err(EventError::OtherSource(
                index,
                source.filter(|s| is_aws_source(s)).map(Cow::into_owned),
            ));
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

/// Whether a source may be repeated in an error: `aws:kinesis`, but nothing that could be private.
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
    use crate::decode::json::{scan::read_object, strategies as specimen};

    const SQS: &str = r#""eventSource":"aws:sqs""#;

    fn parse(json: &str) -> Result<Event<'_>, EventError> {
        Event::parse(json.as_bytes())
    }

    #[test]
    fn an_event_without_records_is_an_empty_one() {
        assert!(parse(r#"{"Records":[]}"#).unwrap().envelopes.is_empty());
    }

    #[test]
    fn a_byte_order_mark_is_not_the_operators_fault() {
        let event = format!("\u{feff}{{\"Records\":[{{\"messageId\":\"a\",{SQS}}}]}}");
        assert_eq!(parse(&event).unwrap().envelopes[0].message_id, "a");
    }

    #[test]
    fn what_is_not_an_sqs_event_fails_as_a_whole() {
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
    fn what_is_no_event_is_not_read_twice_in_one_stretch() {
        for (payload, is_ready) in [(r#"{"Records":[]}"#, true), ("[]", false), ("[", false)] {
            assert_eq!(Event::open(payload.as_bytes()).now_or_never().is_some(), is_ready, "{payload}");
        }
    }

    #[test]
    fn another_source_fails_as_a_whole_even_in_the_last_record() {
        let of = |source: &str| {
            format!(r#"{{"Records":[{{"messageId":"a",{SQS}}},{{"messageId":"b"{source}}}]}}"#)
        };
        for (source, named) in [
            ("", None),
            (r#","EventSource":"aws:sns""#, None),
            (r#","eventSource":null"#, None),
            (r#","eventSource":"secret text""#, None),
            (r#","eventSource":"aws:kinesis""#, Some("aws:kinesis".to_owned())),
        ] {
            assert_eq!(parse(&of(source)).unwrap_err(), EventError::OtherSource(1, named), "{source}");
        }
    }

    #[test]
    fn a_record_that_could_not_be_reported_fails_as_a_whole() {
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
    fn only_the_queues_arn_says_that_order_matters() {
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
    fn a_queue_is_known_if_all_records_name_the_same() {
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
    fn receipt_handles_are_in_the_order_of_the_records() {
        let event = format!(
            "\u{feff}{{\"Records\":[{{\"messageId\":\"a\",{SQS},\"receiptHandle\":\"x\"}},{{}},{{\"receiptHandle\":\"z\"}}]}}"
        );
        let handles: Vec<_> =
            receipt_handles(event.as_bytes()).into_iter().map(|handle| handle.map(RawValue::get)).collect();
        assert_eq!(handles, [Some(r#""x""#), None, Some(r#""z""#)]);
        assert!(receipt_handles(b"{").is_empty());
    }

    #[test]
    fn a_receive_count_is_text_or_a_number() {
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

    /// The same by way of serde_json: of each record its id, body and attributes.
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
        let field = (select(names.to_vec()), specimen::value());
        vec(field, 0..6).prop_map(|fields| {
            let fields = fields.into_iter().map(|(name, value)| format!(r#","{name}":{value}"#));
            format!(r#"{{"messageId":"m",{SQS}{}}}"#, fields.collect::<String>())
        })
    }

    fn event() -> impl Strategy<Value = String> {
        let records = vec(prop_oneof![9 => record(), 1 => specimen::value()], 0..4);
        (records, specimen::value()).prop_map(|(records, other)| {
            format!(r#" {{"x":{other} , "Records": [{}],"y":{other}}} "#, records.join(" ,\n"))
        })
    }

    proptest! {
        #[test]
        fn an_event_is_what_it_is_to_serde(
            event in event(), change in proptest::option::of(specimen::change()),
        ) {
            let event = change.map_or(event.clone(), |change| specimen::changed(&event, &[change]));
            let opened = parse(&event);
            // A mark in front is taken off here, and is an error to serde.
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
