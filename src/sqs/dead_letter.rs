//! Rejected records, straight to the queue for them.
//!
//! Without this a record that Perseus will never take comes back until its receives are used up: each time it
//! costs Perseus the requests in which it is searched for, and on a FIFO queue it holds up its group. Sent
//! away with the reason attached, it costs them once, and counts as done once SQS has confirmed that it has
//! it: never before, since what counts as done is deleted.
//!
//! **What goes along.** The body as it was. Five attributes say why: [`STATUS`], [`REASON`],
//! [`RECEIVE_COUNT`], [`SOURCE_QUEUE`], [`MESSAGE_ID`]. SQS takes ten, and these win: the message's own follow,
//! in the order of their names, as far as there is room. A message whose body leaves no room for the five within SQS'
//! 1 MiB is not sent: the queue's redrive policy moves it whole.
//!
//! **FIFO.** To a FIFO queue it goes in its own group and with its own id for deduplication, so that a
//! confirmation which got lost does not double it (within SQS' five minutes). It has left its group on
//! purpose, so the group goes on behind it in the next delivery; in this one all behind it has been withheld
//! and comes back. Only the first record of a group that has failed is sent: see [`Ledger::dead_letters`].

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::{task::yield_now, time::Instant};
use tracing::warn;

use crate::{
    core_time::AT_A_TIME,
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
        reply::Failure,
    },
};

/// The status with which Perseus refused the record. Not there if the function could not read it.
pub const STATUS: &str = "Rejected.Status";
/// Why, in a few words.
pub const REASON: &str = "Rejected.Reason";
/// How often it had been received.
pub const RECEIVE_COUNT: &str = "Rejected.ReceiveCount";
/// The ARN of the queue that it was in, if all records of the event name the same.
pub const SOURCE_QUEUE: &str = "Rejected.SourceQueue";
/// Its id there.
pub const MESSAGE_ID: &str = "Rejected.MessageId";

/// SQS' limits: attributes of a message; bytes of a message, and of all messages of a call
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>).
const MOST_ATTRIBUTES: usize = 10;
const MOST_BYTES: usize = 1 << 20;

/// A message for the queue for rejected records.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Message<'a> {
    /// As SQS counts them: of the body, and of the attributes' names, types and values.
    #[serde(skip)]
    bytes: usize,
    /// How many of the message's own attributes stay behind.
    #[serde(skip)]
    left_behind: usize,
    /// The JSON string of the event, which is the same text here.
    message_body: &'a RawValue,
    message_attributes: BTreeMap<Cow<'a, str>, Attribute<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_group_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_deduplication_id: Option<&'a str>,
}

/// An attribute, read from the event under Lambda's names and sent under SQS'.
#[derive(Serialize, Deserialize)]
#[serde(rename_all(serialize = "PascalCase", deserialize = "camelCase"))]
struct Attribute<'a> {
    #[serde(borrow)]
    data_type: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    string_value: Option<Cow<'a, str>>,
    /// In base64 on both sides.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    binary_value: Option<Cow<'a, str>>,
}

impl<'a> Attribute<'a> {
    fn new(data_type: &'static str, value: impl Into<Cow<'a, str>>) -> Self {
        let data_type = Cow::Borrowed(data_type);
        Attribute { data_type, string_value: Some(value.into()), binary_value: None }
    }

    /// Whether SQS takes it. What it once gave it does; hand-made events hold all kinds of things, and one such attribute
    /// makes SQS refuse the messages of a whole call.
    fn is_taken_by_sqs(&self) -> bool {
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
        // Base64 takes four letters for three bytes; its padding does not matter here.
        let binary = self.binary_value.as_ref().map_or(0, |base64| base64.len().div_ceil(4) * 3);
        name.len() + self.data_type.len() + text + binary
    }
}

impl<'a> Message<'a> {
    /// The message that a rejected record becomes; none if it cannot be one.
    fn new(
        envelope: &'a Envelope<'a>,
        refusal: Option<&Rejection>,
        source: Option<&'a str>,
        to_fifo: bool,
    ) -> Option<Self> {
        let body = envelope.body?;
        // SQS takes no empty message, and only text.
        let body_bytes = text(body)?.len();
        if body_bytes == 0 {
            return None;
        }
        let mut message = Message {
            bytes: body_bytes,
            left_behind: 0,
            message_body: serde_json::from_str(body).ok()?,
            message_attributes: BTreeMap::new(),
            message_group_id: None,
            message_deduplication_id: None,
        };
        let has_room =
            why(envelope, refusal, source).all(|(name, attribute)| message.attach(name.into(), attribute));
        if !has_room {
            return None;
        }
        for (name, attribute) in own_attributes(envelope) {
            if !message.attach(name, attribute) {
                message.left_behind += 1;
            }
        }
        if to_fifo {
            let id = envelope.message_id.as_ref();
            message.message_group_id = Some(envelope.group().unwrap_or(Cow::Borrowed(id)));
            message.message_deduplication_id = Some(id);
        }
        Some(message)
    }

