//! The order of a FIFO queue, on the wire and in the answer.

use lab::perseus::{Perseus, Reply};
use serde_json::json;
use tokio::time::Instant;

use crate::support::*;

const ONE_BY_ONE: (&str, &str) = ("BATCH_MAX_RECORDS", "1");

/// The ids of one group in the order in which they were posted.
fn posted_of(perseus: &Perseus, group: &str) -> Vec<String> {
    perseus.received().iter().flat_map(|r| r.message_ids.clone()).filter(|id| id.starts_with(group)).collect()
}

#[tokio::test(start_paused = true)]
async fn records_of_a_group_are_posted_in_order() {
    for most in ["1", "2", "3", "100"] {
        let settings = [("BATCH_MAX_RECORDS", most)];
        // Earlier requests get slower answers, so two requests of a group at once would be noticed.
        let (perseus, handler) = forwarder(&settings, |request| {
            Reply::ok().after(MS * 500_u32.saturating_sub(50 * u32::try_from(request.number).unwrap()))
        })
        .await;
        assert_eq!(report(&handler, &fifo("a1 b1 a2 a3 b2 c1 a4 b3")).await, [""; 0]);
        for (group, ids) in [("a", 4), ("b", 3), ("c", 1)] {
            let expected: Vec<_> = (1..=ids).map(|n| format!("{group}{n}")).collect();
            assert_eq!(posted_of(&perseus, group), expected, "{most}");
            let committed: Vec<_> =
                perseus.committed().into_iter().filter(|id| id.starts_with(group)).collect();
            assert_eq!(committed, expected, "{most}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_the_rest_of_the_group_is_not_sent_and_other_groups_go_on() {
    for status in [500, 400, 413] {
        let settings = [ONE_BY_ONE, ("MAX_ATTEMPTS", "2")];
        let (perseus, handler) = forwarder(&settings, move |request| {
            Reply::status(if holds(request, "a2") { status } else { 200 })
        })
        .await;
        assert_eq!(report(&handler, &fifo("a1 b1 a2 b2 a3 b3 a4")).await, ["a2", "a3", "a4"], "{status}");
        let expected = if status == 500 { &["a1", "a2", "a2"][..] } else { &["a1", "a2"] };
        assert_eq!(posted_of(&perseus, "a"), expected, "{status}");
        assert_eq!(posted_of(&perseus, "b"), ["b1", "b2", "b3"], "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_group_does_not_delay_other_groups() {
    let (perseus, handler) =
        forwarder(&[ONE_BY_ONE], |request| if holds(request, "a1") { Reply::hang() } else { Reply::ok() })
            .await;
    let reported = report_within(&handler, &fifo("a1 b1 a2 b2 a3 b3"), 5 * SECOND).await;
    assert_eq!(reported, ["a1", "a2", "a3"]);
    assert_eq!(perseus.committed(), ["b1", "b2", "b3"]);
}

#[tokio::test(start_paused = true)]
async fn a_bad_record_in_a_group_is_found_without_sending_later_records_first() {
    let (perseus, handler) =
        forwarder(&[], |request| Reply::status(if holds(request, "a3") { 400 } else { 200 })).await;
    assert_eq!(report(&handler, &fifo("a1 b1 a2 a3 b2 a4 a5 b3")).await, ["a3", "a4", "a5"]);
    let mut committed = perseus.committed();
    committed.sort();
    assert_eq!(committed, ["a1", "a2", "b1", "b2", "b3"]);
}

#[tokio::test(start_paused = true)]
async fn records_behind_a_refused_record_are_reported_even_if_perseus_accepted_them() {
    let (perseus, handler) = forwarder(&[], |request| match request.number {
        0 => Reply::refuse(207, &[("a2", Some(false))]),
        _ => Reply::ok(),
    })
    .await;
    assert_eq!(report(&handler, &fifo("a1 a2 a3 b1")).await, ["a2", "a3"]);
    assert_eq!(perseus.received().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn records_accepted_out_of_order_are_reported_even_if_the_refused_record_is_accepted_later() {
    let (perseus, handler) = forwarder(&[("BATCH_MAX_RECORDS", "4")], |request| match request.number {
        0 => Reply::refuse(200, &[("a2", Some(true))]),
        _ => Reply::ok(),
    })
    .await;
    assert_eq!(report(&handler, &fifo("a1 a2 a3 a4 a5")).await, ["a3", "a4", "a5"]);
    assert_eq!(posted(&perseus), ["a1 a2 a3 a4", "a2"]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_waits_for_a_retry_does_not_delay_other_groups() {
    let settings = [ONE_BY_ONE, ("MAX_IN_FLIGHT", "1"), ("RETRY_BASE", "5s")];
    let (perseus, handler) = forwarder(&settings, |request| match request.number {
        0 => Reply::status(500),
        _ => Reply::ok(),
    })
    .await;
    assert_eq!(report(&handler, &fifo("a1 b1 a2 b2")).await, [""; 0]);
    assert_eq!(posted(&perseus), ["a1", "b1", "b2", "a1", "a2"]);
}

#[tokio::test(start_paused = true)]
async fn records_behind_a_rejected_record_are_not_sent_again() {
    let (perseus, handler) = forwarder(&[], |request| match request.number {
        0 => Reply::refuse(207, &[("a2", Some(false)), ("a3", Some(true)), ("b1", Some(true))]),
        _ => Reply::ok(),
    })
    .await;
    assert_eq!(report(&handler, &fifo("a1 a2 a3 b1")).await, ["a2", "a3"]);
    assert_eq!(posted(&perseus), ["a1 a2 a3 b1", "b1"]);
}

#[tokio::test(start_paused = true)]
async fn retryable_records_of_a_group_are_sent_again_in_order() {
    let (perseus, handler) = forwarder(&[], |request| match request.number {
        0 => Reply::refuse(207, &[("a2", Some(true)), ("a3", Some(true))]),
        _ => Reply::ok(),
    })
    .await;
    assert_eq!(report(&handler, &fifo("a1 a2 a3 b1")).await, [""; 0]);
    assert_eq!(posted(&perseus), ["a1 a2 a3 b1", "a2 a3"]);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_record_blocks_its_group() {
    let mut event = fifo("a1 b1 a2 a3 b2");
    event["Records"][2]["body"] = json!(null);
    let (perseus, handler) = forwarder(&[], |_| Reply::ok()).await;
    assert_eq!(report(&handler, &event).await, ["a2", "a3"]);
    assert_eq!(perseus.committed(), ["a1", "b1", "b2"]);
}

#[tokio::test(start_paused = true)]
async fn a_fair_queue_has_groups_but_no_order() {
    let mut event = event("a1 a2 a3");
    for record in event["Records"].as_array_mut().unwrap() {
        record["attributes"]["MessageGroupId"] = json!("tenant");
    }
    let settings = [ONE_BY_ONE, ("MAX_ATTEMPTS", "1")];
    let (_perseus, handler) = forwarder(&settings, |request| {
        if holds(request, "a1") { Reply::status(500) } else { Reply::ok().after(100 * MS) }
    })
    .await;
    let start = Instant::now();
    assert_eq!(report(&handler, &event).await, ["a1"]);
    assert!(start.elapsed() < 150 * MS, "sent one after another: {:?}", start.elapsed());
}
