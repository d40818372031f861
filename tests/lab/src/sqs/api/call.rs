//! Parsing a call of the API. A call that SQS would refuse is an error in words.

use std::collections::HashSet;

use http::{HeaderMap, header, request::Parts};
use serde_json::Value;

use crate::{
    clock::Ms,
    sqs::{
        names::{DEAD_LETTER_QUEUES, QUEUES},
        queue::Receipt,
    },
};

const MOST_ENTRIES: usize = 10;
/// SQS' limit of attributes per message.
const MOST_ATTRIBUTES: usize = 10;
/// SQS' longest visibility timeout, in seconds.
const MOST_SECONDS: u64 = 43_200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    ChangeMessageVisibilityBatch,
    SendMessageBatch,
}

/// A valid batch call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) action: Action,
    pub(super) ids: Vec<String>,
    /// In the order of the ids.
    pub(super) entries: Vec<Entry>,
}

/// What one entry of a call asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Entry {
    /// Hide a message for this long from now on. The receipt is none if its handle is invalid.
    Hide { receipt: Option<Receipt>, timeout: Ms },
    /// Send a message to the dead-letter queue.
    DeadLetter {
        /// The id that it had.
        id: String,
        body: String,
        /// Its group, in a FIFO queue.
        group: Option<String>,
    },
}

impl Call {
    pub(super) fn read(head: &Parts, body: &[u8]) -> Result<Self, String> {
        let action = action(&head.headers)?;
        let mut call: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let queue = call["QueueUrl"].as_str().ok_or("no QueueUrl")?.to_owned();
        let queue = queue.rsplit('/').next().unwrap_or_default();
        let expected = if action == Action::SendMessageBatch { DEAD_LETTER_QUEUES } else { QUEUES };
        if !expected.contains(&queue) {
            return Err(format!("the queue {queue}"));
        }
        let Value::Array(entries) = call["Entries"].take() else { return Err("no Entries".to_owned()) };
        if !(1..=MOST_ENTRIES).contains(&entries.len()) {
            return Err(format!("{} entries", entries.len()));
        }
        let id = |entry: &Value| entry["Id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
        let ids: Vec<String> = entries.iter().map(id).collect::<Option<_>>().ok_or("an entry without id")?;
        if ids.iter().collect::<HashSet<_>>().len() < ids.len() {
            return Err("two entries with one id".to_owned());
        }
        let read = |entry: &Value| match action {
            Action::ChangeMessageVisibilityBatch => hide(entry),
            Action::SendMessageBatch => dead_letter(entry, queue.ends_with(".fifo")),
        };
        let entries = entries.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { action, ids, entries })
    }
}

fn action(headers: &HeaderMap) -> Result<Action, String> {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if value(header::CONTENT_TYPE.as_str()) != "application/x-amz-json-1.0" {
        return Err("another content-type than application/x-amz-json-1.0".to_owned());
    }
    let authorization = value(header::AUTHORIZATION.as_str());
    if !authorization.starts_with("AWS4-HMAC-SHA256 Credential=") || value("x-amz-date").is_empty() {
        return Err("no signature".to_owned());
    }
    match value("x-amz-target") {
        "AmazonSQS.ChangeMessageVisibilityBatch" => Ok(Action::ChangeMessageVisibilityBatch),
        "AmazonSQS.SendMessageBatch" => Ok(Action::SendMessageBatch),
        other => Err(format!("the action `{other}`")),
    }
}

fn hide(entry: &Value) -> Result<Entry, String> {
    let handle = entry["ReceiptHandle"].as_str().ok_or("an entry without receipt handle")?;
    let seconds = entry["VisibilityTimeout"].as_u64().filter(|seconds| *seconds <= MOST_SECONDS);
    let seconds = seconds.ok_or_else(|| format!("a timeout of {}", entry["VisibilityTimeout"]))?;
    let timeout = Ms::try_from(seconds * 1_000).unwrap_or(Ms::MAX);
    Ok(Entry::Hide { receipt: Receipt::of_handle(handle), timeout })
}

