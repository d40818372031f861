//! The function reads an event as serde_json does, and posts the same values.

use std::collections::HashMap;

use perseus_forwarder::{
    batch::batcher::{Batch, Batcher},
    decode::{
        event::{Envelope, Event, EventError, receipt_handles},
        record::{Encoded, Record, encode},
    },
    value::{format::BatchFormat, limits::BatchLimits},
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::{
    entries::{entries, field},
    record::{expected, is_json, number, text},
};

/// Uses the input as an invocation's payload.
pub fn check(payload: &[u8]) {
    let opened = Event::parse(payload);
    let json = std::str::from_utf8(payload.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(payload));
    let is_json = json.is_ok_and(is_json);
    assert_eq!(matches!(opened, Err(EventError::NotJson)), !is_json);
    let by_serde = json.ok().and_then(records);
    let Ok(event) = opened else {
        assert!(by_serde.is_none_or(|records| !records.iter().all(is_of_sqs)));
        return;
    };
    check_event(&event, &by_serde.expect("the event has records"));
    assert_eq!(receipt_handles(payload).len(), event.envelopes.len());
    for format in BatchFormat::ALL {
        check_batches(&event, format);
    }
}

/// A record as serde_json reads it.
type Fields<'a> = HashMap<String, &'a RawValue>;

fn records(json: &str) -> Option<Vec<Fields<'_>>> {
    #[derive(Deserialize)]
    struct RawEvent<'a> {
        #[serde(rename = "Records", borrow)]
        records: Vec<Fields<'a>>,
    }
    // serde accepts a list for a struct too.
    let is_object = json.trim_start_matches([' ', '\n', '\r', '\t']).starts_with('{');
    is_object.then(|| serde_json::from_str(json).ok().map(|RawEvent { records }| records))?
}

fn raw<'a>(record: &Fields<'a>, name: &str) -> Option<&'a str> {
    record.get(name).map(|value| value.get())
}

fn string(record: &Fields<'_>, name: &str) -> Option<String> {
    text(raw(record, name)?)
}

fn is_of_sqs(record: &Fields<'_>) -> bool {
    let has_id = string(record, "messageId").is_some_and(|id| !id.trim().is_empty());
    has_id && string(record, "eventSource").is_some_and(|source| source == "aws:sqs")
}

fn check_event(event: &Event<'_>, records: &[Fields<'_>]) {
    assert_eq!(event.envelopes.len(), records.len());
    for (envelope, record) in event.envelopes.iter().zip(records) {
        assert!(is_of_sqs(record));
        assert_eq!(string(record, "messageId").as_deref(), Some(envelope.message_id.as_ref()));
        assert_eq!(envelope.body, raw(record, "body"));
        assert_eq!(envelope.attributes, raw(record, "attributes"));
        assert_eq!(envelope.message_attributes, raw(record, "messageAttributes"));
        check_attributes(envelope);
    }
    let arn = |record: &Fields<'_>| string(record, "eventSourceARN");
    let is_fifo = |record: &Fields<'_>| arn(record).is_some_and(|arn| arn.ends_with(".fifo"));
    assert_eq!(event.fifo, records.iter().any(is_fifo));
    if let Some(queue) = &event.queue {
        assert!(records.iter().all(|record| arn(record).as_deref() == Some(queue.as_ref())));
    }
}

fn check_attributes(envelope: &Envelope<'_>) {
    let attributes = envelope.attributes.and_then(entries).unwrap_or_default();
    let attribute = |name: &str| field(&attributes, name).flatten();
    assert_eq!(envelope.group().as_deref(), attribute("MessageGroupId").and_then(text).as_deref());
    assert_eq!(envelope.receive_count(), attribute("ApproximateReceiveCount").and_then(number));
}

/// Encodes the event's records and puts them in small batches. Each body must contain its records unchanged.
fn check_batches(event: &Event<'_>, format: BatchFormat) {
    let mut batcher = Batcher::new(BatchLimits { max_records: 3, max_bytes: 1024 }, format);
    let mut wires = Vec::new();
    let mut batches = Vec::new();
    for (slot, envelope) in event.envelopes.iter().enumerate() {
        let encoded = encode(envelope, format);
        assert_eq!(encoded, expected(envelope, format), "{format:?}");
        if let Ok(Encoded { wire, sent }) = encoded {
            wires.push(wire.clone());
            batches.extend(batcher.push(Record { slot, group: None, sent, wire }));
        }
    }
    batches.extend(batcher.finish());
    let posted: Vec<_> = batches.iter().flat_map(|batch| posted(batch, format)).collect();
    assert_eq!(posted, wires, "{format:?}");
}

/// The records of a body.
fn posted(batch: &Batch, format: BatchFormat) -> Vec<Vec<u8>> {
    #[derive(Deserialize)]
    struct Records<'a> {
        #[serde(borrow)]
        records: Vec<&'a RawValue>,
    }
    let body = batch.body();
    let body = std::str::from_utf8(&body).expect("a body is text");
    let records: Vec<&str> = match format {
        BatchFormat::Records => {
            let Records { records } = serde_json::from_str(body).expect("the body is an object");
            records.iter().map(|record| record.get()).collect()
        }
        BatchFormat::Array => {
            let records: Vec<&RawValue> = serde_json::from_str(body).expect("the body is an array");
            records.iter().map(|record| record.get()).collect()
        }
        BatchFormat::Ndjson => body.strip_suffix('\n').expect("the last line ends too").split('\n').collect(),
    };
    assert!(records.iter().all(|record| serde_json::from_str::<IgnoredAny>(record).is_ok()));
    records.into_iter().map(|record| record.as_bytes().to_vec()).collect()
}
