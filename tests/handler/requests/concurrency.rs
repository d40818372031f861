//! `MAX_IN_FLIGHT`: how many requests are in flight at once.

use futures_util::future::join;
use lab::perseus::Reply;
use tokio::time::Instant;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn batches_are_sent_concurrently_within_the_limit() {
    let settings = [("MAX_IN_FLIGHT", "3"), ("BATCH_MAX_RECORDS", "1")];
    let (perseus, handler) = forwarder(&settings, |_| Reply::ok().after(100 * MS)).await;
    let start = Instant::now();
    assert_eq!(report(&handler, &numbered(12)).await, [""; 0]);
    assert_eq!(perseus.in_flight_peak(), 3);
    assert!((400 * MS..450 * MS).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_limit_includes_halves_of_split_batches() {
    let settings = [("MAX_IN_FLIGHT", "2")];
    let (perseus, handler) = forwarder(&settings, |request| {
        Reply::status(if request.message_ids.len() > 1 { 400 } else { 200 }).after(10 * MS)
    })
    .await;
    assert_eq!(report(&handler, &numbered(64)).await, [""; 0]);
    assert_eq!(perseus.in_flight_peak(), 2);
}

#[tokio::test(start_paused = true)]
async fn concurrent_invocations_share_the_limit_and_nothing_else() {
    let settings = [("MAX_IN_FLIGHT", "4"), ("BATCH_MAX_RECORDS", "1"), ("MAX_ATTEMPTS", "1")];
    let (perseus, handler) = forwarder(&settings, |request| {
        Reply::status(if holds(request, "x") { 404 } else { 200 }).after(50 * MS)
    })
    .await;
    let ten = numbered(10);
    let one = event("x");
    let (well, ill) = join(report(&handler, &ten), report(&handler, &one)).await;
    assert_eq!(perseus.in_flight_peak(), 4);
    assert_eq!((well, ill), (vec![], vec!["x".to_owned()]));
}
