//! Perseus refuses everything, and Perseus refuses many records but not all.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use lab::perseus::{Perseus, Received, Reply};
use perseus_forwarder::lambda::handler::Handler;

use crate::support::{sqs::*, *};

const TO: (&str, &str) = ("REJECTED_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/dead");

/// The number of requests for an event, and the reported ids.
async fn requests(perseus: &Perseus, handler: &Handler, records: usize) -> (usize, Vec<String>) {
    let before = perseus.received().len();
    let reported = report(handler, &numbered(records)).await;
    (perseus.received().len() - before, reported)
}

#[tokio::test(start_paused = true)]
async fn after_fifty_refusals_in_a_row_each_invocation_sends_one_probe() {
    for status in [400, 422, 413] {
        for (batch, probe) in [("100", 7..=8), ("1", 1..=1), ("10000", 10..=11)] {
            let settings = [("BATCH_MAX_RECORDS", batch)];
            let (perseus, handler) = forwarder(&settings, move |_| Reply::status(status)).await;
            let (first, reported) = requests(&perseus, &handler, 1_000).await;
            assert!((50..=65).contains(&first), "{status}, {batch}: {first} requests");
            assert_eq!(reported.len(), 1_000);
            for _ in 0..3 {
                let (later, reported) = requests(&perseus, &handler, 1_000).await;
                assert!(probe.contains(&later), "{status}, {batch}: {later} requests");
                assert_eq!(reported.len(), 1_000);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_are_counted_across_invocations() {
    let (perseus, handler) = forwarder(&[], |_| Reply::status(400)).await;
    let mut all = 0;
    for _ in 0..30 {
        all += requests(&perseus, &handler, 3).await.0;
    }
    // 5 requests for each event of three records until there are 50 refusals; then a probe of 2 or 3 requests.
    assert!((50 + 20 * 2..=55 + 20 * 3).contains(&all), "{all}");
}

#[tokio::test(start_paused = true)]
async fn at_most_fifty_good_messages_become_dead_letters() {
    for (records, batch) in [(1_000, "100"), (200, "1"), (10, "10"), (1, "1"), (7, "100")] {
        let sqs = Sqs::start(|_| Answer::Confirm).await;
        let (_perseus, handler) =
            between(&sqs, &[TO, ("BATCH_MAX_RECORDS", batch)], |_| Reply::status(422)).await;
        for _ in 0..if records < 100 { 100 } else { 3 } {
            report(&handler, &numbered(records)).await;
        }
        assert!(sqs.messages().len() <= 50, "{records}, {batch}: {}", sqs.messages().len());
    }
}

#[tokio::test(start_paused = true)]
async fn records_rejected_before_the_run_was_noticed_are_not_dead_lettered() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let (perseus, handler) = between(&sqs, &[TO, ("BATCH_MAX_RECORDS", "1")], |_| Reply::status(422)).await;
    let (_, reported) = requests(&perseus, &handler, 200).await;
    assert_eq!(reported.len(), 200);
    assert_eq!(sqs.messages().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn refusals_by_name_of_all_records_count() {
    for batch in ["1", "10", "100", "1000"] {
        // The second time, one record of each request may be sent again.
        for first_may_retry in [false, batch != "1"] {
            let sqs = Sqs::start(|_| Answer::Confirm).await;
            let all = move |request: &Received| {
                let ids = request.message_ids.iter().enumerate();
                let ids: Vec<_> = ids.map(|(n, id)| (id.as_str(), Some(first_may_retry && n == 0))).collect();
                Reply::refuse(207, &ids)
            };
            let (perseus, handler) = between(&sqs, &[TO, ("BATCH_MAX_RECORDS", batch)], all).await;
            let (first, reported) = requests(&perseus, &handler, 1_000).await;
            assert!(first <= 60, "{first} requests");
            assert_eq!(reported.len(), 1_000);
            assert_eq!(requests(&perseus, &handler, 1_000).await, (1, reported));
            assert_eq!(sqs.messages().len(), 0, "{batch}, {first_may_retry}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_record_at_the_head_of_a_fifo_queue_does_not_keep_it_alive() {
    let (perseus, handler, refuses_all) = refusing(|number| number == 0, &[]).await;
    let event = fifo("a0 b1 c2 d3 e4 f5 g6 h7 i8");
    for _ in 0..10 {
        report(&handler, &event).await;
    }
    let before = perseus.received().len();
    report(&handler, &event).await;
    assert!(perseus.received().len() - before <= 5, "a probe goes down one path");
    refuses_all.store(false, Relaxed);
    for _ in 0..40 {
        report(&handler, &event).await;
    }
    assert_eq!(report(&handler, &event).await, ["a0"]);
}

/// Refuses all requests while the flag is set, then only those with a bad record.
async fn refusing(
    is_bad: fn(usize) -> bool,
    settings: &[(&str, &str)],
) -> (Perseus, Handler, Arc<AtomicBool>) {
    let refuses_all = Arc::new(AtomicBool::new(true));
    let refuses = Arc::clone(&refuses_all);
    let (perseus, handler) = forwarder(settings, move |request| {
        let number = |id: &String| id[1..].parse().unwrap();
        let has_bad = request.message_ids.iter().map(number).any(is_bad);
        Reply::status(if refuses.load(Relaxed) || has_bad { 400 } else { 200 })
    })
    .await;
    (perseus, handler, refuses_all)
}

#[tokio::test(start_paused = true)]
async fn the_first_acceptance_ends_it_even_if_each_batch_has_a_bad_record() {
    let is_bad = |number: usize| number % 50 == 7;
    let (perseus, handler, refuses_all) = refusing(is_bad, &[]).await;
    requests(&perseus, &handler, 1_000).await;
    requests(&perseus, &handler, 1_000).await;
    refuses_all.store(false, Relaxed);
    // Sometimes the path of halves ends at a bad record.
    let mut reported = Vec::new();
    for _ in 0..3 {
        reported = requests(&perseus, &handler, 1_000).await.1;
        if reported.len() < 1_000 {
            break;
        }
    }
    let bad: Vec<_> =
        (0..1_000).filter(|&number| is_bad(number)).map(|number| format!("m{number}")).collect();
    assert_eq!(reported, bad);
}

#[tokio::test(start_paused = true)]
async fn many_bad_records_are_not_a_refusal_of_everything() {
    for (is_bad, in_flight) in [
        ((|number| number % 10 == 3) as fn(usize) -> bool, "10"),
        (|number| number % 10 == 3, "50"),
        (|number| number % 3 == 0, "50"),
        (|number| number % 2 == 0, "10"),
    ] {
        let settings = [("MAX_IN_FLIGHT", in_flight)];
        let (perseus, handler, refuses_all) = refusing(is_bad, &settings).await;
        refuses_all.store(false, Relaxed);
        let bad: Vec<_> =
            (0..2_000).filter(|&number| is_bad(number)).map(|number| format!("m{number}")).collect();
        assert_eq!(requests(&perseus, &handler, 2_000).await.1, bad, "in flight: {in_flight}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_perseus_that_accepts_only_small_batches_gets_small_batches() {
    for status in [400, 413] {
        for most in [1, 3, 10, 40] {
            let (perseus, handler) = forwarder(&[], move |request| {
                Reply::status(if request.message_ids.len() > most { status } else { 200 })
            })
            .await;
            let (_, reported) = requests(&perseus, &handler, 3_000).await;
            assert_eq!(reported, [""; 0], "{status}: {most} at once");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_probe_keeps_the_order_of_a_group() {
    let refuses_all = Arc::new(AtomicBool::new(true));
    let refuses = Arc::clone(&refuses_all);
    let (perseus, handler) = forwarder(&[], move |request| {
        Reply::status(if refuses.load(Relaxed) || request.message_ids.len() > 2 { 400 } else { 200 })
    })
    .await;
    let ids: Vec<_> = (10..40).flat_map(|number| [format!("a{number}"), format!("b{number}")]).collect();
    let event = fifo(&ids.join(" "));
    for _ in 0..20 {
        assert_eq!(report(&handler, &event).await, ids);
    }
    refuses_all.store(false, Relaxed);
    assert_eq!(report(&handler, &event).await, [""; 0]);
    let of =
        |group: &str| perseus.committed().into_iter().filter(|id| id.starts_with(group)).collect::<Vec<_>>();
    assert!(of("a").is_sorted() && of("b").is_sorted(), "{:?}", perseus.committed());
}

#[tokio::test(start_paused = true)]
async fn records_that_come_back_while_everything_is_refused_wait_as_in_an_outage() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let settings = [("SQS_VISIBILITY", "on"), ("BATCH_MAX_RECORDS", "1")];
    let (_perseus, handler) = between(&sqs, &settings, |_| Reply::status(400)).await;
    report(&handler, &numbered(100)).await;
    let timeouts = sqs.timeouts();
    assert_eq!(timeouts.len(), 100);
    assert!(timeouts.iter().all(|(_, seconds)| (90..=120).contains(seconds)), "{timeouts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_perseus_that_refuses_single_records_is_up() {
    for by_name in [false, true] {
        let sqs = Sqs::start(|_| Answer::Confirm).await;
        let settings = [
            ("SQS_VISIBILITY", "on"),
            ("BATCH_MAX_RECORDS", "1"),
            ("MAX_IN_FLIGHT", "1"),
            ("REQUEST_TIMEOUT", "2s"),
        ];
        let (_perseus, handler) = between(&sqs, &settings, move |request| match request.number {
            0 if by_name => Reply::refuse(207, &[("a", Some(false))]),
            0 => Reply::status(422),
            _ => Reply::hang(),
        })
        .await;
        let reported = report_within(&handler, &event("a b c d"), 3_500 * MS).await;
        assert_eq!(reported, ["a", "b", "c", "d"]);
        // The first is rejected, the second failed, and the others come back soon because Perseus is up.
        let mut timeouts: Vec<_> = sqs.timeouts().into_iter().map(|(_, seconds)| seconds).collect();
        timeouts.sort_unstable();
        assert!(matches!(timeouts[..], [1..=10, 1..=10, 90..=120]), "by name: {by_name}: {timeouts:?}");
    }
}
