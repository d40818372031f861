//! Sends rejected records to the queue for rejected records (`REJECTED_QUEUE_URL`).
//!
//! Without this, a rejected record comes back until its receives are used up. Each time Perseus gets the requests that
//! search for it again, and on a FIFO queue it blocks its group. With this, it causes those requests once. The record
//! counts as done only after SQS has confirmed the message, because Lambda deletes records that are done.
//!
//! **The message.** The body is unchanged. Five attributes say why the record was rejected: `STATUS`, `REASON`,
//! `RECEIVE_COUNT`, `SOURCE_QUEUE`, `MESSAGE_ID`. SQS allows ten attributes, and these five come first. The record's
//! own attributes follow in order of their names while there is room. If the body leaves no room for the five within SQS'
//! limit of 1 MiB, the record is not sent: the source queue's redrive policy then moves it unchanged.
//!
//! **FIFO.** On a FIFO target the message keeps its group, and its message id is the deduplication id. So a message whose
//! confirmation was lost is not doubled when it is sent again within SQS' deduplication window of five minutes. The
//! records behind it in its group were withheld in this invocation and come back. Only the first failed record of a group
//! is sent: see `Ledger::dead_letters`.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::{task::yield_now, time::Instant};

use crate::{
    aws::failure::Failure,
    decode::{
        event::{Envelope, Event},
        field::text,
        json::scan::read_object,
    },
    settle::{ledger::Ledger, rejection::Rejection},
    sqs::{
        action::{Action, MOST_ENTRIES},
        client::Sqs,
        queue::Queue,
    },
    telemetry::messages::{self, log_line},
    yield_budget::AT_A_TIME,
};

/// The status with which Perseus refused the record. Absent if the function could not read the record.
pub(crate) const STATUS: &str = "Rejected.Status";
/// The reason, in a few words.
pub(crate) const REASON: &str = "Rejected.Reason";
/// How often the record had been received.
pub(crate) const RECEIVE_COUNT: &str = "Rejected.ReceiveCount";
/// The ARN of the source queue, if all records of the event name the same.
pub(crate) const SOURCE_QUEUE: &str = "Rejected.SourceQueue";
/// The message id in the source queue.
pub(crate) const MESSAGE_ID: &str = "Rejected.MessageId";

/// SQS' limits: attributes of a message, and bytes of a message or of all messages of a call
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>).
const MOST_ATTRIBUTES: usize = 10;
const MOST_BYTES: usize = 1 << 20;

const LOOP: &str = "REJECTED_QUEUE_URL is the queue that the records come from";
const UNSENDABLE: &str = "too large, or no text";

/// A message to the queue for rejected records.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Message<'a> {
    /// The size as SQS counts it: the body, and the names, types and values of the attributes.
    #[serde(skip)]
    bytes: usize,
    /// How many of the record's own attributes had no room.
    #[serde(skip)]
    omitted: usize,
    /// The JSON string as the event has it: it is copied without decoding.
    message_body: &'a RawValue,
    message_attributes: BTreeMap<Cow<'a, str>, Attribute<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_group_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_deduplication_id: Option<&'a str>,
}

/// An attribute. Lambda's event has its fields in camelCase, SQS takes them in PascalCase.
#[derive(Serialize, Deserialize)]
#[serde(rename_all(serialize = "PascalCase", deserialize = "camelCase"))]
struct Attribute<'a> {
    #[serde(borrow)]
    data_type: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    string_value: Option<Cow<'a, str>>,
    /// Base64, in the event and in the call.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    binary_value: Option<Cow<'a, str>>,
}

impl<'a> Attribute<'a> {
    fn new(data_type: &'static str, value: impl Into<Cow<'a, str>>) -> Self {
        let data_type = Cow::Borrowed(data_type);
        Attribute { data_type, string_value: Some(value.into()), binary_value: None }
    }

