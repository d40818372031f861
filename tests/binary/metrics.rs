//! The metrics document that an invocation writes to standard output.

use std::time::UNIX_EPOCH;

use lab::{
    environment::Invoke,
    perseus::{Perseus, Reply},
};
use serde_json::{Value, json};

use crate::support::*;

const SCHEMA: &str = include_str!("embedded_metric_format.schema.json");

/// The metrics documents among the lines on standard output.
fn metrics(environment: &lab::environment::Environment) -> Vec<Value> {
    documents(environment).filter(|line| line.get("_aws").is_some()).collect()
}

/// Checks a document against the published schema, and against the rules that only the specification's text has: each
/// declared metric exists, as a number or as at most 100 values with a count each.
fn assert_valid(document: &Value) {
    let schema = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    assert!(schema.is_valid(document), "{document}");
    assert_eq!(document["_aws"].as_object().unwrap().len(), 2, "{document}");
    let directives = document["_aws"]["CloudWatchMetrics"].as_array().unwrap();
    for dimension in directives.iter().flat_map(|directive| directive["Dimensions"][0].as_array().unwrap()) {
        assert!(!document[dimension.as_str().unwrap()].as_str().unwrap().is_empty(), "{document}");
    }
    for metric in directives.iter().flat_map(|directive| directive["Metrics"].as_array().unwrap()) {
        let value = &document[metric["Name"].as_str().unwrap()];
        let numbers = |value: &Value| {
            let numbers = value.as_array().unwrap();
            assert!(numbers.iter().all(Value::is_u64), "{document}");
            numbers.len()
        };
        if !value.is_number() {
            let (values, counts) = (numbers(&value["Values"]), numbers(&value["Counts"]));
            assert!(values == counts && (1..=100).contains(&values), "{document}");
        }
    }
}

#[tokio::test]
async fn each_invocation_writes_one_valid_metrics_document() {
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
    documents.iter().for_each(assert_valid);
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
async fn the_metrics_document_is_valid_for_every_outcome() {
    let perseus = Perseus::start(|request| match &request.message_ids[0][..1] {
        "f" => Reply::status(500),
        "h" => Reply::hang(),
        _ => Reply::ok(),
    })
    .await;
    let settings = [("METRICS", "on"), ("MAX_ATTEMPTS", "1"), ("CUTOFF_RESERVE", "500ms")];
    let environment = environment(&perseus, &settings).await;
    // Ages from a moment to months, and timestamps that no clock shows.
    let now = u64::try_from(UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let mut spread = event(&(0..400).map(|n| format!("m{n}")).collect::<Vec<_>>().join(" "));
    for (n, record) in (0_u32..).zip(spread["Records"].as_array_mut().unwrap()) {
        let sent = match n {
            0 => json!("0"),
            1 => json!("18446744073709551615"),
            2 => json!("x"),
            3 => json!(null),
            _ => json!((now - (1 << (n / 12)) - u64::from(n)).to_string()),
        };
        record["attributes"] = json!({ "SentTimestamp": sent });
    }
    let mut unreadable = event("m");
    unreadable["Records"][0]["messageAttributes"] =
        json!({ "x": { "dataType": "Binary", "binaryValue": 7 } });
    for event in [&event(""), &event("f"), &spread, &unreadable] {
        environment.invoke(event.to_string()).await;
    }
    // One invocation is cut off, and one begins after its deadline.
    environment.invoke_with(within(&event("h"), 1_000)).await;
    environment.invoke_with(Invoke { deadline_ms: 1_600_000_000_000, ..within(&event("m"), 30_000) }).await;
    let documents = metrics(&environment);
    documents.iter().for_each(assert_valid);
    let of = |name: &str| documents.iter().map(|document| document[name].as_u64()).collect::<Vec<_>>();
    assert_eq!(of("Received"), [0, 1, 400, 1, 1, 1].map(Some));
    assert_eq!(of("Acknowledged"), [0, 0, 399, 0, 0, 0].map(Some));
    assert_eq!(of("Rejected"), [0, 0, 1, 1, 0, 0].map(Some));
    assert_eq!(of("Errored"), [0, 1, 0, 0, 1, 0].map(Some));
    assert_eq!(of("Headroom")[5], Some(0));
}

#[tokio::test]
async fn a_failed_invocation_writes_no_metrics_document() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let environment = environment(&perseus, &[("METRICS", "on")]).await;
    environment.invoke("no event").await;
    assert_eq!(metrics(&environment), [] as [Value; 0]);
}

#[tokio::test]
async fn without_the_setting_there_is_no_metrics_document() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let environment = environment(&perseus, &[]).await;
    environment.invoke(event("a").to_string()).await;
    assert_eq!(metrics(&environment), [] as [Value; 0]);
}
