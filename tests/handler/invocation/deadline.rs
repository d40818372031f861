//! The deadline, the cutoff before it, and attempts that are not started because of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use lab::perseus::{Received, Reply};
use tokio::time::Instant;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn with_less_than_the_reserve_left_all_records_are_reported_without_a_request() {
    let (perseus, handler) = forwarder(&[("CUTOFF_RESERVE", "1s")], |_| Reply::ok()).await;
    for left in [Duration::ZERO, MS, 999 * MS, 1_000 * MS] {
        assert_eq!(report_within(&handler, &event("a b"), left).await, ["a", "b"], "{left:?}");
    }
    assert!(perseus.received().is_empty());
}

#[tokio::test(start_paused = true)]
async fn with_a_little_more_than_the_reserve_left_requests_are_sent() {
    let (_perseus, handler) = forwarder(&[], |_| Reply::ok()).await;
    assert_eq!(report_within(&handler, &event("a b"), 1_100 * MS).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_as_a_date_is_read_as_a_date() {
    let (perseus, handler) = forwarder(&[], |_| Reply::ok()).await;
    let mut context = context(SECOND);
    context.deadline = 1_500_000_000_000;
    let event = event("a").to_string();
    let past = handler.handle(event.as_bytes(), &context).await.unwrap();
    assert_eq!(past.batch_item_failures.len(), 1);
    assert!(perseus.received().is_empty());
    context.deadline = u64::MAX;
    let future = handler.handle(event.as_bytes(), &context).await.unwrap();
    assert!(future.batch_item_failures.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_hanging_perseus_is_cut_off_at_the_cutoff() {
    let settings = [("REQUEST_TIMEOUT", "60s"), ("BATCH_MAX_RECORDS", "1")];
    let (_perseus, handler) =
        forwarder(&settings, |request| if holds(request, "b") { Reply::hang() } else { Reply::ok() }).await;
    let start = Instant::now();
    // Records acknowledged before the cutoff stay acknowledged.
    assert_eq!(report_within(&handler, &event("a b c"), 10 * SECOND).await, ["b"]);
    let took = start.elapsed();
    assert!((9 * SECOND..9 * SECOND + 10 * MS).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_would_pass_the_cutoff_is_not_started() {
    let settings = [("MAX_IN_FLIGHT", "1"), ("BATCH_MAX_RECORDS", "1")];
    let (perseus, handler) = forwarder(&settings, |_| Reply::ok().after(400 * MS)).await;
    let start = Instant::now();
    // The cutoff is after 1,000 ms. A third attempt would end after 1,200 ms.
    assert_eq!(report_within(&handler, &event("a b c d"), 2 * SECOND).await, ["c", "d"]);
    assert_eq!(posted(&perseus), ["a", "b"]);
    // The answer does not wait for the cutoff.
    assert!(start.elapsed() < 820 * MS, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_latency_estimate_is_kept_across_invocations() {
    let (perseus, handler) = forwarder(&[], |_| Reply::ok().after(2 * SECOND)).await;
    assert_eq!(report_within(&handler, &event("a"), 10 * SECOND).await, [""; 0]);
    assert_eq!(report_within(&handler, &event("b"), 2_500 * MS).await, ["b"]);
    assert_eq!(posted(&perseus), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn an_environment_sends_again_after_slow_invocations() {
    let (_perseus, handler) =
        forwarder(&[], |request| Reply::ok().after(if request.number == 0 { 8 * SECOND } else { 10 * MS }))
            .await;
    assert_eq!(report_within(&handler, &event("a"), 10 * SECOND).await, [""; 0]);
    let mut silent = 0;
    while !report_within(&handler, &event("b"), 3 * SECOND).await.is_empty() {
        silent += 1;
        assert!(silent < 5);
    }
    assert!(silent > 0);
}

/// Else an environment would send requests that the cutoff ends: likely duplicates.
#[tokio::test(start_paused = true)]
async fn only_an_invocation_without_time_for_a_request_lowers_the_latency_estimate() {
    let settings = [("MAX_IN_FLIGHT", "1"), ("BATCH_MAX_RECORDS", "1")];
    let (perseus, handler) = forwarder(&settings, |request| match request.number {
        2 => Reply::status(429).header("retry-after", "20").after(2 * SECOND),
        _ => Reply::ok().after(2 * SECOND),
    })
    .await;
    // Some were sent.
    assert_eq!(report_within(&handler, &event("a b c"), 6 * SECOND).await, ["c"]);
    // None may be sent for a while.
    assert_eq!(report_within(&handler, &event("d"), 10 * SECOND).await, ["d"]);
    assert_eq!(report_within(&handler, &event("e"), 10 * SECOND).await, ["e"]);
    tokio::time::advance(25 * SECOND).await;
    // None can be sent.
    let mut unreadable = event("f");
    unreadable["Records"][0]["body"] = serde_json::Value::Null;
    assert_eq!(report_within(&handler, &unreadable, 10 * SECOND).await, ["f"]);
    assert_eq!(posted(&perseus), ["a", "b", "d"]);
    // There is no time for one. The next invocation would try one.
    assert_eq!(report_within(&handler, &event("g"), 2_500 * MS).await, ["g"]);
    assert_eq!(posted(&perseus), ["a", "b", "d"]);
    assert_eq!(report_within(&handler, &event("h"), 2_500 * MS).await, ["h"]);
    assert_eq!(posted(&perseus), ["a", "b", "d", "h"]);
}

#[tokio::test(start_paused = true)]
async fn occasional_hanging_requests_do_not_stop_later_invocations() {
    let settings = [("BATCH_MAX_RECORDS", "1"), ("REQUEST_TIMEOUT", "60s")];
    let (_perseus, handler) = forwarder(&settings, |request| {
        if request.message_ids.iter().any(|id| id.starts_with("hangs")) {
            Reply::hang()
        } else {
            Reply::ok().after(100 * MS)
        }
    })
    .await;
    let ids = |from: usize| (from..from + 49).map(|id| id.to_string()).collect::<Vec<_>>().join(" ");
    // More hanging requests than the latency estimate would ignore as outliers if it looked only at the last ones.
    let hanging = (0..6).map(|number| format!("hangs{number} {}", ids(100 * number)));
    let event_with_hangs = event(&hanging.collect::<Vec<_>>().join(" "));
    let reported = report_within(&handler, &event_with_hangs, 20 * SECOND).await;
    assert_eq!(reported, ["hangs0", "hangs1", "hangs2", "hangs3", "hangs4", "hangs5"]);
    assert_eq!(report_within(&handler, &event("a b c"), 20 * SECOND).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn sending_resumes_after_an_outage_of_hanging_requests() {
    let settings = [("REQUEST_TIMEOUT", "60s"), ("BATCH_MAX_RECORDS", "1")];
    for quick in [0, 20] {
        let hangs = Arc::new(AtomicBool::new(false));
        let does_hang = Arc::clone(&hangs);
        let reply = move |_: &Received| {
            if does_hang.load(Relaxed) { Reply::hang() } else { Reply::ok().after(10 * MS) }
        };
        let (perseus, handler) = forwarder(&settings, reply).await;
        let deliver = async || {
            // The next event comes after all pauses.
            tokio::time::advance(5 * SECOND).await;
            report_within(&handler, &event("a"), 6 * SECOND).await.is_empty()
        };
        assert_eq!(report_within(&handler, &numbered(quick), 6 * SECOND).await, [""; 0]);
        hangs.store(true, Relaxed);
        for _ in 0..40 {
            assert!(!deliver().await);
        }
        let before = perseus.received().len();
        assert!(!deliver().await && !deliver().await);
        assert!(perseus.received().len() > before, "Perseus is probed no more");
        hangs.store(false, Relaxed);
        assert!(deliver().await || deliver().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_cut_off_raises_the_latency_estimate() {
    let (perseus, handler) = forwarder(&[], |_| Reply::hang()).await;
    assert_eq!(report_within(&handler, &event("a"), 5 * SECOND).await, ["a"]);
    assert_eq!(report_within(&handler, &event("b"), 2 * SECOND).await, ["b"]);
    assert_eq!(posted(&perseus), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_backoff_that_would_pass_the_cutoff_is_not_started() {
    let (perseus, handler) = forwarder(&[], |_| Reply::status(503).header("retry-after", "20")).await;
    let start = Instant::now();
    assert_eq!(report_within(&handler, &event("a"), 10 * SECOND).await, ["a"]);
    assert!(start.elapsed() < 100 * MS, "{:?}", start.elapsed());
    assert_eq!(perseus.received().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_ends_at_the_request_timeout() {
    let settings =
        [("REQUEST_TIMEOUT", "2s"), ("MAX_ATTEMPTS", "2"), ("RETRY_BASE", "1ms"), ("RETRY_CAP", "1ms")];
    let (perseus, handler) = forwarder(&settings, |_| Reply::hang()).await;
    let start = Instant::now();
    assert_eq!(report(&handler, &event("a")).await, ["a"]);
    assert!((4 * SECOND..4_200 * MS).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(perseus.received().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn halves_without_time_left_are_reported_and_acknowledged_halves_are_not() {
    let settings = [("MAX_IN_FLIGHT", "1")];
    let (_perseus, handler) = forwarder(&settings, |request| match request.message_ids.len() {
        4 => Reply::status(413),
        _ if holds(request, "a") => Reply::ok(),
        _ => Reply::hang(),
    })
    .await;
    assert_eq!(report_within(&handler, &event("a b c d"), 5 * SECOND).await, ["c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn an_invocation_that_waits_for_a_permit_ends_at_its_own_cutoff() {
    let (perseus, handler) = forwarder(&[("MAX_IN_FLIGHT", "1")], |_| Reply::hang()).await;
    let start = Instant::now();
    let (one, other) = (event("a"), event("b"));
    let first = report_within(&handler, &one, 30 * SECOND);
    let second = async {
        tokio::time::sleep(10 * MS).await;
        let reported = report_within(&handler, &other, 3 * SECOND).await;
        (reported, start.elapsed())
    };
    let (first, (second, ended)) = futures_util::future::join(first, second).await;
    assert_eq!((first, second), (vec!["a".to_owned()], vec!["b".to_owned()]));
    assert!((2_000 * MS..2_100 * MS).contains(&ended), "{ended:?}");
    assert_eq!(perseus.received().iter().filter(|request| holds(request, "b")).count(), 0);
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "deadlines are dates")]
async fn each_invocation_reads_the_time_of_day() {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    let in_a_while = |left: Duration| {
        let mut context = context(SECOND);
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + left;
        context.deadline = u64::try_from(at.as_millis()).unwrap();
        context
    };
    let (perseus, handler) = forwarder(&[("CUTOFF_RESERVE", "1s")], |_| Reply::ok()).await;
    handler.handle(event("a").to_string().as_bytes(), &in_a_while(60 * SECOND)).await.unwrap();
    assert_eq!(perseus.received().len(), 1);
    // The paused clock does not move the time of day.
    let start = SystemTime::now();
    while start.elapsed().unwrap() < 150 * MS {
        std::hint::spin_loop();
    }
    let response = handler.handle(event("b").to_string().as_bytes(), &in_a_while(SECOND)).await.unwrap();
    assert_eq!(response.batch_item_failures.len(), 1, "with the time of before there would be 150 ms left");
    assert_eq!(perseus.received().len(), 1);
}
