//! With `SQS_VISIBILITY=on`: when reported messages become visible again.

use std::{ops::RangeInclusive, time::Duration};

use lab::perseus::Reply;
use serde_json::{Value, json};

use crate::support::{sqs::*, *};

const ON: (&str, &str) = ("SQS_VISIBILITY", "on");
const ONCE: (&str, &str) = ("MAX_ATTEMPTS", "1");

/// Sets each record's receipt handle to its id, and its receive count to this.
fn received(mut event: Value, times: u64) -> Value {
    for record in event["Records"].as_array_mut().unwrap() {
        record["receiptHandle"] = record["messageId"].clone();
        record["attributes"]["ApproximateReceiveCount"] = json!(times.to_string());
    }
    event
}

/// The receipt handles in alphabetical order. Asserts that all timeouts are in this range.
#[track_caller]
fn handles(sqs: &Sqs, expected: RangeInclusive<u64>) -> Vec<String> {
    let mut timeouts = sqs.timeouts();
    timeouts.sort();
    assert!(timeouts.iter().all(|(_, seconds)| expected.contains(seconds)), "{timeouts:?}");
    timeouts.into_iter().map(|(handle, _)| handle).collect()
}

#[tokio::test(start_paused = true)]
async fn sqs_is_not_called_unless_a_record_comes_back_and_the_setting_is_on() {
    for (setting, status) in [(ON, 200), (("SQS_VISIBILITY", "off"), 500)] {
        let sqs = Sqs::start(|_| Answer::Confirm).await;
        let (_perseus, handler) = between(&sqs, &[setting, ONCE], move |_| Reply::status(status)).await;
        report(&handler, &received(event("a b"), 1)).await;
        assert_eq!(sqs.calls().len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_call_is_as_sqs_documents_it() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let settings = [ON, ONCE, ("AWS_SESSION_TOKEN", "session")];
    let (_perseus, handler) = between(&sqs, &settings, |_| Reply::status(500)).await;
    report(&handler, &received(event("a b"), 1)).await;
    let calls = sqs.calls();
    let [call] = &calls[..] else { panic!("{calls:?}") };
    assert!(call.head.starts_with("POST / HTTP/1.1"), "{}", call.head);
    assert_eq!(call.header("x-amz-target"), Some("AmazonSQS.ChangeMessageVisibilityBatch"));
    assert_eq!(call.header("content-type"), Some("application/x-amz-json-1.0"));
    assert_eq!(call.header("x-amz-security-token"), Some("session"));
    let [(_, url), ..] = sqs.settings();
    assert_eq!(call.queue_url, format!("{url}123456789012/queue"));
    let signed = call.header("authorization").unwrap();
    let date = call.header("x-amz-date").unwrap().split('T').next().unwrap();
    let expected = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{date}/eu-west-1/sqs/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature="
    );
    assert!(signed.starts_with(&expected), "{signed}");
    let ids: Vec<_> = call.entries.iter().map(|entry| entry["Id"].clone()).collect();
    assert_eq!(ids, ["0", "1"]);
    assert_eq!(call.entries[0].as_object().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn errored_records_come_back_after_a_backoff_that_grows_with_the_receive_count() {
    for (receives, seconds) in [(1, 90..=120), (3, 810..=1_080), (10, 9_000..=12_000), (99, 10_800..=14_400)]
    {
        let sqs = Sqs::start(|_| Answer::Confirm).await;
        let (_perseus, handler) = between(&sqs, &[ON, ONCE], |_| Reply::status(500)).await;
        assert_eq!(report(&handler, &received(event("a b c"), receives)).await, ["a", "b", "c"]);
        assert_eq!(handles(&sqs, seconds), ["a", "b", "c"]);
        let timeouts = sqs.timeouts();
        assert!(timeouts.iter().any(|(_, seconds)| *seconds != timeouts[0].1), "no jitter: {timeouts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_the_shortest_timeout() {
    for (retry_after, seconds) in [("7200", 7_200..=7_920), ("1", 90..=120), ("999999", 36_000..=36_000)] {
        let sqs = Sqs::start(|_| Answer::Confirm).await;
        let answer = move |_: &_| Reply::status(503).header("retry-after", retry_after);
        let (_perseus, handler) = between(&sqs, &[ON], answer).await;
        report(&handler, &received(event("a b"), 1)).await;
        assert_eq!(handles(&sqs, seconds), ["a", "b"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_ends_a_retry_after() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let settings = [ON, ("MAX_IN_FLIGHT", "1"), ("BATCH_MAX_RECORDS", "1")];
    let (_perseus, handler) = between(&sqs, &settings, |request| match request.number {
        0 => Reply::status(429).header("retry-after", "3600"),
        _ => Reply::ok().after(400 * MS),
    })
    .await;
    assert_eq!(report_within(&handler, &received(event("a b c d"), 1), 2 * SECOND).await, ["a", "c", "d"]);
    let mut timeouts: Vec<_> = sqs.timeouts().into_iter().map(|(_, seconds)| seconds).collect();
    timeouts.sort_unstable();
    // "a" failed, "b" was accepted, and the others met the cutoff.
    assert!(matches!(timeouts[..], [1..=10, 1..=10, 90..=120]), "{timeouts:?}");
}

#[tokio::test(start_paused = true)]
async fn unsent_records_wait_as_long_as_the_one_that_failed_if_perseus_accepted_none() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let settings = [ON, ONCE, ("MAX_IN_FLIGHT", "1"), ("BATCH_MAX_RECORDS", "1")];
    let (perseus, handler) = between(&sqs, &settings, |_| Reply::status(500).after(900 * MS)).await;
    assert_eq!(report_within(&handler, &received(event("a b c"), 1), 2 * SECOND).await, ["a", "b", "c"]);
    assert_eq!(perseus.received().len(), 1, "there is no time for the others");
    assert_eq!(handles(&sqs, 90..=120), ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_of_an_earlier_invocation_counts() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let (perseus, handler) =
        between(&sqs, &[ON, ONCE], |_| Reply::status(503).header("retry-after", "50")).await;
    for _ in 0..2 {
        report(&handler, &received(event("a"), 1)).await;
    }
    assert_eq!(perseus.received().len(), 1, "the second invocation would have to wait for too long");
}

#[tokio::test(start_paused = true)]
async fn records_that_only_met_the_cutoff_come_back_soon() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let settings = [ON, ("MAX_IN_FLIGHT", "1"), ("BATCH_MAX_RECORDS", "1")];
    let (_perseus, handler) = between(&sqs, &settings, |_| Reply::ok().after(400 * MS)).await;
    assert_eq!(report_within(&handler, &received(event("a b c d"), 1), 2 * SECOND).await, ["c", "d"]);
    assert_eq!(handles(&sqs, 1..=10), ["c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn records_come_back_soon_if_there_was_no_time_to_send_any() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let (perseus, handler) = between(&sqs, &[ON], |_| Reply::ok()).await;
    assert_eq!(report_within(&handler, &received(event("a b"), 1), 500 * MS).await, ["a", "b"]);
    assert_eq!(handles(&sqs, 1..=10), ["a", "b"]);
    assert!(perseus.received().is_empty());
}

#[tokio::test(start_paused = true)]
async fn unattempted_records_wait_like_errored_ones_in_an_outage() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let settings = [ON, ("MAX_IN_FLIGHT", "1"), ("BATCH_MAX_RECORDS", "1")];
    // The set-up is wrong: one request, and all the others are unattempted.
    let (perseus, handler) = between(&sqs, &settings, |_| Reply::status(403)).await;
    assert_eq!(report(&handler, &received(event("a b c"), 1)).await, ["a", "b", "c"]);
    assert_eq!(perseus.received().len(), 1);
    assert_eq!(handles(&sqs, 90..=120), ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_content_is_no_outage() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let settings = [ON, ("MAX_IN_FLIGHT", "1"), ("BATCH_MAX_RECORDS", "2")];
    let (perseus, handler) = between(&sqs, &settings, |_| Reply::status(422).after(400 * MS)).await;
    assert_eq!(
        report_within(&handler, &received(event("a b c d"), 1), 1_600 * MS).await,
        ["a", "b", "c", "d"]
    );
    assert_eq!(posted(&perseus)[0], "a b");
    let unsent: Vec<_> = sqs.timeouts().into_iter().filter(|(id, _)| id == "c" || id == "d").collect();
    assert!(unsent.len() == 2 && unsent.iter().all(|(_, seconds)| *seconds <= 10), "{unsent:?}");
}

#[tokio::test(start_paused = true)]
async fn rejected_records_keep_the_queues_own_timeout() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let (_perseus, handler) =
        between(&sqs, &[ON], |request| Reply::status(if holds(request, "bad") { 400 } else { 200 })).await;
    assert_eq!(report(&handler, &received(event("a bad c"), 1)).await, ["bad"]);
    assert_eq!(sqs.calls().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn calls_have_ten_entries_and_a_few_are_in_flight_at_once() {
    let sqs = Sqs::start(|_| Answer::Confirm.after(100 * MS)).await;
    let (_perseus, handler) = between(&sqs, &[ON, ONCE], |_| Reply::status(500)).await;
    report(&handler, &received(numbered(995), 1)).await;
    let mut counts: Vec<_> = sqs.calls().iter().map(|call| call.entries.len()).collect();
    counts.sort_unstable();
    assert_eq!((counts.len(), counts[0], counts[1]), (100, 5, 10));
    assert_eq!(sqs.in_flight_peak(), 8);
    let handles: std::collections::HashSet<_> =
        sqs.timeouts().into_iter().map(|(handle, _)| handle).collect();
    assert_eq!(handles.len(), 995);
}

#[tokio::test(start_paused = true)]
async fn all_records_of_a_group_get_the_same_timeout() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let settings = [ON, ONCE, ("BATCH_MAX_RECORDS", "1")];
    let (_perseus, handler) = between(&sqs, &settings, |request| {
        Reply::status(match &request.message_ids[0][..] {
            "a2" => 500,
            "c1" => 400,
            _ => 200,
        })
    })
    .await;
    let mut event = received(fifo("a1 b1 a2 c1 a3 c2 b2 a4"), 1);
    event["Records"][7]["attributes"]["ApproximateReceiveCount"] = json!("3");
    assert_eq!(report(&handler, &event).await, ["a2", "c1", "a3", "c2", "a4"]);
    // The tail gets one timeout, by the largest receive count in it. The group of the rejected record keeps its own.
    assert_eq!(handles(&sqs, 810..=1_080), ["a2", "a3", "a4"]);
    let timeouts = sqs.timeouts();
    assert!(timeouts.iter().all(|(_, seconds)| *seconds == timeouts[0].1), "{timeouts:?}");
    assert_eq!(sqs.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whatever_sqs_does_the_answer_is_the_same_and_before_the_deadline() {
    for answer in misbehaviour() {
        let told = answer.clone();
        let sqs = Sqs::start(move |_| told.clone()).await;
        let settings = [ON, ONCE, ("REQUEST_TIMEOUT", "60s"), ("BATCH_MAX_RECORDS", "1")];
        let (_perseus, handler) =
            between(&sqs, &settings, |request| if holds(request, "b") { Reply::ok() } else { Reply::hang() })
                .await;
        let (reported, took) = timed(&handler, &received(event("a b c"), 1), 5 * SECOND).await;
        assert_eq!(reported, ["a", "c"], "{answer:?}");
        // Cut off after 4 s. SQS may use half of the remaining second.
        assert!(took < 4_510 * MS, "{answer:?}: {took:?}");
        assert!(!sqs.calls().is_empty(), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn sqs_gets_a_few_seconds_at_most_however_much_time_is_left() {
    let sqs = Sqs::start(|_| Answer::Hang).await;
    let (_perseus, handler) = between(&sqs, &[ON, ONCE], |_| Reply::status(500)).await;
    let (reported, took) = timed(&handler, &received(numbered(500), 1), 900 * SECOND).await;
    assert_eq!(reported.len(), 500);
    assert!(took < 5_100 * MS, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn with_no_time_left_sqs_is_not_waited_for() {
    let sqs = Sqs::start(|_| Answer::Hang).await;
    let (_perseus, handler) = between(&sqs, &[ON], |_| Reply::ok()).await;
    let (reported, took) = timed(&handler, &received(event("a b"), 1), Duration::ZERO).await;
    assert_eq!(reported, ["a", "b"]);
    assert!(took < 2 * MS, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_sqs_refuses_is_not_repeated() {
    let sqs = Sqs::start(|_| Answer::Http(403, String::new())).await;
    let (_perseus, handler) = between(&sqs, &[ON, ONCE], |_| Reply::status(500)).await;
    assert_eq!(report(&handler, &received(numbered(1_000), 1)).await.len(), 1_000);
    assert!(sqs.calls().len() <= 8, "{}", sqs.calls().len());
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_does_not_stop_the_other_calls() {
    let mut calls = 0;
    let sqs = Sqs::start(move |_| {
        calls += 1;
        if calls == 1 { Answer::Http(500, String::new()) } else { Answer::Confirm }
    })
    .await;
    let (_perseus, handler) = between(&sqs, &[ON, ONCE], |_| Reply::status(500)).await;
    report(&handler, &received(numbered(100), 1)).await;
    assert_eq!(sqs.calls().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_call_on_a_dead_pooled_connection_is_repeated_once() {
    let mut calls = 0;
    let sqs = Sqs::start(move |_| {
        calls += 1;
        if calls == 2 { Answer::Reset } else { Answer::Confirm }
    })
    .await;
    let (_perseus, handler) = between(&sqs, &[ON, ONCE], |_| Reply::status(500)).await;
    for (id, calls) in [("a", 1), ("b", 3)] {
        report(&handler, &received(event(id), 1)).await;
        assert_eq!(sqs.calls().len(), calls);
        assert_eq!(sqs.timeouts().last().unwrap().0, id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_receipt_handle_or_queue_does_not_change_the_answer() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let (_perseus, handler) = between(&sqs, &[ON, ONCE], |_| Reply::status(500)).await;
    let mut event = received(event("a b c"), 1);
    event["Records"][1]["receiptHandle"] = json!(null);
    event["Records"][2].as_object_mut().unwrap().remove("receiptHandle");
    assert_eq!(report(&handler, &event).await, ["a", "b", "c"]);
    assert_eq!(handles(&sqs, 90..=120), ["a"]);
    event["Records"][0]["eventSourceARN"] = json!("arn:aws:sqs:eu-west-1:123456789012:other");
    assert_eq!(report(&handler, &event).await, ["a", "b", "c"]);
    assert_eq!(sqs.calls().len(), 1);
}
