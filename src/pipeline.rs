//! The stages, wired: records are decoded and batched as fast as batches can be sent, and no faster.
//!
//! Each stage owns what it holds, and all run in the invocation's own task: when that is dropped at the
//! cutoff, so is everything in flight.

use std::{future::ready, panic::AssertUnwindSafe, pin::pin, time::Duration};

use futures_util::{
    FutureExt, Stream, StreamExt,
    stream::{iter, unfold},
};
use tokio::{
    task::yield_now,
    time::{Instant, timeout_at},
};
use tracing::error;

use crate::{
    batch::{Batch, Batcher},
    decode::Decoder,
    deliver::Courier,
    event::Event,
    lane::{Lane, lanes},
    record::Record,
};

/// Delivers the records of an event until all are settled or it is dropped.
pub async fn run(event: &Event<'_>, courier: &Courier<'_>) {
    let is_probe = courier.refusals.are_all();
    if courier.may_attempt(is_probe) && !courier.has_access().await {
        return;
    }
    let format = courier.config.format;
    let records = Decoder::new(event, courier.ledger, format, courier.request_id);
    let batcher = Batcher::new(courier.config.batch, format);
    let lanes = if event.fifo {
        iter(lanes(records, batcher)).left_stream()
    } else {
        let (longest_wait, cutoff) = (courier.config.batch_max_wait, courier.deadline.cutoff());
        let flush_at = move |opened| flush_at(opened, longest_wait, cutoff, courier.pace.expected());
        batches(iter(records), batcher, flush_at).map(Lane::from).right_stream()
    };
    let mut lanes = pin!(lanes);
    if is_probe && let Some(lane) = lanes.next().await {
        contained(probe(lane, courier), courier.request_id).await;
    }
    lanes
        .take_while(|_| ready(courier.may_deliver()))
        .then(|lane| courier.turn.ready().map(|()| lane))
        // Bounded by the limit: what waits for a retry is in nobody's way.
        .for_each_concurrent(None, |lane| contained(courier.deliver_in_order(lane.0), courier.request_id))
        .await;
}

/// When a batch opened at `opened` has to go: after its longest wait, or as early as it takes for an attempt
/// to end before the cutoff.
fn flush_at(opened: Instant, longest_wait: Duration, cutoff: Instant, attempt: Duration) -> Instant {
    cutoff.checked_sub(attempt).unwrap_or(opened).min(opened + longest_wait)
}

/// Batches records by count, bytes and time: a batch opened at `opened` goes at `flush_at(opened)`.
fn batches(
    records: impl Stream<Item = Record> + Send,
    batcher: Batcher,
    flush_at: impl Fn(Instant) -> Instant + Send,
) -> impl Stream<Item = Batch> + Send {
    let stage = (Box::pin(records), batcher, Instant::now(), flush_at);
    unfold(stage, async |(mut records, mut batcher, mut opened, flush_at)| {
        loop {
            let record = match records.next().now_or_never() {
                // The usual case, an event's records being all there, needs no timer.
                Some(record) => Ok(record),
                None if batcher.is_empty() => Ok(records.next().await),
                None => timeout_at(flush_at(opened), records.next()).await,
            };
            let batch = match record {
                Ok(Some(record)) => {
                    let was_empty = batcher.is_empty();
                    let batch = batcher.push(record);
                    if was_empty || batch.is_some() {
                        opened = Instant::now();
                    }
                    batch
                }
                Ok(None) => Some(batcher.finish()?),
                Err(_elapsed) => batcher.finish(),
            };
            if let Some(batch) = batch {
                // Decoding leaves the connections no time to write; this does.
                yield_now().await;
                return Some((batch, (records, batcher, opened, flush_at)));
            }
        }
    })
}

/// Finds out with the first batch whether Perseus still refuses everything. If not, the others follow.
async fn probe(Lane(mut batches): Lane, courier: &Courier<'_>) {
    let later = batches.split_off(1);
    for batch in batches {
        courier.probe(batch).await;
    }
    courier.deliver_in_order(later).await;
}

/// Runs a delivery such that its panic ends it alone. What it held stays outstanding, and is reported.
async fn contained(delivery: impl Future<Output = ()>, request_id: &str) {
    if AssertUnwindSafe(delivery).catch_unwind().await.is_err() {
        error!(requestId = request_id, "a delivery panicked; its records are reported");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BatchFormat, BatchLimits};

    const MS: Duration = Duration::from_millis(1);

    /// Batches records that come after these pauses, flushed after 200 ms: at what time which slots go.
    async fn timeline(pauses: &[u32], max_records: usize) -> Vec<(u128, Vec<usize>)> {
        let start = Instant::now();
        let records = iter(pauses.to_vec()).enumerate().then(async |(slot, pause)| {
            if pause > 0 {
                tokio::time::sleep(MS * pause).await;
            }
            Record { slot, group: None, sent: None, wire: b"1".to_vec() }
        });
        let batcher = Batcher::new(BatchLimits { max_records, max_bytes: 1_000 }, BatchFormat::Array);
        batches(records, batcher, |opened| opened + 200 * MS)
            .map(|batch| (start.elapsed().as_millis(), batch.records.iter().map(|r| r.slot).collect()))
            .collect()
            .await
    }

    #[tokio::test(start_paused = true)]
    async fn records_that_are_there_are_not_waited_for() {
        assert_eq!(timeline(&[0, 0, 0], 2).await, [(0, vec![0, 1]), (0, vec![2])]);
        assert_eq!(timeline(&[], 2).await, []);
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_batch_goes_when_its_wait_is_over() {
        // 0 at 0, 1 at 150, 2 at 300 (after the flush at 200), 3 at 310, the end at 310.
        assert_eq!(timeline(&[0, 150, 150, 10], 9).await, [(200, vec![0, 1]), (310, vec![2, 3])]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_begins_with_the_first_record_of_a_batch() {
        // 0 at 300, 1 at 450, flush at 500; 2 at 750, flush at 950; 3 at 1,050.
        assert_eq!(
            timeline(&[300, 150, 300, 300], 9).await,
            [(500, vec![0, 1]), (950, vec![2]), (1_050, vec![3])]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_batch_does_not_wait() {
        // 0 at 0, 1 at 10 fills the batch; 2 at 110, flush at 310; 3 at 410.
        assert_eq!(timeline(&[0, 10, 100, 300], 2).await, [(10, vec![0, 1]), (310, vec![2]), (410, vec![3])]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_goes_early_enough_for_an_attempt_to_end_before_the_cutoff() {
        let opened = Instant::now();
        let goes_after = |cutoff, attempt| flush_at(opened, 200 * MS, opened + cutoff, attempt) - opened;
        assert_eq!(goes_after(10_000 * MS, 400 * MS), 200 * MS);
        assert_eq!(goes_after(500 * MS, 400 * MS), 100 * MS);
        assert_eq!(goes_after(500 * MS, Duration::MAX), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_panic_ends_its_delivery_alone() {
        contained(async { panic!("a bug") }, "request").await;
    }
}
