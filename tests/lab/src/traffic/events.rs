//! Generated SQS events of any size.

use base64::{Engine, prelude::BASE64_STANDARD};
use md5::{Digest, Md5};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock::{epoch_ms, since_epoch};

/// The most bytes Lambda hands to a function in one event.
pub const MAX_EVENT_BYTES: usize = 6 * 1024 * 1024;
/// The most messages one SQS event carries.
pub const MAX_EVENT_RECORDS: usize = 10_000;
/// The most bytes one SQS message carries.
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

const QUEUE_ARN: &str = "arn:aws:sqs:eu-central-1:123456789012:perseus-forwarder-queue";

/// An SQS event as Lambda sends it, of `records` messages with a body of exactly `body_bytes` bytes each.
///
/// A body is a JSON object, or a JSON string if an object does not fit. A body of one byte is a digit.
/// With `fifo_groups` the queue is a FIFO queue and its messages take turns among that many groups. Message ids are
/// unique, over several calls too. An event beyond the limits of SQS or Lambda is made all the same: see [`oversize`].
pub fn generate(records: usize, body_bytes: usize, fifo_groups: Option<usize>) -> String {
    let now = epoch_ms(since_epoch());
    let records: Vec<Value> = (0..records).map(|index| record(index, body_bytes, fifo_groups, now)).collect();
    json!({ "Records": records }).to_string()
}

/// Says in words why a real queue or a real Lambda would not deliver this event; `None` when they would.
pub fn oversize(event: &str) -> Option<String> {
    let parsed: Value = serde_json::from_str(event).unwrap_or_default();
    let records = parsed["Records"].as_array().map_or(&[][..], Vec::as_slice);
    let largest =
        records.iter().filter_map(|record| record["body"].as_str()).map(str::len).max().unwrap_or(0);
    let reasons = [
        (event.len() > MAX_EVENT_BYTES).then(|| {
            format!("the event is {} bytes, and Lambda takes {MAX_EVENT_BYTES} (6 MB) at most", event.len())
        }),
        (records.len() > MAX_EVENT_RECORDS)
            .then(|| format!("it has {} messages, and SQS sends {MAX_EVENT_RECORDS} at most", records.len())),
        (largest > MAX_MESSAGE_BYTES).then(|| {
            format!("a message is {largest} bytes, and SQS takes {MAX_MESSAGE_BYTES} (1 MiB) at most")
        }),
    ];
    let reasons: Vec<String> = reasons.into_iter().flatten().collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

fn record(index: usize, body_bytes: usize, fifo_groups: Option<usize>, now: u64) -> Value {
    let body = body(index, body_bytes);
    let md5: String = Md5::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut attributes = json!({
        "ApproximateReceiveCount": "1",
        "SentTimestamp": now.to_string(),
        "SenderId": "AIDAIENQZJOLO23YVJ4VO",
        "ApproximateFirstReceiveTimestamp": (now + 7).to_string(),
    });
    if let Some(groups) = fifo_groups {
        attributes["MessageGroupId"] = json!(format!("group-{}", index % groups.max(1)));
        attributes["MessageDeduplicationId"] = json!(Uuid::new_v4().simple().to_string());
        attributes["SequenceNumber"] = json!(format!("{}", 18_849_496_460_467_696_128 + index as u128));
    }
    json!({
        "messageId": Uuid::new_v4().to_string(),
        "receiptHandle": BASE64_STANDARD.encode([*Uuid::new_v4().as_bytes(); 9].concat()),
        "body": body,
        "attributes": attributes,
        "messageAttributes": {},
        "md5OfBody": md5,
        "eventSource": "aws:sqs",
        "eventSourceARN": if fifo_groups.is_some() { format!("{QUEUE_ARN}.fifo") } else { QUEUE_ARN.to_owned() },
        "awsRegion": "eu-central-1",
    })
}

fn body(index: usize, bytes: usize) -> String {
    let object = |padding: &str| format!(r#"{{"reading":{index},"padding":"{padding}"}}"#);
    match bytes.checked_sub(object("").len()) {
        Some(left) => object(&padding(left)),
        None if bytes >= 2 => format!("\"{}\"", padding(bytes - 2)),
        None => "7".repeat(bytes),
    }
}

fn padding(bytes: usize) -> String {
    "the quick brown fox jumps over the lazy dog ".chars().cycle().take(bytes).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn records(event: &str) -> Vec<Value> {
        let event: Value = serde_json::from_str(event).expect("an event is JSON");
        event["Records"].as_array().expect("an event has records").clone()
    }

    #[test]
    fn every_body_has_exactly_the_bytes_asked_for() {
        for bytes in (0..200).chain([1_000, 100_000]) {
            for record in records(&generate(3, bytes, None)) {
                assert_eq!(record["body"].as_str().map(str::len), Some(bytes));
            }
        }
    }

    #[test]
    fn a_body_is_json_and_an_object_where_one_fits() {
        let parsed = |bytes| -> Value {
            let record = &records(&generate(1, bytes, None))[0];
            serde_json::from_str(record["body"].as_str().expect("a body is text")).expect("a body is JSON")
        };
        assert!(parsed(1).is_number());
        assert!(parsed(2).is_string());
        assert!(parsed(24).is_string());
        assert!(parsed(64).is_object());
    }

    #[test]
    fn message_ids_are_unique_over_calls() {
        let events = [generate(500, 10, None), generate(500, 10, None)];
        let ids: BTreeSet<String> = events
            .iter()
            .flat_map(|event| records(event))
            .map(|record| record["messageId"].to_string())
            .collect();
        assert_eq!(ids.len(), 1_000);
    }

    #[test]
    fn a_record_looks_like_one_of_sqs() {
        let record = &records(&generate(1, 2, None))[0];
        assert_eq!(record["eventSource"], "aws:sqs");
        assert_eq!(record["body"], "\"\"");
        assert_eq!(record["md5OfBody"], "9d4568c009d203ab10e33ea9953a0264");
        assert_eq!(record["attributes"]["ApproximateReceiveCount"], "1");
        assert!(record["attributes"].get("MessageGroupId").is_none());
        assert!(!record["eventSourceARN"].as_str().expect("a record names its queue").ends_with(".fifo"));
    }

    #[test]
    fn fifo_messages_take_turns_among_the_groups_in_sequence() {
        let records = records(&generate(4, 10, Some(2)));
        let of = |key: &str| -> Vec<&str> {
            records
                .iter()
                .map(|record| record["attributes"][key].as_str().expect("a FIFO attribute"))
                .collect()
        };
        assert_eq!(of("MessageGroupId"), ["group-0", "group-1", "group-0", "group-1"]);
        assert!(of("SequenceNumber").is_sorted());
        assert!(
            records.iter().all(|record| {
                record["eventSourceARN"].as_str().is_some_and(|arn| arn.ends_with(".fifo"))
            })
        );
    }

    #[test]
    fn an_event_no_queue_would_deliver_says_so() {
        assert_eq!(oversize(&generate(10, 1_000, None)), None);
        assert!(oversize(&generate(7, 1024 * 1024, None)).is_some_and(|said| said.contains("6 MB")));
        assert!(oversize(&generate(1, 1024 * 1024 + 1, None)).is_some_and(|said| said.contains("1 MiB")));
        assert!(oversize(&generate(10_001, 0, None)).is_some_and(|said| said.contains("10001 messages")));
    }
}
