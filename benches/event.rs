//! SQS events with realistic bodies: JSON objects, full of quotes that the event has to escape.

use std::fmt::{self, Write};

use fastrand::Rng;
use serde_json::{Value, json};

/// The longest item of an order, and the longest rest of a body.
const LONGEST_ITEM: usize = 100;

/// A size of event.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// Its name.
    pub(crate) name: &'static str,
    /// How many records it has.
    pub(crate) records: usize,
    /// The bytes of each body, before the event escapes them.
    pub(crate) body_bytes: usize,
}

/// The sizes that are measured.
pub(crate) const CASES: [Case; 4] = [
    Case { name: "10 × 1 KiB", records: 10, body_bytes: 1 << 10 },
    Case { name: "1,000 × 1 KiB", records: 1_000, body_bytes: 1 << 10 },
    // Ten thousand records are the most that Lambda delivers, but with these bodies they are an event of 7.8 MiB, and
    // it delivers 6 MB.
    Case { name: "10,000 × 300 B", records: 10_000, body_bytes: 300 },
    Case { name: "5 × 1 MiB", records: 5, body_bytes: 1 << 20 },
];

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Case {
    /// The event: the same each time.
    pub(crate) fn event(self) -> Vec<u8> {
        let mut rng = Rng::with_seed(1);
        let records: Vec<_> = (0..self.records).map(|_| record(self.body_bytes, &mut rng)).collect();
        json!({ "Records": records }).to_string().into_bytes()
    }
}

fn record(body_bytes: usize, rng: &mut Rng) -> Value {
    let (id, md5) = (hex(rng), hex(rng));
    json!({
        "messageId": format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]),
        "receiptHandle": format!("AQEB{}{}", hex(rng), hex(rng)),
        "body": body(body_bytes, rng),
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1781000000000",
            "SenderId": "AIDAEXAMPLESENDER000",
            "ApproximateFirstReceiveTimestamp": "1781000000012",
        },
        "messageAttributes": {},
        "md5OfBody": md5,
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:perseus",
        "awsRegion": "eu-west-1",
    })
}

/// An order of as many items as fit, and a note that fills the rest.
fn body(bytes: usize, rng: &mut Rng) -> String {
    let customer = ["Zoë Müller", "Ann Lee", "Joe \\\"J\\\" Doe", "李小龙"][rng.usize(..4)];
    let mut body = format!(
        r#"{{"type":"order.created","orderId":{},"customer":{{"id":{},"name":"{customer}"}},"items":["#,
        rng.u32(..),
        rng.u32(..1_000_000),
    );
    while body.len() + 2 * LONGEST_ITEM < bytes {
        let (sku, quantity, cents) = (rng.u32(..1_000_000), rng.u8(1..9), rng.u8(10..100));
        let gift = rng.u8(..8) == 0;
        write!(
            body,
            r#"{{"sku":"SKU-{sku:06}","quantity":{quantity},"price":{sku}.{cents},"gift":{gift}}},"#
        )
        .expect("a string takes any text");
    }
    body.push_str(r#"null],"note":""#);
    let note: String = "please leave it at the door, the bell does not ring. "
        .chars()
        .cycle()
        .take(bytes.saturating_sub(body.len() + 2))
        .collect();
    body + &note + "\"}"
}

fn hex(rng: &mut Rng) -> String {
    format!("{:032x}", rng.u128(..))
}
