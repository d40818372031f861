//! What a message's producer says, and what Perseus hears.

use aws_sdk_sqs::{
    primitives::Blob,
    types::{MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue},
};
use lab::perseus::{Perseus, Reply};
use serde_json::{Value, json};

use crate::{
    event::event,
    function,
    mapping::Mapping,
    queue::{Kind, Queue},
    server::Server,
};

const TRACE: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
/// JSON whose spaces, order, repeated key and precision an encoder would not keep.
const BODIES: [&str; 5] = [
    r#"{ "z":1.10, "a" : [ ],"z":12345678901234567890.5 }"#,
    "plain text \u{2603}, \"quoted\"",
    "42",
    "{\"cut\":",
    " ",
];

#[tokio::test]
#[ignore = "needs an SQS server: run by .ci/run"]
async fn bodies_and_attributes_of_every_type_arrive_as_they_were_sent() {
    let server = Server::start().await;
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let queue = Queue::create(&server, Kind::Fifo, 1).await;
    let mut sequence = Vec::new();
    for (number, body) in BODIES.into_iter().enumerate() {
        let send = queue.send(|message| {
            message
                .message_body(body)
                .message_group_id("group")
                .message_deduplication_id(format!("deduplication-{number}"))
                .set_message_attributes(Some(attributes().into()))
        });
        sequence.push(send.await.sequence_number.unwrap());
    }
    let environment = function::start(&perseus).await;
    Mapping::new(&queue, &environment, 10).drain().await;

    let records = perseus.committed_records();
    let posted: Vec<Value> =
        BODIES.iter().map(|body| serde_json::from_str(body).unwrap_or(json!(body))).collect();
    assert_eq!(records.iter().map(|record| record["body"].clone()).collect::<Vec<_>>(), posted);
    let first = String::from_utf8(perseus.received()[0].plain.to_vec()).unwrap();
    assert!(first.contains(BODIES[0]), "not byte for byte: {first}");
    for (number, record) in records.iter().enumerate() {
        assert_eq!(record["groupId"], "group");
        assert_eq!(record["deduplicationId"], format!("deduplication-{number}"));
        assert_eq!(record["sequenceNumber"], sequence[number]);
        assert_eq!(record["receiveCount"], 1);
        assert!(record["sentTimestamp"].as_u64().unwrap() > 1_500_000_000_000);
        assert_eq!(record["attributes"], posted_attributes());
    }
    assert_eq!(perseus.violations(), [""; 0]);
}

/// Every other test stands on this one: the event has what Lambda's has, and under Lambda's names.
#[tokio::test]
#[ignore = "needs an SQS server: run by .ci/run"]
async fn the_event_is_what_lambda_makes_of_the_message() {
    let server = Server::start().await;
    let queue = Queue::create(&server, Kind::Standard, 1).await;
    let trace =
        MessageSystemAttributeValue::builder().data_type("String").string_value(TRACE).build().unwrap();
    let sent = queue
        .send(|message| {
            message
                .message_body("reading")
                .set_message_attributes(Some(attributes().into()))
                .message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, trace)
        })
        .await;
    let plain = queue.send(|message| message.message_body("no attributes")).await;
    let event = event(&queue.arn, &queue.receive(10).await);

    let [record, bare] = event["Records"].as_array().unwrap().as_slice() else { panic!("{event}") };
    assert_eq!(record["messageId"], sent.message_id.unwrap());
    assert!(record["receiptHandle"].as_str().is_some_and(|handle| !handle.is_empty()));
    assert_eq!(record["body"], "reading");
    assert_eq!(record["md5OfBody"], sent.md5_of_message_body.unwrap());
    assert_eq!(record["md5OfMessageAttributes"], sent.md5_of_message_attributes.unwrap());
    assert_eq!(record["attributes"]["ApproximateReceiveCount"], "1");
    assert_eq!(record["attributes"]["AWSTraceHeader"], TRACE);
    for name in ["SenderId", "SentTimestamp", "ApproximateFirstReceiveTimestamp"] {
        assert!(record["attributes"][name].is_string(), "{name} in {record}");
    }
    assert_eq!(record["eventSource"], "aws:sqs");
    assert_eq!(record["eventSourceARN"], "arn:aws:sqs:eu-central-1:123456789012:readings");
    assert_eq!(record["awsRegion"], "eu-central-1");
    assert_eq!(record["messageAttributes"], event_attributes());
    assert_eq!(bare["messageId"], plain.message_id.unwrap());
    assert_eq!(bare["messageAttributes"], json!({}));
}

fn attributes() -> [(String, MessageAttributeValue); 5] {
    let text = |name: &str, kind: &str, value: &str| {
        let value = MessageAttributeValue::builder().data_type(kind).string_value(value);
        (name.to_owned(), value.build().unwrap())
    };
    let bytes = |name: &str, kind: &str, value: &[u8]| {
        let value = MessageAttributeValue::builder().data_type(kind).binary_value(Blob::new(value));
        (name.to_owned(), value.build().unwrap())
    };
    [
        text("site", "String", "Z\u{fc}rich \"west\""),
        text("unit", "String.symbol", "\u{b0}C"),
        text("value", "Number", "-273.150"),
        bytes("checksum", "Binary", &[0, 0xff, 0x80, b'\n']),
        bytes("image", "Binary.png", b"\x89PNG"),
    ]
}

/// What is posted of them.
fn posted_attributes() -> Value {
    json!({
        "site": {"dataType": "String", "stringValue": "Z\u{fc}rich \"west\""},
        "unit": {"dataType": "String.symbol", "stringValue": "\u{b0}C"},
        "value": {"dataType": "Number", "stringValue": "-273.150"},
        "checksum": {"dataType": "Binary", "binaryValue": "AP+ACg=="},
        "image": {"dataType": "Binary.png", "binaryValue": "iVBORw=="},
    })
}

/// What the event has of them: the same, with the lists of the API, which SQS has never filled.
fn event_attributes() -> Value {
    let mut attributes = posted_attributes();
    for attribute in attributes.as_object_mut().unwrap().values_mut() {
        attribute["stringListValues"] = json!([]);
        attribute["binaryListValues"] = json!([]);
    }
    attributes
}
