//! The headers and the body of a request.

use lab::perseus::Reply;
use serde_json::{Value, json};

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn a_request_carries_the_headers_of_the_contract() {
    let (perseus, handler) = forwarder(&[("PERSEUS_TOKEN", "hunter2")], |_| Reply::ok()).await;
    let mut context = context(30 * SECOND);
    let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    context.xray_trace_id = Some(trace.to_owned());
    handler.handle(event("a").to_string().as_bytes(), &context).await.unwrap();
    let request = &perseus.received()[0];
    for (name, value) in [
        ("content-type", "application/json"),
        ("content-length", &request.body.len().to_string()),
        ("user-agent", concat!("perseus-forwarder/", env!("CARGO_PKG_VERSION"))),
        ("authorization", "Bearer hunter2"),
        ("x-amzn-trace-id", trace),
        ("traceparent", "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"),
    ] {
        assert_eq!(request.headers[name], value, "{name}");
    }
    assert!(!request.headers["idempotency-key"].is_empty());
    for name in ["accept-encoding", "content-encoding", "transfer-encoding", "referer", "cookie"] {
        assert!(!request.headers.contains_key(name), "{name}");
    }
    assert_eq!(perseus.violations(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_setting_that_is_not_set_adds_no_header() {
    let (perseus, handler) = forwarder(&[], |_| Reply::ok()).await;
    report(&handler, &event("a")).await;
    for name in ["authorization", "x-amzn-trace-id", "traceparent"] {
        assert!(!perseus.received()[0].headers.contains_key(name), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn configured_headers_are_in_every_attempt() {
    let settings = [("PERSEUS_HEADERS", r#"{"X-Api-Key":"hunter2","authorization":"Basic x"}"#)];
    let (perseus, handler) = forwarder(&settings, |request| match request.number {
        0 => Reply::status(503),
        _ => Reply::ok(),
    })
    .await;
    assert_eq!(report(&handler, &event("a")).await, [""; 0]);
    let received = perseus.received();
    assert_eq!(received.len(), 2);
    for request in received {
        assert_eq!(request.headers["x-api-key"], "hunter2");
        assert_eq!(request.headers["authorization"], "Basic x");
        assert_eq!(request.headers["content-type"], "application/json");
    }
}

#[tokio::test(start_paused = true)]
async fn the_idempotency_key_belongs_to_the_records() {
    let (perseus, handler) = forwarder(&[("BATCH_MAX_RECORDS", "2")], |request| match request.number {
        0 | 1 => Reply::status(503),
        2 => Reply::status(400),
        _ => Reply::ok(),
    })
    .await;
    report(&handler, &event("a b c")).await;
    report(&handler, &event("a b c")).await;
    let mut keys: Vec<_> = perseus
        .received()
        .iter()
        .map(|request| (request.message_ids.join(" "), request.headers["idempotency-key"].clone()))
        .collect();
    keys.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (ids, key) in &keys {
        for (other_ids, other_key) in &keys {
            assert_eq!(ids == other_ids, key == other_key, "{ids} and {other_ids}");
        }
    }
    assert!(keys.len() > 5);
}

#[tokio::test(start_paused = true)]
async fn another_body_has_another_idempotency_key() {
    for format in ["records", "array", "ndjson"] {
        for compression in ["none", "gzip", "zstd"] {
            let settings = [("BATCH_FORMAT", format), ("PERSEUS_COMPRESSION", compression)];
            let (perseus, handler) = forwarder(&settings, |_| Reply::ok()).await;
            let original = event("a b");
            let mut received_again = original.clone();
            received_again["Records"][1]["attributes"]["ApproximateReceiveCount"] = "2".into();
            let mut other_body = original.clone();
            other_body["Records"][1]["body"] = "{\"n\":2}".into();
            // Two messages may have the same body.
            let other_ids = event("c d");
            for event in [&original, &received_again, &other_body, &other_ids, &original] {
                report(&handler, event).await;
            }
            let sent: Vec<_> = perseus
                .received()
                .into_iter()
                .map(|request| {
                    let ids = if request.number == 3 { "c d" } else { "a b" };
                    (request.headers["idempotency-key"].clone(), (request.body, ids))
                })
                .collect();
            for (key, body) in &sent {
                for (other_key, other_body) in &sent {
                    assert_eq!(key == other_key, body == other_body, "{format}, {compression}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_body_is_as_in_the_contract() {
    let mut sent = record("059f36b4", r#"{"any":"JSON"}"#);
    sent["attributes"] = json!({
        "SentTimestamp": "1545082649183", "ApproximateReceiveCount": "1", "MessageGroupId": "g",
        "SequenceNumber": "188", "MessageDeduplicationId": "d", "AWSTraceHeader": "Root=1-2-3", "SenderId": "secret-sender",
    });
    sent["messageAttributes"] = json!({"name": {"dataType": "String", "stringValue": "…"}});
    let (perseus, handler) = forwarder(&[], |_| Reply::ok()).await;
    report(&handler, &event_of([sent, record("second", "not JSON")])).await;
    assert_eq!(
        serde_json::from_slice::<Value>(&perseus.received()[0].body).unwrap(),
        json!({"records": [
            {"messageId": "059f36b4", "sentTimestamp": 1545082649183_u64, "receiveCount": 1,
             "groupId": "g", "sequenceNumber": "188", "deduplicationId": "d", "traceHeader": "Root=1-2-3",
             "attributes": {"name": {"dataType": "String", "stringValue": "…"}},
             "body": {"any": "JSON"}},
            {"messageId": "second", "sentTimestamp": 1545082649183_u64, "receiveCount": 1, "body": "not JSON"},
        ]})
    );
}

#[tokio::test(start_paused = true)]
async fn array_and_ndjson_carry_only_the_bodies() {
    let event = event_of([record("a", "{\n \"n\": 1\n}"), record("b", "two\nlines")]);
    for (format, body, content_type) in [
        ("array", "[{\n \"n\": 1\n},\"two\\nlines\"]", "application/json"),
        ("ndjson", "{  \"n\": 1 }\n\"two\\nlines\"\n", "application/x-ndjson"),
    ] {
        let (perseus, handler) = forwarder(&[("BATCH_FORMAT", format)], |_| Reply::ok()).await;
        assert_eq!(report(&handler, &event).await, [""; 0]);
        let request = &perseus.received()[0];
        assert_eq!(request.body, body);
        assert_eq!(request.headers["content-type"], content_type);
        assert_eq!(perseus.violations(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_keep_within_the_batch_limits() {
    let settings = [("BATCH_MAX_BYTES", "2KiB"), ("BATCH_MAX_RECORDS", "7")];
    let (perseus, handler) = forwarder(&settings, |_| Reply::ok()).await;
    let sizes = [10, 900, 900, 100, 5_000, 10, 10, 10, 10, 10, 10, 10, 10, 10];
    let records = sizes.iter().enumerate().map(|(n, size)| record(&format!("m{n}"), &"x".repeat(*size)));
    assert_eq!(report(&handler, &event_of(records)).await, [""; 0]);
    for request in perseus.received() {
        let count = request.records.len();
        assert!(
            count <= 7 && (request.body.len() <= 2_048 || count == 1),
            "{count} in {}",
            request.body.len()
        );
    }
    assert!(posted(&perseus).contains(&"m4".to_owned()), "an oversized record travels alone");
    assert_eq!(perseus.committed().len(), sizes.len());
}

#[tokio::test(start_paused = true)]
async fn a_compressed_body_decompresses_to_the_same_body() {
    let plain = {
        let (perseus, handler) = forwarder(&[], |_| Reply::ok()).await;
        report(&handler, &numbered(100)).await;
        perseus.received()[0].body.clone()
    };
    for compression in ["gzip", "zstd"] {
        let settings = [("PERSEUS_COMPRESSION", compression)];
        let (perseus, handler) = forwarder(&settings, |_| Reply::ok()).await;
        assert_eq!(report(&handler, &numbered(100)).await, [""; 0]);
        let request = &perseus.received()[0];
        assert_eq!(request.headers["content-encoding"], compression);
        assert_eq!(request.plain, plain);
        assert!(request.body.len() < plain.len() / 2, "{}", request.body.len());
        assert_eq!(perseus.violations(), [""; 0]);
    }
}
