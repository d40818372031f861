//! The messages of a run. Everything about a message follows from its number, so a million of them take no memory.

use std::fmt::Write;

use md5::{Digest, Md5};
use rand::RngExt;
use serde_json::{Value, json};

use crate::{
    clock::EPOCH_MS,
    seeded_rng::SeededRng,
    sqs::{
        names::{ACCOUNT, QUEUES, REGION},
        queue::{Delivery, Number},
    },
};

/// The first sequence number of a FIFO queue looks like this one.
const FIRST_SEQUENCE: u128 = 18_849_496_460_467_696_128;
/// One message in so many is plain text and not JSON.
const PLAIN_TEXT_IN: u64 = 16;
/// The start of a plain text body.
const PLAIN_TEXT: &str = "reading ";

/// The messages of a run.
#[derive(Clone, Debug)]
pub(crate) struct Messages {
    seeded: SeededRng,
    pub(crate) message: MessageSettings,
}

/// What the messages are like.
#[derive(Clone, Debug)]
pub(crate) struct MessageSettings {
    /// The share of poison: messages that Perseus never accepts.
    pub(crate) poison: f64,
    /// The bytes of padding of a body, at least and at most.
    pub(crate) padding: (usize, usize),
    /// The message groups of a FIFO queue; none on a standard one.
    pub(crate) groups: Option<u32>,
}

impl Messages {
    pub(crate) fn new(seeded: SeededRng, message: MessageSettings) -> Self {
        Self { seeded, message }
    }

    pub(crate) fn id(&self, number: Number) -> String {
        let mixed = self.seeded.fork(number).fork(1_u64).number();
        format!(
            "{number:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            mixed & 0xffff,
            (mixed >> 16) & 0xfff,
            (mixed >> 28) & 0xfff,
            (mixed >> 16) & 0xffff_ffff_ffff
        )
    }

    /// The message with this id. None if no message of this run has it.
    pub(crate) fn number(&self, id: &str) -> Option<Number> {
        let number = Number::from_str_radix(id.get(..8)?, 16).ok()?;
        (self.id(number) == id).then_some(number)
    }

    pub(crate) fn is_poison(&self, number: Number) -> bool {
        self.seeded.fork(number).fork(2_u64).chance(self.message.poison)
    }

    /// The id of the message's group on a FIFO queue.
    pub(crate) fn group_id(&self, number: Number) -> Option<String> {
        self.group(number).map(|group| format!("group-{group}"))
    }