    /// Whether SQS accepts it. SQS accepts what it delivered, but a hand-made event can have anything, and one invalid
    /// attribute makes SQS refuse a whole call.
    fn is_valid_for_sqs(&self) -> bool {
        let is_typed = |kind: &str| self.data_type.split('.').next() == Some(kind);
        match (&self.string_value, &self.binary_value) {
            (Some(text), None) => !text.is_empty() && (is_typed("String") || is_typed("Number")),
            (None, Some(base64)) => {
                !base64.is_empty() && is_typed("Binary") && BASE64_STANDARD.decode(base64.as_bytes()).is_ok()
            }
            _ => false,
        }
    }

    fn bytes(&self, name: &str) -> usize {
        let text = self.string_value.as_ref().map_or(0, |text| text.len());
        // Base64 has four letters for three bytes. Padding makes this at most two bytes too many.
        let binary = self.binary_value.as_ref().map_or(0, |base64| base64.len().div_ceil(4) * 3);
        name.len() + self.data_type.len() + text + binary
    }
}

impl<'a> Message<'a> {
    /// The message for a rejected record. None if SQS would refuse it.
    fn new(
        envelope: &'a Envelope<'a>,
        rejection: Option<&Rejection>,
        source: Option<&'a str>,
        to_fifo: bool,
    ) -> Option<Self> {
        let body = envelope.body?;
        // SQS accepts only text, and no empty message.
        let body_bytes = text(body)?.len();
        if body_bytes == 0 {
            return None;
        }
        let mut message = Message {
            bytes: body_bytes,
            omitted: 0,
            message_body: serde_json::from_str(body).ok()?,
            message_attributes: BTreeMap::new(),
            message_group_id: None,
            message_deduplication_id: None,
        };
        let has_room = rejection_attributes(envelope, rejection, source)
            .all(|(name, attribute)| message.attach(name.into(), attribute));
        if !has_room {
            return None;
        }
        for (name, attribute) in own_attributes(envelope) {
            if !message.attach(name, attribute) {
                message.omitted += 1;
            }
        }
        if to_fifo {
            let id = envelope.message_id.as_ref();
            message.message_group_id = Some(envelope.group().unwrap_or(Cow::Borrowed(id)));
            message.message_deduplication_id = Some(id);
        }
        Some(message)
    }

    /// Adds an attribute unless one of that name exists. Returns false if there is no room.
    fn attach(&mut self, name: Cow<'a, str>, attribute: Attribute<'a>) -> bool {
        // The record's own attribute of this name is from an earlier rejection and out of date.
        if self.message_attributes.contains_key(&name) {
            return true;
        }
        let bytes = self.bytes + attribute.bytes(&name);
        let has_room = self.message_attributes.len() < MOST_ATTRIBUTES && bytes <= MOST_BYTES;
        if has_room {
            self.bytes = bytes;
            self.message_attributes.insert(name, attribute);
        }
        has_room
    }
}

/// The attributes that say why the record was rejected.
fn rejection_attributes<'a>(
    envelope: &'a Envelope<'a>,
    rejection: Option<&Rejection>,
    source: Option<&'a str>,
) -> impl Iterator<Item = (&'static str, Attribute<'a>)> {
    let number = |number: String| Attribute::new("Number", number);
    let reason = rejection.map_or_else(|| "rejected".to_owned(), ToString::to_string);
    [
        (STATUS, rejection.and_then(Rejection::status).map(|status| number(status.to_string()))),
        (REASON, Some(Attribute::new("String", reason))),
        (RECEIVE_COUNT, envelope.receive_count().map(|count| number(count.to_string()))),
        (SOURCE_QUEUE, source.map(|source| Attribute::new("String", source))),
        (MESSAGE_ID, Some(Attribute::new("String", envelope.message_id.as_ref()))),
    ]
    .into_iter()
    .filter_map(|(name, attribute)| Some((name, attribute?)))
}

