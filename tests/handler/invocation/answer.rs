//! The function's answer to Lambda.

use lab::perseus::Reply;
use serde_json::json;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn if_all_records_are_acknowledged_the_answer_is_an_empty_list() {
    let (perseus, handler) = forwarder(&[], |_| Reply::ok()).await;
    assert_eq!(report(&handler, &event("a b c")).await, [""; 0]);
    assert_eq!(perseus.committed(), ["a", "b", "c"]);
    assert_eq!(perseus.violations(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn unacknowledged_records_are_reported_once_in_the_order_of_the_event() {
    let settings = [("BATCH_MAX_RECORDS", "1"), ("MAX_ATTEMPTS", "1")];
    let (_perseus, handler) = forwarder(&settings, |request| {
        Reply::status(if holds(request, "b") || holds(request, "d") { 500 } else { 200 })
    })
    .await;
    assert_eq!(report(&handler, &event("a b c d e")).await, ["b", "d"]);
}

#[tokio::test(start_paused = true)]
async fn without_perseus_all_records_are_reported() {
    let handler = handler("http://127.0.0.1:1/", &[]);
    assert_eq!(report(&handler, &event("a b")).await, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn only_an_unreadable_record_is_reported_and_not_its_neighbours() {
    let mut records = vec![record("a", "1"), record("bad", "1"), record("c", "1")];
    for broken in [
        json!({"messageAttributes": {"x": {"dataType": "Binary", "binaryValue": 7}}}),
        json!({"messageAttributes": 7}),
        json!({"attributes": {"SentTimestamp": "yesterday"}}),
        json!({"body": null}),
        json!({"body": {"an": "object"}}),
    ] {
        let mut bad = record("bad", "1");
        bad.as_object_mut().unwrap().extend(broken.as_object().unwrap().clone());
        records[1] = bad;
        let (perseus, handler) = forwarder(&[], |_| Reply::ok()).await;
        assert_eq!(report(&handler, &event_of(records.clone())).await, ["bad"], "{broken}");
        assert_eq!(perseus.committed(), ["a", "c"], "{broken}");
    }
    records[1].as_object_mut().unwrap().remove("body");
    let (perseus, handler) = forwarder(&[], |_| Reply::ok()).await;
    assert_eq!(report(&handler, &event_of(records)).await, ["bad"]);
    assert_eq!(perseus.committed(), ["a", "c"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_with_only_unreadable_records_sends_no_request() {
    let (perseus, handler) = forwarder(&[], |_| Reply::ok()).await;
    let mut bad = record("bad", "1");
    bad["body"] = json!(1);
    assert_eq!(report(&handler, &event_of([bad])).await, ["bad"]);
    assert!(perseus.received().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_event_without_records_sends_no_request_and_reports_nothing() {
    let (perseus, handler) = forwarder(&[], |_| Reply::ok()).await;
    assert_eq!(report(&handler, &event("")).await, [""; 0]);
    assert!(perseus.received().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_event_of_another_source_is_an_error_and_sends_no_request() {
    let (perseus, handler) = forwarder(&[], |_| Reply::ok()).await;
    let mut kinesis = event("a b");
    kinesis["Records"][1]["eventSource"] = json!("aws:kinesis");
    let mut nameless = event("a b");
    nameless["Records"][1]["messageId"] = json!("");
    let sns = json!({"Records": [{"EventSource": "aws:sns", "Sns": {"MessageId": "a", "Message": "x"}}]});
    for event in [kinesis, nameless, sns, json!({}), json!([]), json!(null)] {
        let answer = try_report(&handler, event.to_string().as_bytes(), 30 * SECOND).await;
        assert!(answer.is_err(), "{event}");
    }
    assert!(try_report(&handler, b"{\"Records\":[", 30 * SECOND).await.is_err());
    assert!(perseus.received().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_repeated_id_is_reported_if_any_copy_failed() {
    let settings = [("BATCH_MAX_RECORDS", "1"), ("MAX_ATTEMPTS", "1"), ("MAX_IN_FLIGHT", "1")];
    for failing in [0, 2] {
        let (_perseus, handler) = forwarder(&settings, move |request| {
            Reply::status(if request.number == failing { 500 } else { 200 })
        })
        .await;
        assert_eq!(report(&handler, &event("a b a")).await, ["a"], "copy {failing}");
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_records_are_all_delivered() {
    let (perseus, handler) = forwarder(&[], |_| Reply::ok().after(20 * MS)).await;
    assert_eq!(report(&handler, &numbered(10_000)).await, [""; 0]);
    assert_eq!(perseus.committed().len(), 10_000);
    assert_eq!(perseus.received().len(), 100);
    assert_eq!(perseus.violations(), [""; 0]);
}
