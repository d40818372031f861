//! Which requests are retried, how often and when.

use std::time::UNIX_EPOCH;

use lab::perseus::Reply;
use tokio::time::Instant;

use crate::support::*;

const AGAIN: [u16; 14] = [408, 409, 425, 429, 500, 502, 503, 504, 505, 507, 508, 511, 520, 599];

#[tokio::test(start_paused = true)]
async fn a_brief_failure_costs_a_retry() {
    for status in AGAIN {
        let (perseus, handler) =
            forwarder(&[], move |request| Reply::status(if request.number == 0 { status } else { 200 }))
                .await;
        assert_eq!(report(&handler, &event("a b")).await, [""; 0], "{status}");
        assert_eq!(posted(&perseus), ["a b", "a b"], "{status}");
        assert_eq!(perseus.violations(), [""; 0], "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lasting_failure_uses_all_attempts() {
    for status in AGAIN {
        for (allowed, expected) in [("1", 1), ("2", 2), ("4", 4)] {
            let (perseus, handler) =
                forwarder(&[("MAX_ATTEMPTS", allowed)], move |_| Reply::status(status)).await;
            assert_eq!(report(&handler, &event("a b")).await, ["a", "b"], "{status}");
            assert_eq!(perseus.received().len(), expected, "{status}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn undefined_statuses_acknowledge_nothing() {
    for status in [203, 205, 206, 208, 226, 299, 600, 999] {
        let (perseus, handler) = forwarder(&[("MAX_ATTEMPTS", "2")], move |_| Reply::status(status)).await;
        assert_eq!(report(&handler, &event("a")).await, ["a"], "{status}");
        assert_eq!(perseus.received().len(), 2, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn backoff_grows_within_its_limits() {
    let settings = [("MAX_ATTEMPTS", "5"), ("RETRY_BASE", "1s"), ("RETRY_CAP", "3s")];
    for _ in 0..20 {
        let (perseus, handler) = forwarder(&settings, |_| Reply::status(500)).await;
        report_within(&handler, &event("a"), 60 * SECOND).await;
        let at: Vec<_> = perseus.received().iter().map(|request| request.at).collect();
        for (pair, longest) in at.windows(2).zip([1, 2, 3, 3]) {
            let waited = pair[1] - pair[0];
            assert!(waited <= longest * SECOND + 5 * MS, "{waited:?} of {longest} s");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_the_shortest_wait() {
    let in_seven_seconds = httpdate::fmt_http_date(wall_clock() + 8 * SECOND);
    for value in ["7", &in_seven_seconds] {
        let value = value.to_owned();
        let (perseus, handler) = forwarder(&[("RETRY_CAP", "100ms")], move |request| {
            if request.number == 0 { Reply::status(429).header("retry-after", &value) } else { Reply::ok() }
        })
        .await;
        let start = Instant::now();
        assert_eq!(report(&handler, &event("a")).await, [""; 0]);
        assert!((6 * SECOND..9 * SECOND).contains(&start.elapsed()), "{:?}", start.elapsed());
        assert_eq!(perseus.received().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_holds_for_every_request_of_the_process() {
    let settings = [("BATCH_MAX_RECORDS", "1"), ("MAX_IN_FLIGHT", "1")];
    let (perseus, handler) = forwarder(&settings, |request| match request.number {
        0 => Reply::status(503).header("retry-after", "5"),
        _ => Reply::ok(),
    })
    .await;
    assert_eq!(report(&handler, &event("a b c")).await, [""; 0]);
    let at: Vec<_> = perseus.received().iter().map(|request| request.at).collect();
    assert!(at[1] - at[0] >= 5 * SECOND, "{:?}", at[1] - at[0]);
    assert!(at[3] - at[1] < SECOND, "the first success ends it");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_kept_across_invocations() {
    let settings = [("MAX_ATTEMPTS", "1")];
    let (perseus, handler) = forwarder(&settings, |request| match request.number {
        0 => Reply::status(429).header("retry-after", "9"),
        _ => Reply::ok(),
    })
    .await;
    assert_eq!(report(&handler, &event("a")).await, ["a"]);
    // There is not enough time to wait.
    assert_eq!(report_within(&handler, &event("a"), 5 * SECOND).await, ["a"]);
    assert_eq!(perseus.received().len(), 1);
    let start = Instant::now();
    assert_eq!(report(&handler, &event("a")).await, [""; 0]);
    assert!((8 * SECOND..10 * SECOND).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_that_is_too_long_waits_for_the_requests_in_flight() {
    let answer = |request: &lab::perseus::Received| match request.number {
        0 => Reply::status(503).header("retry-after", "40"),
        _ => Reply::ok().after(50 * MS),
    };
    let (_perseus, handler) = forwarder(&[("BATCH_MAX_RECORDS", "10")], answer).await;
    let start = Instant::now();
    assert_eq!(report(&handler, &numbered(1_000)).await.len(), 10, "the batch of the 503 alone");
    assert!(start.elapsed() < 2 * SECOND, "{:?}", start.elapsed());
    // If they fail as well, nothing ends the wait.
    let answer = |request: &lab::perseus::Received| match request.number {
        0 => Reply::status(503).header("retry-after", "40"),
        _ => Reply::status(500).after(50 * MS),
    };
    let (perseus, handler) = forwarder(&[("BATCH_MAX_RECORDS", "10")], answer).await;
    assert_eq!(report(&handler, &numbered(1_000)).await.len(), 1_000);
    assert!(perseus.received().len() <= 10);
    assert!(start.elapsed() < 4 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_malformed_retry_after_is_ignored() {
    for value in ["soon", "-5", "Sun, 06 Nov 1994 08:49:37 GMT"] {
        let (_perseus, handler) = forwarder(&[], move |request| {
            if request.number == 0 { Reply::status(503).header("retry-after", value) } else { Reply::ok() }
        })
        .await;
        let start = Instant::now();
        assert_eq!(report(&handler, &event("a")).await, [""; 0]);
        assert!(start.elapsed() < 200 * MS, "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_retried() {
    let handler = handler("http://127.0.0.1:1/", &[("RETRY_BASE", "1s"), ("RETRY_CAP", "1s")]);
    let start = Instant::now();
    assert_eq!(report(&handler, &event("a")).await, ["a"]);
    assert!(start.elapsed() > 50 * MS, "no backoff between the attempts");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_set_up_stops_all_requests() {
    for status in
        [300, 301, 302, 303, 304, 307, 308, 401, 402, 403, 404, 405, 406, 410, 411, 415, 418, 431, 451, 501]
    {
        let settings = [("MAX_IN_FLIGHT", "1"), ("BATCH_MAX_RECORDS", "1")];
        let (perseus, handler) = forwarder(&settings, move |request| match request.number {
            0 => Reply::ok(),
            _ => Reply::status(status).header("location", "/elsewhere"),
        })
        .await;
        assert_eq!(report(&handler, &event("a b c d")).await, ["b", "c", "d"], "{status}");
        assert_eq!(posted(&perseus), ["a", "b"], "{status}");
        assert_eq!(perseus.violations(), [""; 0], "{status}");
        // The next invocation tries again.
        report(&handler, &event("e")).await;
        assert_eq!(posted(&perseus), ["a", "b", "e"], "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_set_up_ends_waiting() {
    let settings = [("BATCH_MAX_RECORDS", "1"), ("RETRY_BASE", "20s"), ("RETRY_CAP", "20s")];
    let (perseus, handler) = forwarder(&settings, |request| {
        if holds(request, "a") {
            Reply::status(503).header("retry-after", "20")
        } else {
            Reply::status(401).after(SECOND)
        }
    })
    .await;
    let start = Instant::now();
    assert_eq!(report_within(&handler, &event("a b"), 60 * SECOND).await, ["a", "b"]);
    assert!(start.elapsed() < 2 * SECOND, "{:?}", start.elapsed());
    assert_eq!(perseus.received().len(), 2);
}

#[expect(clippy::disallowed_methods, reason = "a date in a reply")]
fn wall_clock() -> std::time::SystemTime {
    let now = std::time::SystemTime::now();
    assert!(now > UNIX_EPOCH);
    now
}
