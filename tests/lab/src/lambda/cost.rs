//! What the function's work costs: CPU time of one core, computed from the sizes of what the function reads and writes.
//!
//! Simulated runs charge it to the paused clock. They do not measure CPU time: that differs from run to run, so a seed
//! would not repeat its run. And the lab's build of the function is often a debug build, which takes many times as long.
//!
//! The numbers fit the table in docs/sizing.md (`cargo bench --bench end_to_end`) and what `cargo bench --bench compression`
//! prints. They follow from sizes alone, so they do not show work that grows faster than its input: `cargo bench --bench
//! stretch` does.

use std::time::Duration;

use http::header;

use crate::perseus::Received;

// All in nanoseconds.
/// An invocation without its records: the Runtime API, the deadline, a log line.
const INVOCATION: f64 = 250_000.0;
/// A record of an event, until it is in a batch.
const RECORD: f64 = 500.0;
/// A byte of an event: it is received, decoded and copied.
const EVENT_BYTE: f64 = 1.2;
/// A request without its records and its body: idempotency key, headers, connection, the head of the reply.
const REQUEST: f64 = 70_000.0;
/// A record of a request: its id is hashed, its outcome is noted.
const REQUEST_RECORD: f64 = 200.0;
/// A byte that is posted.
const POSTED_BYTE: f64 = 0.7;
/// A byte that is compressed.
const COMPRESSED_BYTE: f64 = 2.4;
/// A byte of a reply.
const REPLY_BYTE: f64 = 5.0;
/// A call to SQS, with up to ten messages.
const SQS_CALL: f64 = 60_000.0;
/// A record when the answer is made: it is in the answer or left out.
const ANSWER_RECORD: f64 = 200.0;

/// Of receiving an event and decoding its records.
pub(crate) fn event(bytes: usize, records: usize) -> Duration {
    nanos(INVOCATION) + each(records, RECORD) + each(bytes, EVENT_BYTE)
}

/// Of building and sending a request.
pub(crate) fn request(request: &Received) -> Duration {
    let is_compressed = request.headers.contains_key(header::CONTENT_ENCODING);
    let compressed = if is_compressed { request.plain.len() } else { 0 };
    sending(request.records.len(), request.body.len()) + each(compressed, COMPRESSED_BYTE)
}

fn sending(records: usize, posted: usize) -> Duration {
    nanos(REQUEST) + each(records, REQUEST_RECORD) + each(posted, POSTED_BYTE)
}

/// Of reading a reply.
pub(crate) fn reply(bytes: usize) -> Duration {
    each(bytes, REPLY_BYTE)
}

/// Of a call to SQS.
pub(crate) fn sqs_call() -> Duration {
    nanos(SQS_CALL)
}

/// Of making the answer.
pub(crate) fn answer(records: usize) -> Duration {
    each(records, ANSWER_RECORD)
}

fn each(count: usize, cost: f64) -> Duration {
    nanos(count as f64 * cost)
}

fn nanos(nanos: f64) -> Duration {
    Duration::from_secs_f64(nanos * 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a record has beside its body, in an event and in a request.
    const IN_EVENT: usize = 500;
    const IN_REQUEST: usize = 100;

    #[test]
    fn an_invocation_costs_what_the_table_in_sizing_says() {
        for (records, body, requests, measured_ms) in [
            (10, 1 << 10, 1, 0.4),
            (1_000, 1 << 10, 10, 4.2),
            (10_000, 300, 100, 31.9),
            (5, 1 << 20, 5, 14.2),
        ] {
            let (of_each, number) = (records / requests, u32::try_from(requests).expect("few"));
            let cost = event(records * (body + IN_EVENT), records)
                + sending(of_each, of_each * (body + IN_REQUEST)) * number
                + answer(records);
            let ratio = cost.as_secs_f64() * 1e3 / measured_ms;
            assert!(
                (0.7..1.3).contains(&ratio),
                "{records} records: {cost:?}, {ratio:.2} of what was measured"
            );
        }
    }
}
