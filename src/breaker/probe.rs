//! The event for a received message: as Lambda would hand it over.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::sqs::message::{Attribute, Message};

/// An SQS event of one record.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "Records")]
    records: [Record<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    message_id: &'a str,
    body: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_attributes: Option<&'a BTreeMap<String, Attribute>>,
    event_source: &'static str,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: &'a str,
}

/// The payload of an event with this message of the queue with this ARN. The receipt handle is not in it: nobody needs it.
pub(super) fn event(message: &Message, queue: &str) -> Vec<u8> {
    let record = Record {
        message_id: &message.message_id,
        body: &message.body,
        attributes: message.attributes.as_deref(),
        message_attributes: message.message_attributes.as_ref(),
        event_source: "aws:sqs",
        event_source_arn: queue,
    };
    serde_json::to_vec(&Event { records: [record] }).expect("strings and raw JSON always encode")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_event_is_what_lambda_would_make_of_the_message() {
        let message: Message = serde_json::from_value(json!({
            "MessageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
            "ReceiptHandle": "secret",
            "MD5OfBody": "0",
            "Body": "{\"a\":\"\\u00e9\"}",
            "Attributes": {"ApproximateReceiveCount": "3", "MessageGroupId": "g"},
            "MessageAttributes": {
                "kind": {"DataType": "String", "StringValue": "order"},
                "raw": {"DataType": "Binary", "BinaryValue": "AAEC"},
            },
        }))
        .unwrap();
        let queue = "arn:aws:sqs:eu-west-1:123456789012:orders.fifo";
        let event: Value = serde_json::from_slice(&super::event(&message, queue)).unwrap();
        let expected = json!({"Records": [{
            "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
            "body": "{\"a\":\"\\u00e9\"}",
            "attributes": {"ApproximateReceiveCount": "3", "MessageGroupId": "g"},
            "messageAttributes": {
                "kind": {"dataType": "String", "stringValue": "order"},
                "raw": {"dataType": "Binary", "binaryValue": "AAEC"},
            },
            "eventSource": "aws:sqs",
            "eventSourceARN": queue,
        }]});
        assert_eq!(event, expected);
    }
}
