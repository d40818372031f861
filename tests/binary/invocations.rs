//! Invocations, one after the other and concurrent.

use std::time::Duration;

use futures_util::future::join_all;
use lab::{
    environment::{Answer, Environment},
    events::generate,
    perseus::{Perseus, Reply},
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::*;

/// The line about visibility timeouts that SQS did not change.
const NOT_CHANGED: &str =
    "visibility timeouts not changed: these records come back when the queue's own timeout ends";

#[tokio::test]
async fn sample_events_are_delivered() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let environment = environment(&perseus, &[]).await;
    for (event, committed, reported) in [
        (&include_bytes!("../../events/standard.json")[..], 3, 0),
        (include_bytes!("../../events/fifo-two-groups.json"), 5, 0),
        (include_bytes!("../../events/one-bad-record.json"), 2, 1),
        (include_bytes!("../../events/empty.json"), 0, 0),
    ] {
        let before = perseus.committed().len();
        let invocation = environment.invoke(event).await;
        assert_eq!(invocation.answer.failed_ids().len(), reported);
        assert_eq!(perseus.committed().len() - before, committed);
    }
    assert_eq!(perseus.violations(), [""; 0]);
}

#[tokio::test]
async fn an_event_of_six_megabytes_is_delivered() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let environment = environment(&perseus, &[]).await;
    let invocation = environment.invoke(generate(10_000, 50, None)).await;
    assert_eq!(invocation.answer.failed_ids(), [""; 0]);
    let invocation = environment.invoke(generate(5, 1 << 20, None)).await;
    assert_eq!(invocation.answer.failed_ids(), [""; 0]);
    assert_eq!(perseus.committed().len(), 10_005);
    assert_eq!(perseus.violations(), [""; 0]);
}

/// Otherwise each invocation would ask the kernel again for the pages of its event.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[tokio::test]
async fn the_process_reuses_the_memory_of_earlier_events() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let environment = environment(&perseus, &[]).await;
    let event = generate(1_000, 1 << 10, None);
    let mut fewest = u64::MAX;
    for _ in 0..8 {
        let before = page_faults(&environment);
        environment.invoke(event.clone()).await;
        fewest = fewest.min(page_faults(&environment) - before);
    }
    assert!(fewest < 100, "{fewest} page faults");
}

/// The number of minor page faults of the process.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn page_faults(environment: &Environment) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/stat", environment.process_id())).unwrap();
    // The eighth field after the name in brackets: proc_pid_stat(5).
    let (_, fields) = status.rsplit_once(") ").unwrap();
    fields.split(' ').nth(7).unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_event_of_another_kind_is_an_invocation_error() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let environment = environment(&perseus, &[]).await;
    for payload in [
        &br#"{"Records":[{"EventSource":"aws:sns","Sns":{"MessageId":"a","Message":"x"}}]}"#[..],
        br#"{"Records":[{"eventSource":"aws:kinesis","kinesis":{"data":"eA=="}}]}"#,
        b"{}",
        b"not JSON",
        b"\xff\xfe",
        b"",
    ] {
        let answer = environment.invoke(payload).await.answer;
        assert!(matches!(&answer, Answer::Error { kind, .. } if kind == "EventError"), "{answer:?}");
    }
    let logs = environment.logs();
    assert_eq!(logs.len(), 6, "one line each: {logs:?}");
    // The process still works.
    let answer = environment.invoke(event("a").to_string()).await.answer;
    assert_eq!(answer.failed_ids(), [""; 0]);
}

#[tokio::test]
async fn the_answer_comes_before_the_deadline_whatever_perseus_does() {
    let perseus = Perseus::start(|_| Reply::hang()).await;
    let environment = environment(&perseus, &[("CUTOFF_RESERVE", "500ms")]).await;
    let invocation = environment.invoke_with(within(&event("a b"), 1_000)).await;
    assert_eq!(invocation.answer.failed_ids(), ["a", "b"]);
    assert!(invocation.took < Duration::from_secs(1), "{:?}", invocation.took);
}