/// The record's own attributes, by name. Leaves out those that are unreadable or invalid: it is better to send the body
/// without them than not at all.
fn own_attributes<'a>(envelope: &Envelope<'a>) -> BTreeMap<Cow<'a, str>, Attribute<'a>> {
    let attributes: BTreeMap<String, &RawValue> =
        envelope.message_attributes.and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
    let read = |(name, attribute): (String, &'a RawValue)| {
        let attribute: Attribute<'a> = read_object(attribute.get())?;
        attribute.is_valid_for_sqs().then_some((Cow::Owned(name), attribute))
    };
    attributes.into_iter().filter_map(read).collect()
}

/// The size of each record as a message, in bytes. Leaves out those that cannot be sent, and stops at `until`.
async fn sizes(
    slots: &[usize],
    mut size: impl FnMut(usize) -> Option<usize>,
    until: Instant,
) -> Vec<(usize, usize)> {
    let mut sizes = Vec::with_capacity(slots.len());
    let mut made = 0;
    for &slot in slots {
        if Instant::now() >= until {
            break;
        }
        if let Some(size) = size(slot) {
            sizes.push((slot, size));
            // A message costs time beyond its bytes.
            made += size + 1_024;
        }
        if made >= AT_A_TIME {
            made = 0;
            yield_now().await;
        }
    }
    sizes
}

/// Groups messages of these sizes into calls, in order.
fn calls(sizes: impl IntoIterator<Item = (usize, usize)>) -> Vec<Vec<usize>> {
    let mut calls: Vec<Vec<usize>> = Vec::new();
    let mut bytes = 0;
    for (slot, size) in sizes {
        bytes += size;
        match calls.last_mut().filter(|call| call.len() < MOST_ENTRIES && bytes <= MOST_BYTES) {
            Some(call) => call.push(slot),
            None => {
                bytes = size;
                calls.push(vec![slot]);
            }
        }
    }
    calls
}

/// Sends the rejected records of an event to `target`, and marks those that SQS confirms by `until` in the ledger. The
/// others are reported to Lambda as before.
pub(crate) async fn send(
    sqs: &Sqs,
    target: &Queue,
    event: &Event<'_>,
    ledger: &Ledger<'_>,
    request_id: &str,
    until: Instant,
) {
    let rejected = ledger.dead_letters();
    if rejected.is_empty() {
        return;
    }
    let arn = event.queue.as_deref();
    let source = arn.and_then(|arn| Queue::of_arn(arn, &sqs.settings));
    let sent = if source.is_some_and(|source| source.is(target)) {
        Sent { reason: LOOP.to_owned(), ..Sent::default() }
    } else {
        send_all(sqs, target, event, ledger, &rejected, until).await
    };
    if sent.messages < rejected.len() {
        log_line!(
            messages::DEAD_LETTERS_NOT_SENT,
            requestId = request_id,
            reason = sent.reason,
            records = rejected.len(),
            sent = sent.messages
        );
    }
    if sent.omitted > 0 {
        log_line!(messages::ATTRIBUTES_OMITTED, requestId = request_id, attributes = sent.omitted);
    }
}

/// What came of the rejected records.
#[derive(Default)]
struct Sent {
    /// Messages that SQS confirmed.
    messages: usize,
    /// Attributes of the records that are not in those messages.
    omitted: usize,
    /// Why not all records were sent, if not all were.
    reason: String,
}

