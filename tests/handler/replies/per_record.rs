//! Replies that name records, and replies that cannot be read.

use lab::perseus::Reply;

use crate::support::*;

const TWO_ATTEMPTS: [(&str, &str); 1] = [("MAX_ATTEMPTS", "2")];

#[tokio::test(start_paused = true)]
async fn a_success_without_failures_acknowledges_all_records() {
    for status in [200, 201, 202, 204] {
        let (perseus, handler) = forwarder(&[], move |_| Reply::status(status)).await;
        assert_eq!(report(&handler, &event("a b")).await, [""; 0], "{status}");
        assert_eq!(perseus.received().len(), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_retryable_records_are_sent_again() {
    for status in [200, 201, 202, 207] {
        let (perseus, handler) = forwarder(&[], move |request| match request.number {
            0 => Reply::refuse(status, &[("b", Some(true)), ("d", None)]),
            _ => Reply::ok(),
        })
        .await;
        assert_eq!(report(&handler, &event("a b c d")).await, [""; 0], "{status}");
        assert_eq!(posted(&perseus), ["a b c d", "b d"], "{status}");
        assert_eq!(perseus.violations(), [""; 0], "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn retryable_records_are_sent_again_within_the_budget() {
    let (perseus, handler) =
        forwarder(&[("MAX_ATTEMPTS", "3")], |_| Reply::refuse(207, &[("b", Some(true))])).await;
    assert_eq!(report(&handler, &event("a b")).await, ["b"]);
    assert_eq!(posted(&perseus), ["a b", "b", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_on_any_other_status_is_ignored() {
    let (perseus, handler) = forwarder(&[], |request| match request.number {
        0 => Reply::refuse(207, &[("b", None)]).header("retry-after", "9"),
        _ => Reply::ok(),
    })
    .await;
    assert_eq!(report(&handler, &event("a b")).await, [""; 0]);
    let at: Vec<_> = perseus.received().iter().map(|request| request.at).collect();
    assert!(at[1] - at[0] < SECOND);
}

#[tokio::test(start_paused = true)]
async fn records_that_are_not_retryable_are_rejected_and_not_sent_again() {
    let (perseus, handler) =
        forwarder(&[], |_| Reply::refuse(200, &[("b", Some(false)), ("c", Some(false))])).await;
    assert_eq!(report(&handler, &event("a b c")).await, ["b", "c"]);
    assert_eq!(perseus.received().len(), 1);
    assert_eq!(perseus.committed(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_207_that_names_no_failure_acknowledges_everything() {
    let (perseus, handler) = forwarder(&[], |_| Reply::refuse(207, &[])).await;
    assert_eq!(report(&handler, &event("a")).await, [""; 0]);
    assert_eq!(perseus.received().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn replies_that_cannot_be_read_acknowledge_nothing() {
    let long = format!("{{\"padding\":\"{}\"}}", "x".repeat(1 << 20));
    let replies = [
        Reply::status(207),
        Reply::status(207).body("{}"),
        Reply::status(207).body("OK"),
        Reply::refuse(200, &[("nobody", Some(false))]),
        Reply::refuse(207, &[("a", Some(true)), ("nobody", Some(true))]),
        Reply::refuse(200, &[("", Some(true))]),
        Reply::ok().body(r#"{"batchItemFailures":[{"itemIdent"#),
        Reply::ok().body(r#"{"batchItemFailures":{"a":1}}"#),
        Reply::ok().body(long),
        Reply::ok().body("{}").cut_short(),
        Reply::status(207).body(r#"{"batchItemFailures":[]}"#).cut_short(),
        Reply::ok().body("\u{1f}\u{8b}").header("content-encoding", "gzip"),
    ];
    for reply in replies {
        let told = format!("{reply:?}").chars().take(300).collect::<String>();
        let (perseus, handler) = forwarder(&TWO_ATTEMPTS, move |_| reply.clone()).await;
        assert_eq!(report(&handler, &event("a b")).await, ["a", "b"], "{told}");
        assert_eq!(posted(&perseus), ["a b", "a b"], "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_of_one_mebibyte_is_read() {
    let padded = format!("{{\"padding\":\"{}\"}}", "x".repeat((1 << 20) - 14));
    assert_eq!(padded.len(), 1 << 20);
    let (_perseus, handler) = forwarder(&TWO_ATTEMPTS, move |_| Reply::ok().body(padded.clone())).await;
    assert_eq!(report(&handler, &event("a")).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn array_and_ndjson_have_no_refusal_by_name() {
    for format in ["array", "ndjson"] {
        let settings = [("BATCH_FORMAT", format), ("MAX_ATTEMPTS", "2")];
        let (perseus, handler) = forwarder(&settings, |_| Reply::refuse(200, &[("a", Some(false))])).await;
        assert_eq!(report(&handler, &event("a b")).await, ["a", "b"], "{format}");
        assert_eq!(perseus.received().len(), 2, "{format}");

        let (perseus, handler) = forwarder(&settings, |_| Reply::refuse(207, &[])).await;
        assert_eq!(report(&handler, &event("a b")).await, [""; 0], "{format}");
        assert_eq!(perseus.received().len(), 1, "{format}");
    }
}