    /// Attaches an attribute, if there is none of that name yet and there is room. False if there is not.
    fn attach(&mut self, name: Cow<'a, str>, attribute: Attribute<'a>) -> bool {
        // What a record says of an earlier rejection is no longer true.
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

/// What says why a record is where it is.
fn why<'a>(
    envelope: &'a Envelope<'a>,
    refusal: Option<&Rejection>,
    source: Option<&'a str>,
) -> impl Iterator<Item = (&'static str, Attribute<'a>)> {
    let number = |number: String| Attribute::new("Number", number);
    let reason = refusal.map_or_else(|| "rejected".to_owned(), ToString::to_string);
    [
        (STATUS, refusal.and_then(Rejection::status).map(|status| number(status.to_string()))),
        (REASON, Some(Attribute::new("String", reason))),
        (RECEIVE_COUNT, envelope.receive_count().map(|count| number(count.to_string()))),
        (SOURCE_QUEUE, source.map(|source| Attribute::new("String", source))),
        (MESSAGE_ID, Some(Attribute::new("String", envelope.message_id.as_ref()))),
    ]
    .into_iter()
    .filter_map(|(name, attribute)| Some((name, attribute?)))
}

/// The message's own attributes, by name. What cannot be read, or would make SQS refuse the message, is not
/// among them: the body matters more.
fn own_attributes<'a>(envelope: &Envelope<'a>) -> BTreeMap<Cow<'a, str>, Attribute<'a>> {
    let attributes: BTreeMap<String, &RawValue> =
        envelope.message_attributes.and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
    let read = |(name, attribute): (String, &'a RawValue)| {
        let attribute: Attribute<'a> = read_object(attribute.get())?;
        attribute.is_taken_by_sqs().then_some((Cow::Owned(name), attribute))
    };
    attributes.into_iter().filter_map(read).collect()
}

/// How many bytes each of these records takes as a message, for as many as can be made by `until`.
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
            // A message costs more than its bytes.
            made += size + 1_024;
        }
        if made >= AT_A_TIME {
            made = 0;
            yield_now().await;
        }
    }
    sizes
}

/// Puts messages of these sizes into calls, in their order.
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

/// Sends the rejected records of an event to `target`, and notes in the ledger those that are confirmed by
/// `until`. The others are reported as if there were no such queue.
pub async fn send(
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
    let is_loop = source.is_some_and(|source| source.is(target));
    let message = |slot: usize| {
        let refusal = ledger.refusal(slot);
        Message::new(&event.envelopes[slot], refusal.as_ref(), arn, target.is_fifo())
    };
    let mut sent = 0;
    let mut left_behind = 0;
    let mut unattached = HashMap::new();
    let reason = if is_loop {
        "REJECTED_QUEUE_URL is the queue that the records come from".to_owned()
    } else {
        // Made here for its size, and again when it goes: all of them at once could be many.
        let size = |slot| {
            let message = message(slot)?;
            unattached.insert(slot, message.left_behind);
            Some(message.bytes)
        };
        let sizes = sizes(&rejected, size, until).await;
        let note = |slot| {
            ledger.dead_letter(slot);
            sent += 1;
            left_behind += unattached[&slot];
        };
        let failure =
            sqs.ask_all(target, Action::SendMessageBatch, &calls(sizes), message, until, note).await;
        let failure = failure.or((Instant::now() >= until).then_some(Failure::Timeout));
        failure.map_or_else(|| "too large, or no text".to_owned(), |failure| failure.to_string())
    };
    if sent < rejected.len() {
        warn!(
            requestId = request_id,
            reason,
            records = rejected.len(),
            sent,
            "rejected records not sent to REJECTED_QUEUE_URL: they come back"
        );
    }
    if left_behind > 0 {
        warn!(
            requestId = request_id,
            attributes = left_behind,
            "attributes of rejected records not sent to REJECTED_QUEUE_URL: SQS takes ten of a message"
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use serde_json::{Value, json};

    use super::*;

    const SOURCE: &str = "arn:aws:sqs:eu-west-1:123456789012:q";

    /// What a record with these fields is sent as.
    fn sent(fields: Value, refusal: &Rejection, to_fifo: bool) -> Option<Value> {
        let mut record = json!({"messageId": "m", "eventSource": "aws:sqs"});
        record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let event = json!({"Records": [record]}).to_string();
        let event = Event::parse(event.as_bytes()).unwrap();
        let message = Message::new(&event.envelopes[0], Some(refusal), Some(SOURCE), to_fifo)?;
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
    fn a_record_is_sent_with_what_says_why() {
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
    fn what_cannot_be_read_is_sent_as_far_as_it_can_be() {
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
    fn what_is_no_text_or_empty_is_not_sent() {
        for body in [json!(null), json!({"a": 1}), json!(7), json!("")] {
            assert_eq!(sent(json!({"body": body}), &refused(), false), None, "{body}");
        }
        assert_eq!(sent(json!({}), &refused(), false), None);
    }

    #[test]
    fn what_says_why_wins_over_the_messages_own_attributes() {
        for (own, kept) in [(0, 0), (6, 6), (7, 6), (10, 6)] {
            let message = sent(json!({"body": "x", "messageAttributes": attributes(own)}), &refused(), false);
            let message = message.unwrap();
            let names: Vec<_> = message["MessageAttributes"].as_object().unwrap().keys().cloned().collect();
            // Of the five that say why, the receive count is not known here.
            assert_eq!(names.iter().filter(|name| name.starts_with("Rejected.")).count(), 4);
            let expected: Vec<_> = (0..kept).map(|n| format!("a{n:02}")).collect();
            assert!(names.iter().filter(|name| name.starts_with('a')).eq(&expected), "{own}: {names:?}");
        }
    }

    #[test]
    fn an_earlier_rejection_is_history() {
        let own = json!({REASON: {"dataType": "String", "stringValue": "earlier"}});
        let message = sent(json!({"body": "x", "messageAttributes": own}), &refused(), false).unwrap();
        assert_eq!(message["MessageAttributes"][REASON]["StringValue"], "status 400: missing field");
    }

    #[test]
    fn a_message_fits_into_what_sqs_takes_or_is_not_sent() {
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
    fn an_attribute_of_bytes_counts_as_its_bytes() {
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