#[tokio::test]
async fn the_answer_comes_before_the_deadline_whatever_sqs_does() {
    let perseus = Perseus::start(|request| match request.message_ids[0].as_str() {
        "bad" => Reply::status(400),
        _ => Reply::hang(),
    })
    .await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for sqs in [silent.local_addr().unwrap().to_string(), "127.0.0.1:1".to_owned()] {
        let settings = [
            ("CUTOFF_RESERVE", "500ms"),
            ("BATCH_MAX_RECORDS", "1"),
            ("SQS_VISIBILITY", "on"),
            ("REJECTED_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/dead"),
            ("AWS_ENDPOINT_URL_SQS", &format!("http://{sqs}")),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ];
        let environment = environment(&perseus, &settings).await;
        let event = queue_event("a bad b");
        let invocation = environment.invoke_with(within(&event, 1_000)).await;
        assert_eq!(invocation.answer.failed_ids(), ["a", "bad", "b"]);
        assert!(invocation.took < Duration::from_secs(1), "{:?}", invocation.took);
        let counts = |message: &str| {
            lines(&environment, message).iter().map(|line| line["records"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(counts("rejected records not sent to REJECTED_QUEUE_URL: they come back"), [1]);
        assert_eq!(counts(NOT_CHANGED), [2]);
    }
}

#[tokio::test]
async fn visibility_timeouts_that_sqs_does_not_change_are_logged_and_no_others() {
    let refused = json!({"Id": "1", "Code": "ReceiptHandleIsInvalid", "SenderFault": true, "Message": "no"});
    for (reply, told) in [
        (json!({"Successful": [{"Id": "0"}, {"Id": "1"}], "Failed": []}), None),
        (json!({"Successful": [{"Id": "0"}], "Failed": [refused]}), Some((json!(2), json!(1)))),
    ] {
        let perseus = Perseus::start(|_| Reply::status(500)).await;
        let sqs = Perseus::start(move |_| Reply::ok().body(reply.to_string())).await;
        let settings = [
            ("MAX_ATTEMPTS", "1"),
            ("SQS_VISIBILITY", "on"),
            ("AWS_ENDPOINT_URL_SQS", &sqs.url()),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ];
        let environment = environment(&perseus, &settings).await;
        let event = queue_event("a b");
        environment.invoke(event.to_string()).await;
        let lines = lines(&environment, NOT_CHANGED);
        let counts = lines.first().map(|line| (line["records"].clone(), line["changed"].clone()));
        assert_eq!(counts, told);
    }
}

#[tokio::test]
async fn a_duration_as_deadline_is_warned_of_once() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let environment = environment(&perseus, &[]).await;
    for _ in 0..2 {
        let answer = environment.invoke_with(within(&event("a"), 600_000)).await.answer;
        assert_eq!(answer.failed_ids(), [""; 0]);
    }
    let logs = environment.logs();
    assert_eq!(logs.iter().filter(|line| line.contains("\"WARN\"")).count(), 1, "{logs:?}");
}

#[tokio::test]
async fn a_timeout_within_the_reserve_is_logged_with_both_settings() {
    const TOLD: &str = "no time to send anything: the invocation began with no more than CUTOFF_RESERVE";
    let perseus = Perseus::start(|_| Reply::ok()).await;
    for (reserve, told) in [("3s", 1), ("500ms", 0)] {
        let environment = environment(&perseus, &[("CUTOFF_RESERVE", reserve)]).await;
        for _ in 0..2 {
            environment.invoke_with(within(&event("a"), 2_000)).await;
        }
        let lines = lines(&environment, TOLD);
        assert_eq!(lines.len(), told, "{reserve}");
        for line in lines {
            assert_eq!((&line["level"], &line["reserveMs"]), (&json!("ERROR"), &json!(3_000)));
            let look_at = line["lookAt"].as_str().unwrap();
            assert!(look_at.contains("Timeout") && look_at.contains("CUTOFF_RESERVE"), "{look_at}");
        }
    }
    // A later invocation that arrives late does not log the settings.
    let environment = environment(&perseus, &[("CUTOFF_RESERVE", "500ms")]).await;
    environment.invoke(event("a").to_string()).await;
    environment.invoke_with(within(&event("a"), 400)).await;
    assert_eq!(lines(&environment, TOLD), [""; 0]);
}

#[tokio::test]
async fn several_invocations_share_one_process() {
    let perseus = Perseus::start(|_| Reply::ok().after(Duration::from_millis(300))).await;
    let environment = environment(&perseus, &[("AWS_LAMBDA_MAX_CONCURRENCY", "4")]).await;
    let events = ["a", "b", "c", "d"].map(|id| event(id).to_string());
    let answers = join_all(events.map(|event| environment.invoke(event))).await;
    assert!(answers.iter().all(|invocation| invocation.answer.failed_ids().is_empty()));
    assert_eq!(perseus.in_flight_peak(), 4);
}
