//! A refused batch is bisected until its bad records are alone.

use lab::perseus::Reply;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_too_large_is_halved_until_it_fits() {
    let (perseus, handler) =
        forwarder(&[], |request| Reply::status(if request.message_ids.len() > 2 { 413 } else { 200 })).await;
    assert_eq!(report(&handler, &event("a b c d e")).await, [""; 0]);
    let mut committed = perseus.committed();
    committed.sort();
    assert_eq!(committed, ["a", "b", "c", "d", "e"]);
    assert_eq!(perseus.violations(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_single_record_that_is_too_large_is_rejected_without_a_retry() {
    let (perseus, handler) = forwarder(&[], |_| Reply::status(413)).await;
    assert_eq!(report(&handler, &event("a")).await, ["a"]);
    assert_eq!(perseus.received().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_bad_records_are_rejected() {
    for status in [400, 422, 413] {
        for poison in
            [&["m0"][..], &["m99"], &["m50", "m51"], &["m3", "m33", "m93"], &["m7", "m8", "m9", "m10"]]
        {
            let (perseus, handler) = forwarder(&[], move |request| {
                Reply::status(if poison.iter().any(|id| holds(request, id)) { status } else { 200 })
            })
            .await;
            assert_eq!(report(&handler, &numbered(100)).await, poison, "{status}");
            assert_eq!(perseus.committed().len(), 100 - poison.len());
            assert_eq!(perseus.violations(), [""; 0]);
            // One path of halves for each bad record, and the halves beside it.
            assert!(perseus.received().len() <= 1 + poison.len() * 2 * 7, "{}", perseus.received().len());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_half_has_its_own_attempts() {
    let (perseus, handler) = forwarder(&[("MAX_ATTEMPTS", "2")], |request| match request.number {
        0 => Reply::status(400),
        1 | 2 => Reply::status(503),
        _ => Reply::ok(),
    })
    .await;
    assert_eq!(report(&handler, &event("a b")).await, [""; 0]);
    assert_eq!(perseus.received().len(), 5);
}
