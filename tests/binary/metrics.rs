//! The metrics that an invocation leaves on standard output.

use lab::perseus::{Perseus, Reply};
use serde_json::{Value, json};

use crate::support::*;

const SCHEMA: &str = include_str!("embedded_metric_format.schema.json");

/// The documents among the lines on standard output.
fn metrics(environment: &lab::environment::Environment) -> Vec<Value> {
    documents(environment).filter(|line| line.get("_aws").is_some()).collect()
}

#[tokio::test]
async fn each_invocation_leaves_one_document_that_cloudwatch_takes() {
    let perseus = Perseus::start(|request| match request.number {
        0 => Reply::status(503),
        1 => Reply::ok(),
        _ => Reply::status(404),
    })
    .await;
    let settings = [("METRICS", "on"), ("RETRY_BASE", "1ms"), ("MAX_IN_FLIGHT", "7")];
    let environment = environment(&perseus, &settings).await;
    let mut first = event("a b");
    // The year 2018.
    first["Records"][0]["attributes"] = json!({ "SentTimestamp": "1545082649183" });
    environment.invoke(first.to_string()).await;
    environment.invoke(event("c").to_string()).await;

    let documents = metrics(&environment);
    let schema = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    for document in &documents {
        assert!(schema.is_valid(document), "{document}");
    }
    let [first, second] = &documents[..] else { panic!("{documents:?}") };
    let of = |document: &Value, names: &[&str]| {
        names.iter().map(|name| document[name].as_u64()).collect::<Vec<_>>()
    };
    let names = ["Received", "Acknowledged", "Errored", "Requests", "Retries", "SetUpErrors", "Outage"];
    assert_eq!(of(first, &names), [2, 2, 0, 2, 1, 0, 0].map(Some));
    assert_eq!(of(second, &names), [1, 0, 1, 1, 0, 1, 0].map(Some));
    let body: u64 = perseus.received()[..2].iter().map(|request| request.body.len() as u64).sum();
    assert_eq!(first["BytesSent"], body);
    assert!((1..=30_000).contains(&first["Headroom"].as_u64().unwrap()));
    assert!((1.0..=7.0).contains(&first["InFlightLimit"].as_f64().unwrap()));
    let counts = |document: &Value, name: &str| {
        document[name]["Counts"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((counts(first, "PerseusLatency"), counts(first, "MessageAge")), (2, 1));
    assert!(first["MessageAge"]["Values"][0].as_u64().unwrap() > 200_000_000_000 / 16);
    assert!(second.get("MessageAge").is_none());
}

#[tokio::test]
async fn without_the_setting_there_is_none() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let environment = environment(&perseus, &[]).await;
    environment.invoke(event("a").to_string()).await;
    assert_eq!(metrics(&environment), [] as [Value; 0]);
}