fn dead_letter(entry: &Value, fifo: bool) -> Result<Entry, String> {
    let body = entry["MessageBody"].as_str().filter(|body| !body.is_empty()).ok_or("an empty message")?;
    let attributes = entry["MessageAttributes"].as_object().ok_or("a message without its reason")?;
    if attributes.len() > MOST_ATTRIBUTES {
        return Err(format!("a message with {} attributes", attributes.len()));
    }
    let text = |name: &str| attributes.get(name).and_then(|attribute| attribute["StringValue"].as_str());
    for name in ["Rejected.Reason", "Rejected.ReceiveCount", "Rejected.SourceQueue"] {
        text(name).filter(|value| !value.is_empty()).ok_or_else(|| format!("a message without {name}"))?;
    }
    let id = text("Rejected.MessageId").ok_or("a message without the id it had")?.to_owned();
    let group = entry["MessageGroupId"].as_str().map(str::to_owned);
    if fifo && (group.is_none() || entry["MessageDeduplicationId"] != *id) {
        return Err(
            "a message of a FIFO queue without its group, or with another's deduplication id".to_owned()
        );
    }
    Ok(Entry::DeadLetter { id, body: body.to_owned(), group })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use serde_json::json;

    use super::*;

    fn read(target: &str, queue: &str, entries: &Value) -> Result<Vec<Entry>, String> {
        let request = Request::post("/")
            .header("content-type", "application/x-amz-json-1.0")
            .header("authorization", "AWS4-HMAC-SHA256 Credential=x")
            .header("x-amz-date", "20260101T000000Z")
            .header("x-amz-target", format!("AmazonSQS.{target}"));
        let (head, _) = request.body(Body::empty()).expect("a request").into_parts();
        let body = json!({"QueueUrl": format!("https://sqs/123456789012/{queue}"), "Entries": entries});
        Call::read(&head, body.to_string().as_bytes()).map(|call| call.entries)
    }

    fn change(entries: &Value) -> Result<Vec<Entry>, String> {
        read("ChangeMessageVisibilityBatch", QUEUES[0], entries)
    }

    #[test]
    fn a_change_of_visibility_is_read() {
        let receipt = Receipt { message: 3, receive: 2 };
        let entries = json!([
            {"Id": "0", "ReceiptHandle": receipt.handle(), "VisibilityTimeout": 120},
            {"Id": "1", "ReceiptHandle": "what", "VisibilityTimeout": 0},
        ]);
        let expected = vec![
            Entry::Hide { receipt: Some(receipt), timeout: 120_000 },
            Entry::Hide { receipt: None, timeout: 0 },
        ];
        assert_eq!(change(&entries), Ok(expected));
    }

    #[test]
    fn calls_that_sqs_would_refuse_are_refused() {
        let entry =
            |id: &str, seconds: u64| json!({"Id": id, "ReceiptHandle": "h", "VisibilityTimeout": seconds});
        let eleven: Vec<Value> = (0..11).map(|id| entry(&id.to_string(), 1)).collect();
        for entries in [
            json!([]),
            json!(eleven),
            json!([entry("0", 1), entry("0", 2)]),
            json!([entry("0", 43_201)]),
            json!([{"Id": "0", "ReceiptHandle": null, "VisibilityTimeout": 1}]),
        ] {
            assert!(change(&entries).is_err(), "{entries}");
        }
        let entries = json!([entry("0", 1)]);
        assert!(read("ChangeMessageVisibilityBatch", "strange", &entries).is_err());
        assert!(read("DeleteMessageBatch", QUEUES[0], &entries).is_err());
    }

    #[test]
    fn a_dead_letter_needs_a_reason_and_on_a_fifo_queue_a_group() {
        let text = |value: &str| json!({"DataType": "String", "StringValue": value});
        let mut entry = json!({"Id": "0", "MessageBody": "x", "MessageAttributes": {
            "Rejected.Reason": text("status 400"), "Rejected.ReceiveCount": text("1"),
            "Rejected.SourceQueue": text("arn"), "Rejected.MessageId": text("id"),
        }});
        let send = |queue, entry: &Value| read("SendMessageBatch", queue, &json!([entry]));
        assert!(send(DEAD_LETTER_QUEUES[0], &entry).is_ok());
        assert!(send(QUEUES[0], &entry).is_err(), "it would come back");
        assert!(send(DEAD_LETTER_QUEUES[1], &entry).is_err(), "no group");
        entry["MessageGroupId"] = json!("g");
        entry["MessageDeduplicationId"] = json!("id");
        assert!(send(DEAD_LETTER_QUEUES[1], &entry).is_ok());
        entry["MessageAttributes"]["Rejected.Reason"] = Value::Null;
        assert!(send(DEAD_LETTER_QUEUES[1], &entry).is_err(), "no reason");
    }
}