async fn send_all(
    sqs: &Sqs,
    target: &Queue,
    event: &Event<'_>,
    ledger: &Ledger<'_>,
    rejected: &[usize],
    until: Instant,
) -> Sent {
    let message = |slot: usize| {
        let rejection = ledger.refusal(slot);
        Message::new(&event.envelopes[slot], rejection.as_ref(), event.queue.as_deref(), target.is_fifo())
    };
    let mut sent = Sent::default();
    let mut omitted = HashMap::new();
    // Each message is made twice, here for its size and again for its call: all at once could take much memory.
    let size = |slot| {
        let message = message(slot)?;
        omitted.insert(slot, message.omitted);
        Some(message.bytes)
    };
    let calls = calls(sizes(rejected, size, until).await);
    let done = |slot| {
        ledger.dead_letter(slot);
        sent.messages += 1;
        sent.omitted += omitted[&slot];
    };
    let failure = sqs.ask_all(target, Action::SendMessageBatch, &calls, message, until, done).await;
    let failure = failure.or((Instant::now() >= until).then_some(Failure::Timeout));
    sent.reason = failure.map_or_else(|| UNSENDABLE.to_owned(), |failure| failure.to_string());
    sent
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use serde_json::{Value, json};

    use super::*;

    const SOURCE: &str = "arn:aws:sqs:eu-west-1:123456789012:q";

    /// The message for a record with these fields.
    fn sent(fields: Value, rejection: &Rejection, to_fifo: bool) -> Option<Value> {
        let mut record = json!({"messageId": "m", "eventSource": "aws:sqs"});
        record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let event = json!({"Records": [record]}).to_string();
        let event = Event::parse(event.as_bytes()).unwrap();
        let message = Message::new(&event.envelopes[0], Some(rejection), Some(SOURCE), to_fifo)?;
        Some(serde_json::to_value(&message).unwrap())
    }

    fn refused() -> Rejection {
        Rejection::Alone(400, "missing field".to_owned())
    }

    fn attributes(count: usize) -> Value {
        let attribute = |n| (format!("a{n:02}"), json!({"dataType": "String", "stringValue": "x"}));
        Value::Object((0..count).map(attribute).collect())
    }

    #[test]
    fn the_reasons_for_records_that_are_not_sent_are_explained_in_the_documents() {
        let page = include_str!("../../docs/log-lines.md");
        for reason in [UNSENDABLE, LOOP] {
            assert!(page.contains(&format!("`{reason}`")), "{reason}");
        }
    }

    #[test]
    fn a_message_has_the_body_and_the_reason_for_the_rejection() {
        let fields = json!({"body": "\u{e9}\n{}", "attributes": {"ApproximateReceiveCount": "3", "MessageGroupId": "g"}});
        let text = |text: &str| json!({"DataType": "String", "StringValue": text});
        let number = |number: &str| json!({"DataType": "Number", "StringValue": number});
        let mut expected = json!({
            "MessageBody": "\u{e9}\n{}",
            "MessageAttributes": {
                "Rejected.Status": number("400"),
                "Rejected.Reason": text("status 400: missing field"),
                "Rejected.ReceiveCount": number("3"),
                "Rejected.SourceQueue": text(SOURCE),
                "Rejected.MessageId": text("m"),
            },
        });
        assert_eq!(sent(fields.clone(), &refused(), false).unwrap(), expected);
        expected["MessageGroupId"] = json!("g");
        expected["MessageDeduplicationId"] = json!("m");
        assert_eq!(sent(fields, &refused(), true).unwrap(), expected);
    }

    #[test]
    fn attributes_that_sqs_would_refuse_are_left_out() {
        let fields = json!({
            "body": "x",
            "attributes": {"ApproximateReceiveCount": "many", "MessageGroupId": 7},
            "messageAttributes": {
                "good": {"dataType": "Binary", "binaryValue": "AAE=", "stringListValues": []},
                "no base64": {"dataType": "Binary", "binaryValue": "base64Str"},
                "no type": {"stringValue": "x"}, "no SQS type": {"dataType": "S", "stringValue": "x"},
                "other type": {"dataType": "Binary", "stringValue": "x"}, "blank": {"dataType": "String", "stringValue": ""},
                "null": null, "array": ["String", "x"], "empty": {"dataType": "String"},
                "both": {"dataType": "String", "stringValue": "x", "binaryValue": "AAE="},
            },
        });
        let message =
            sent(fields, &Rejection::Unreadable(crate::decode::record::Unreadable::Attributes), true)
                .unwrap();
        let names: Vec<_> = message["MessageAttributes"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["Rejected.MessageId", "Rejected.Reason", "Rejected.SourceQueue", "good"]);
        assert_eq!(
            message["MessageAttributes"]["good"],
            json!({"DataType": "Binary", "BinaryValue": "AAE="})
        );
        assert_eq!(message["MessageAttributes"][REASON]["StringValue"], "its attributes cannot be read");
        assert_eq!(message["MessageGroupId"], "m");
    }

    #[test]
    fn a_record_without_text_is_not_sent() {
        for body in [json!(null), json!({"a": 1}), json!(7), json!("")] {
            assert_eq!(sent(json!({"body": body}), &refused(), false), None, "{body}");
        }
        assert_eq!(sent(json!({}), &refused(), false), None);
    }

    #[test]
    fn the_reason_comes_before_the_records_own_attributes() {
        for (own, kept) in [(0, 0), (6, 6), (7, 6), (10, 6)] {
            let message = sent(json!({"body": "x", "messageAttributes": attributes(own)}), &refused(), false);
            let message = message.unwrap();
            let names: Vec<_> = message["MessageAttributes"].as_object().unwrap().keys().cloned().collect();
            // Four of the five: the receive count is unknown here.
            assert_eq!(names.iter().filter(|name| name.starts_with("Rejected.")).count(), 4);
            let expected: Vec<_> = (0..kept).map(|n| format!("a{n:02}")).collect();
            assert!(names.iter().filter(|name| name.starts_with('a')).eq(&expected), "{own}: {names:?}");
        }
    }

    #[test]
    fn the_reason_of_an_earlier_rejection_is_replaced() {
        let own = json!({REASON: {"dataType": "String", "stringValue": "earlier"}});
        let message = sent(json!({"body": "x", "messageAttributes": own}), &refused(), false).unwrap();
        assert_eq!(message["MessageAttributes"][REASON]["StringValue"], "status 400: missing field");
    }

    #[test]
    fn a_message_is_within_sqs_limits_or_is_not_sent() {
        let bytes = |body: usize, own: usize| {
            let fields = json!({"body": "x".repeat(body), "messageAttributes": attributes(own)});
            let message = sent(fields, &refused(), false)?;
            let attributes = message["MessageAttributes"].as_object().unwrap();
            let text = |value: &Value| value.as_str().unwrap().len();
            let of_attributes: usize = attributes
                .iter()
                .map(|(name, a)| name.len() + text(&a["DataType"]) + text(&a["StringValue"]))
                .sum();
            Some((body + of_attributes, attributes.len()))
        };
        let (why, _) = bytes(1, 0).unwrap();
        let largest = MOST_BYTES - (why - 1);
        assert_eq!(bytes(largest, 0), Some((MOST_BYTES, 4)));
        assert_eq!(bytes(largest, 3), Some((MOST_BYTES, 4)));
        // One attribute of ten bytes has room, two have not.
        assert_eq!(bytes(largest - 19, 3), Some((MOST_BYTES - 9, 5)));
        assert_eq!(bytes(largest + 1, 0), None);
    }

    #[test]
    fn a_binary_attribute_counts_decoded() {
        let attribute: Attribute<'_> =
            serde_json::from_str(r#"{"dataType":"Binary","binaryValue":"AAECAwQF"}"#).unwrap();
        assert_eq!(attribute.bytes("name"), 4 + 6 + 6);
    }

    proptest! {
        #[test]
        fn calls_keep_within_sqs_limits_and_lose_and_reorder_nothing(sizes in vec(1_usize..=MOST_BYTES, 0..60)) {
            let calls = calls(sizes.iter().copied().enumerate());
            let bytes = |call: &[usize]| call.iter().map(|&slot| sizes[slot]).sum::<usize>();
            for call in &calls {
                prop_assert!((1..=MOST_ENTRIES).contains(&call.len()));
                prop_assert!(bytes(call) <= MOST_BYTES);
            }
            for pair in calls.windows(2) {
                prop_assert!(pair[0].len() == MOST_ENTRIES || bytes(&pair[0]) + sizes[pair[1][0]] > MOST_BYTES);
            }
            prop_assert_eq!(calls.concat(), (0..sizes.len()).collect::<Vec<_>>());
        }
    }
}
