//! Perseus is overloaded (429, 502, 503, 504, time-outs): how the limit on requests follows it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use lab::perseus::Reply;
use tokio::time::Instant;

use crate::support::*;

const ONE_BY_ONE: (&str, &str) = ("BATCH_MAX_RECORDS", "1");

#[tokio::test(start_paused = true)]
async fn an_outage_gets_one_probe_per_invocation_and_the_rest_is_reported_at_once() {
    for status in [500, 502, 503, 504, 505, 520, 599, 207] {
        let (perseus, handler) = forwarder(&[ONE_BY_ONE], move |_| Reply::status(status)).await;
        assert_eq!(report(&handler, &numbered(200)).await.len(), 200);
        let first = perseus.received().len();
        assert!(first < 60, "{status}: {first} requests into the outage");
        for _ in 0..3 {
            let (before, start) = (perseus.received().len(), Instant::now());
            assert_eq!(report(&handler, &numbered(200)).await.len(), 200, "{status}");
            assert_eq!(perseus.received().len() - before, 1, "{status}: one probe");
            assert!(start.elapsed() < 100 * MS, "{status}: waited {:?}", start.elapsed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_gone_is_an_outage() {
    let handler = handler("http://127.0.0.1:1/", &[ONE_BY_ONE]);
    report(&handler, &numbered(50)).await;
    let start = Instant::now();
    assert_eq!(report(&handler, &numbered(50)).await.len(), 50);
    assert!(start.elapsed() < 10 * MS, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_recovery_is_noticed_by_the_first_probe() {
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    let (perseus, handler) = forwarder(&[ONE_BY_ONE], move |_| {
        Reply::status(if is_down.load(Relaxed) { 503 } else { 200 }).after(10 * MS)
    })
    .await;
    report(&handler, &numbered(200)).await;
    down.store(false, Relaxed);
    assert_eq!(report(&handler, &numbered(200)).await, [""; 0]);
    assert_eq!(perseus.committed().len(), 200);
}

#[tokio::test(start_paused = true)]
async fn the_learnt_limit_is_kept_for_the_next_invocation() {
    let settings = [ONE_BY_ONE, ("MAX_IN_FLIGHT", "50"), ("MAX_ATTEMPTS", "20")];
    let at_once = Arc::new(std::sync::Mutex::new(std::collections::VecDeque::<Instant>::new()));
    let (perseus, handler) = forwarder(&settings, move |request| {
        // Perseus handles five requests of 100 ms at once.
        let mut at_once = at_once.lock().unwrap();
        at_once.retain(|until| *until > request.at);
        if at_once.len() >= 5 {
            return Reply::status(429);
        }
        at_once.push_back(request.at + 100 * MS);
        Reply::ok().after(100 * MS)
    })
    .await;
    assert_eq!(report(&handler, &numbered(200)).await, [""; 0]);
    let before = perseus.received().len();
    assert_eq!(report(&handler, &numbered(200)).await, [""; 0]);
    let requests = perseus.received().len() - before;
    assert!(requests < 300, "{requests} requests for 200 records");
}

#[tokio::test(start_paused = true)]
async fn a_limit_below_one_means_pauses_between_requests() {
    let settings = [ONE_BY_ONE, ("MAX_IN_FLIGHT", "1"), ("MAX_ATTEMPTS", "1")];
    let (perseus, handler) = forwarder(&settings, |request| {
        if request.number < 3 { Reply::status(429) } else { Reply::ok() }.after(100 * MS)
    })
    .await;
    assert_eq!(report(&handler, &numbered(10)).await.len(), 3);
    let at: Vec<Instant> = perseus.received().iter().map(|request| request.at).collect();
    let pauses: Vec<_> = at.windows(2).map(|pair| pair[1] - pair[0] - 100 * MS).collect();
    // The limit is a half, a quarter, an eighth of one request; then it grows until there are no pauses.
    for (pause, share) in pauses.iter().zip([2, 4, 8]) {
        let expected = 100 * MS * (share - 1);
        assert!(*pause > expected / 3 && *pause < expected * 2, "{pauses:?}");
    }
    assert!(pauses.last().unwrap() < &(20 * MS), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_would_pass_the_cutoff_is_not_waited_for() {
    let settings = [ONE_BY_ONE, ("MAX_IN_FLIGHT", "1"), ("MAX_ATTEMPTS", "1"), ("CUTOFF_RESERVE", "1s")];
    let (perseus, handler) = forwarder(&settings, |_| Reply::status(429).after(2_000 * MS)).await;
    let start = Instant::now();
    // The pause is at least 1 s and the next request takes 2 s, but only 2 s are left.
    assert_eq!(report_within(&handler, &numbered(10), 5_000 * MS).await.len(), 10);
    assert_eq!(perseus.received().len(), 1);
    assert!(start.elapsed() < 2_100 * MS, "{:?}", start.elapsed());
}
