//! What Lambda makes of the messages it receives.

use aws_sdk_sqs::types::{Message, MessageAttributeValue};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

/// The event with these messages of the queue with this ARN.
pub(crate) fn event(queue_arn: &str, messages: &[Message]) -> Value {
    let records: Vec<Value> = messages.iter().map(|message| record(queue_arn, message)).collect();
    json!({ "Records": records })
}

fn record(queue_arn: &str, message: &Message) -> Value {
    let attributes = message.attributes().unwrap().iter();
    let attributes: Map<String, Value> =
        attributes.map(|(name, value)| (name.as_str().to_owned(), json!(value))).collect();
    let named = message.message_attributes().into_iter().flatten();
    let message_attributes: Map<String, Value> =
        named.map(|(name, value)| (name.clone(), message_attribute(value))).collect();
    let mut record = json!({
        "messageId": message.message_id(),
        "receiptHandle": message.receipt_handle(),
        "body": message.body(),
        "attributes": attributes,
        "messageAttributes": message_attributes,
        "md5OfBody": message.md5_of_body(),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(':').nth(3),
    });
    if let Some(md5) = message.md5_of_message_attributes() {
        record["md5OfMessageAttributes"] = json!(md5);
    }
    record
}

fn message_attribute(value: &MessageAttributeValue) -> Value {
    // The lists exist in the API alone: SQS has never filled them, and Lambda passes them on empty.
    let mut attribute = json!({
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": value.data_type(),
    });
    if let Some(text) = value.string_value() {
        attribute["stringValue"] = json!(text);
    }
    if let Some(bytes) = value.binary_value() {
        attribute["binaryValue"] = json!(BASE64_STANDARD.encode(bytes));
    }
    attribute
}
