//! Starts the function as a process.

#[path = "../handler/support/aws.rs"]
#[allow(dead_code, reason = "the tests of the handler use the rest")]
pub(crate) mod aws;
#[path = "../handler/support/raw_server.rs"]
#[allow(dead_code, reason = "the tests of the handler use the rest")]
mod raw_server;

use std::time::Duration;

use lab::{
    environment::{Environment, Invoke},
    perseus::Perseus,
};
use serde_json::{Value, json};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_perseus-forwarder");

/// A running function that posts to `perseus`, with these settings.
pub(crate) async fn environment(perseus: &Perseus, settings: &[(&str, &str)]) -> Environment {
    let mut builder = Environment::builder(BINARY).env("PERSEUS_URL", perseus.url());
    for (name, value) in settings {
        builder = builder.env(*name, *value);
    }
    builder.start().await.unwrap()
}

/// An invocation with this deadline, as a duration in milliseconds.
pub(crate) fn within(event: &Value, ms: u64) -> Invoke {
    Invoke {
        event: event.to_string().into(),
        deadline_ms: ms,
        wait: Duration::from_millis(ms),
        trace_id: None,
    }
}

/// An event with these ids, separated by spaces.
pub(crate) fn event(ids: &str) -> Value {
    let record = |id| json!({"messageId": id, "body": "{}", "eventSource": "aws:sqs"});
    json!({"Records": ids.split_whitespace().map(record).collect::<Vec<_>>()})
}

/// The same, received from a queue.
pub(crate) fn queue_event(ids: &str) -> Value {
    let mut event = event(ids);
    for record in event["Records"].as_array_mut().unwrap() {
        record["receiptHandle"] = json!("handle");
        record["eventSourceARN"] = json!("arn:aws:sqs:eu-west-1:123456789012:queue");
    }
    event
}

/// The log lines so far with this message.
pub(crate) fn lines(environment: &Environment, message: &str) -> Vec<Value> {
    documents(environment).filter(|line| line["message"] == message).collect()
}

/// All lines on standard output so far. Each is a JSON document.
pub(crate) fn documents(environment: &Environment) -> impl Iterator<Item = Value> {
    environment.logs().into_iter().map(|line| serde_json::from_str(&line).expect(&line))
}
