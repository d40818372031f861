//! The worst events that Lambda can deliver.

use serde_json::{Map, Value, json, value::RawValue};

/// Lambda's limit of an event, in bytes.
pub(crate) const MOST_BYTES: usize = 6 << 20;
/// Lambda's limit of records.
pub(crate) const MOST_RECORDS: usize = 10_000;
/// SQS' limit of a message, in bytes.
pub(crate) const LONGEST_MESSAGE: usize = 1 << 20;

/// What an event is made of.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// The number of records, or as many as fit.
    pub(crate) records: usize,
    /// What a body repeats, as it is in the event between its quotes.
    pub(crate) body: &'static str,
    /// The most bytes of a body as SQS counts them, each repetition of these bytes.
    pub(crate) bytes_each: usize,
    /// What is before and behind the repetitions.
    pub(crate) around: (&'static str, &'static str),
    /// Message attributes.
    pub(crate) attributes: usize,
    /// Whether the queue keeps an order.
    pub(crate) fifo: bool,
}

impl Shape {
    /// Many small records.
    pub(crate) const MANY: Shape = Shape {
        records: MOST_RECORDS,
        body: "x",
        bytes_each: 1,
        around: ("", ""),
        attributes: 0,
        fifo: false,
    };

    /// The fewest records with this many bytes, of text that is not JSON.
    pub(crate) const LARGE: Shape = Shape { records: 6, ..Shape::MANY };

    /// The event, as large as Lambda and SQS allow.
    pub(crate) fn event(&self) -> Vec<u8> {
        let overhead = self.record(0, 0).len() + 1;
        let records = self.records.min((MOST_BYTES - 16) / overhead);
        let room = (MOST_BYTES - 16) / records - overhead;
        let repeats = (room / self.body.len()).min((LONGEST_MESSAGE - 4_096) / self.bytes_each);
        let records: Vec<_> = (0..records).map(|n| self.record(n, repeats)).collect();
        let event = format!(r#"{{"Records":[{}]}}"#, records.join(","));
        assert!(event.len() <= MOST_BYTES, "{}", event.len());
        event.into_bytes()
    }

    fn record(&self, number: usize, repeats: usize) -> String {
        let (before, behind) = self.around;
        let body = format!("\"{before}{}{behind}\"", self.body.repeat(repeats));
        let attribute = |n: usize| {
            (format!("attribute-{n}"), json!({"dataType": "String", "stringValue": "a \"quoted\" value"}))
        };
        let attributes: Map<String, Value> = (0..self.attributes).map(attribute).collect();
        let fields = json!({
            "messageId": format!("{number:08x}-87a3-44ab-83d2-661975830a7d"),
            "receiptHandle": format!("AQEB{number:060x}"),
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": "1781000000000",
                "SenderId": "AIDAEXAMPLESENDER000",
                "ApproximateFirstReceiveTimestamp": "1781000000012",
                "MessageGroupId": "group",
            },
            "messageAttributes": attributes,
            "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
            "eventSource": "aws:sqs",
            "eventSourceARN":
                format!("arn:aws:sqs:eu-west-1:123456789012:queue{}", if self.fifo { ".fifo" } else { "" }),
            "awsRegion": "eu-west-1",
        });
        let body = RawValue::from_string(body).expect("a JSON string");
        let mut record = serde_json::to_string(&fields).expect("it is JSON");
        record.pop();
        format!("{record},\"body\":{body}}}")
    }
}

/// Nested brackets instead of an SQS event.
pub(crate) fn brackets(key: &str) -> Vec<u8> {
    let depth = MOST_BYTES / 2 - 64;
    format!(r#"{{"{key}":{}{}}}"#, "[".repeat(depth), "]".repeat(depth)).into_bytes()
}