    /// The message's group on a FIFO queue. A few groups have most of the messages.
    pub(crate) fn group(&self, number: Number) -> Option<u32> {
        let groups = self.message.groups?;
        let draw: f64 = self.seeded.fork(number).fork(3_u64).rng().random();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "less than `groups`")]
        Some((f64::from(groups) * draw * draw) as u32)
    }

    /// The text that the producer sent.
    pub(crate) fn body(&self, number: Number) -> String {
        let padding = "x".repeat(self.padding(number));
        if self.is_poison(number) {
            format!(r#"{{"n":{number},"poison":true,"padding":"{padding}"}}"#)
        } else if self.is_plain_text(number) {
            format!("{PLAIN_TEXT}{number} \"{padding}\"")
        } else {
            format!(r#"{{"n":{number},"padding":"{padding}"}}"#)
        }
    }

    /// The message with this body. None if no message of this run has it.
    pub(crate) fn number_of(&self, body: &Value) -> Option<Number> {
        let number = match body {
            Value::String(text) => text.strip_prefix(PLAIN_TEXT)?.split(' ').next()?.parse().ok()?,
            _ => Number::try_from(body["n"].as_u64()?).ok()?,
        };
        self.is_intact(number, body).then_some(number)
    }

    /// Whether this is the body of that message, unchanged.
    pub(crate) fn is_intact(&self, number: Number, body: &Value) -> bool {
        match body {
            Value::String(text) => *text == self.body(number),
            _ => {
                body["n"] == number
                    && body["padding"].as_str().is_some_and(|text| text.len() == self.padding(number))
                    && is_poison(body) == self.is_poison(number)
            }
        }
    }

    /// The SQS event that Lambda makes of a batch.
    pub(crate) fn event(&self, batch: &[Delivery]) -> Vec<u8> {
        let mut event = String::with_capacity(batch.len() * (500 + self.message.padding.1));
        event.push_str(r#"{"Records":["#);
        for (index, delivery) in batch.iter().enumerate() {
            if index > 0 {
                event.push(',');
            }
            self.write_record(&mut event, delivery);
        }
        event.push_str("]}");
        event.into_bytes()
    }

    /// The message that `ReceiveMessage` returns: the record of an event under other names.
    pub(crate) fn received(&self, delivery: &Delivery) -> Value {
        let mut record = String::new();
        self.write_record(&mut record, delivery);
        let mut record: Value = serde_json::from_str(&record).unwrap_or_default();
        let body = record["body"].take();
        let md5 = hex(&Md5::digest(body.as_str().unwrap_or_default()));
        json!({
            "MessageId": record["messageId"],
            "ReceiptHandle": record["receiptHandle"],
            "MD5OfBody": md5,
            "Body": body,
            "Attributes": record["attributes"],
        })
    }

    fn write_record(&self, event: &mut String, delivery: &Delivery) {
        let number = delivery.receipt.message;
        let id = self.id(number);
        let handle = delivery.receipt.handle();
        let body = Value::String(self.body(number));
        let sent = EPOCH_MS + u64::from(delivery.sent);
        let receives = delivery.receives;
        let fifo = self.group_id(number).map_or_else(String::new, |group| {
            format!(
                r#","MessageGroupId":"{group}","MessageDeduplicationId":"{id}","SequenceNumber":"{}""#,
                FIRST_SEQUENCE + u128::from(number)
            )
        });
        let queue = QUEUES[usize::from(self.message.groups.is_some())];
        write!(
            event,
            r#"{{"messageId":"{id}","receiptHandle":"{handle}","body":{body},"attributes":{{"ApproximateReceiveCount":"{receives}","SentTimestamp":"{sent}","SenderId":"AIDAIENQZJOLO23YVJ4VO","ApproximateFirstReceiveTimestamp":"{sent}"{fifo}}},"messageAttributes":{{}},"md5OfBody":"e4e68fb7bd0e697a0ae8f1bb342846b3","eventSource":"aws:sqs","eventSourceARN":"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}","awsRegion":"{REGION}"}}"#
        )
        .unwrap_or_else(|_| unreachable!("a string takes any text"));
    }

    fn is_plain_text(&self, number: Number) -> bool {
        self.seeded.fork(number).fork(4_u64).number().is_multiple_of(PLAIN_TEXT_IN)
    }

    fn padding(&self, number: Number) -> usize {
        let (least, most) = self.message.padding;
        self.seeded.fork(number).fork(5_u64).rng().random_range(least..=most)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether Perseus never accepts a record with this body.
pub(crate) fn is_poison(body: &Value) -> bool {
    body["poison"] == true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqs::queue::Receipt;

    fn messages(groups: Option<u32>) -> Messages {
        Messages::new(SeededRng::new(7), MessageSettings { poison: 0.1, padding: (10, 90), groups })
    }

    fn delivery(message: Number) -> Delivery {
        Delivery { receipt: Receipt { message, receive: 2 }, receives: 2, sent: 5, is_copy: false }
    }

    #[test]
    fn only_an_id_of_the_run_names_a_message() {
        let messages = messages(None);
        for number in [0, 1, 77_000_000] {
            assert_eq!(messages.number(&messages.id(number)), Some(number));
        }
        let mut altered = messages.id(5);
        altered.replace_range(35.., "z");
        for id in ["", "00000005", &altered] {
            assert_eq!(messages.number(id), None, "{id}");
        }
    }

    #[test]
    fn an_event_is_one_the_function_can_read() {
        for groups in [None, Some(3)] {
            let messages = messages(groups);
            let batch: Vec<_> = (0..200).map(delivery).collect();
            let event: Value = serde_json::from_slice(&messages.event(&batch)).expect("an event is JSON");
            let records = event["Records"].as_array().expect("an event has records");
            assert_eq!(records.len(), 200);
            for (number, record) in (0..).zip(records) {
                let text = record["body"].as_str().expect("a body is text");
                let body = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
                assert!(messages.is_intact(number, &body), "{body}");
                assert!(!messages.is_intact(number + 1, &body), "{body}");
                assert_eq!(messages.number_of(&body), Some(number));
                assert_eq!(is_poison(&body), messages.is_poison(number));
                assert_eq!(record["attributes"]["MessageGroupId"].is_string(), groups.is_some());
            }
            assert!(records.iter().any(|record| !record["body"].as_str().unwrap_or("{").starts_with('{')));
        }
    }
}
