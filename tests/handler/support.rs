//! Events, configurations and servers for the tests.

pub(crate) mod aws;
pub(crate) mod extension;
pub(crate) mod proxy;
pub(crate) mod raw_server;
pub(crate) mod sqs;
pub(crate) mod tls;

use std::{collections::HashMap, ffi::OsString, time::Duration};

use lab::perseus::{Perseus, Received, Reply};
use lambda_runtime::Context;
use perseus_forwarder::{config::Config, decode::event::EventError, lambda::handler::Handler};
use serde_json::{Value, json};

pub(crate) use self::raw_server::{Connection, RawServer};

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A handler that posts to `url`, with these settings.
pub(crate) fn handler(url: &str, settings: &[(&str, &str)]) -> Handler {
    // The same jitter in each run.
    fastrand::seed(7);
    let mut variables: HashMap<_, _> = settings.iter().copied().collect();
    variables.insert("PERSEUS_URL", url);
    let config = Config::from_lookup(|name| variables.get(name).map(OsString::from)).unwrap();
    Handler::new(config).unwrap()
}

/// A Perseus that answers like this, and a handler that posts to it.
pub(crate) async fn forwarder(
    settings: &[(&str, &str)],
    answer: impl FnMut(&Received) -> Reply + Send + 'static,
) -> (Perseus, Handler) {
    let perseus = Perseus::start(answer).await;
    let handler = handler(&perseus.url(), settings);
    (perseus, handler)
}

/// An invocation with `left` until its deadline.
///
/// The deadline is a duration: a date would be compared with the wall clock, which is not paused.
pub(crate) fn context(left: Duration) -> Context {
    let mut context = Context::default();
    context.request_id = "request".to_owned();
    context.deadline = u64::try_from(left.as_millis()).unwrap();
    context
}

/// The reported ids of an event, with 30 s until the deadline.
pub(crate) async fn report(handler: &Handler, event: &Value) -> Vec<String> {
    report_within(handler, event, 30 * SECOND).await
}

/// The reported ids of an event, with `left` until the deadline.
pub(crate) async fn report_within(handler: &Handler, event: &Value, left: Duration) -> Vec<String> {
    try_report(handler, event.to_string().as_bytes(), left).await.unwrap()
}

pub(crate) async fn try_report(
    handler: &Handler,
    payload: &[u8],
    left: Duration,
) -> Result<Vec<String>, EventError> {
    let response = handler.handle(payload, &context(left)).await?;
    Ok(response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect())
}

/// A record of a standard queue.
pub(crate) fn record(id: &str, body: &str) -> Value {
    json!({
        "messageId": id,
        "receiptHandle": "handle",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183"},
        "messageAttributes": {},
        "md5OfBody": "0",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:queue",
        "awsRegion": "eu-west-1",
    })
}

/// An event of these records.
pub(crate) fn event_of(records: impl IntoIterator<Item = Value>) -> Value {
    json!({"Records": records.into_iter().collect::<Vec<_>>()})
}

/// An event of a standard queue with these ids, separated by spaces.
pub(crate) fn event(ids: &str) -> Value {
    event_of(ids.split_whitespace().map(|id| record(id, r#"{"n":1}"#)))
}

/// An event of a standard queue with the ids `m0`, `m1`, …
pub(crate) fn numbered(records: usize) -> Value {
    event_of((0..records).map(|n| record(&format!("m{n}"), "1")))
}

/// An event of a FIFO queue: the first letter of each id is its group.
pub(crate) fn fifo(ids: &str) -> Value {
    event_of(ids.split_whitespace().map(|id| {
        let mut record = record(id, "1");
        record["eventSourceARN"] = json!("arn:aws:sqs:eu-west-1:123456789012:queue.fifo");
        record["attributes"]["MessageGroupId"] = json!(id[..1]);
        record["attributes"]["SequenceNumber"] = json!("18849496460467696128");
        record
    }))
}

/// The message ids of each request so far, separated by spaces.
pub(crate) fn posted(perseus: &Perseus) -> Vec<String> {
    perseus.received().iter().map(|request| request.message_ids.join(" ")).collect()
}

/// Whether a request holds this record.
pub(crate) fn holds(request: &Received, id: &str) -> bool {
    request.message_ids.iter().any(|posted| posted == id)
}
