//! The stages, connected: records are decoded and batched as fast as batches can be sent, and no faster.
//!
//! All stages run in the invocation's own task. At the cutoff it is dropped, and with it every request in flight.

use std::{panic::AssertUnwindSafe, pin::pin, time::Duration};

use futures_util::{
    FutureExt, Stream, StreamExt,
    stream::{iter, unfold},
};
use tokio::{task::yield_now, time::Instant};

use crate::{
    batch::{
        batcher::{Batch, Batcher},
        fifo::{Sequence, sequences},
    },
    decode::{event::Event, record::Record},
    deliver::{context::DeliveryContext, decoder::Decoder},
    telemetry::messages::{self, log_line},
    yield_budget::AT_A_TIME,
};

/// Delivers the records of an event until all are settled, or until this is dropped.
pub(crate) async fn run(event: &Event<'_>, delivery: &DeliveryContext<'_>) {
    let is_probe = delivery.refusals.refuses_all();
    if delivery.may_attempt(is_probe) && !delivery.has_credentials().await {
        return;
    }
    let format = delivery.config.format;
    let records = Decoder::new(event, delivery.ledger, format, delivery.request_id);
    let batcher = Batcher::new(delivery.config.batch, format);
    let fill_until = || {
        let attempt = delivery.limit.least_pause().saturating_add(delivery.latency.expected());
        fill_until(delivery.deadline.cutoff(), attempt)
    };
    let sequences = if event.fifo {
        let records = decode_until(records, fill_until()).await;
        iter(sequences(records.into_iter(), batcher)).left_stream()
    } else {
        batches(records, batcher, fill_until).map(Sequence::from).right_stream()
    };
    let mut sequences = pin!(sequences);
    if is_probe && let Some(sequence) = sequences.next().await {
        contained(probe(sequence, delivery), delivery.request_id).await;
    }
    sequences
        .take_while(|_| delivery.may_attempt_soon(false))
        .then(|sequence| delivery.limit.ready().map(|()| sequence))
        // `ready` is the bound: a batch begins when a permit is free. Batches that wait for a retry hold none.
        .for_each_concurrent(None, |sequence| {
            contained(delivery.deliver_in_order(sequence.0), delivery.request_id)
        })
        .await;
}

/// Until when a batch that is begun now may be filled. None if an attempt that takes `attempt` could not end before the
/// cutoff any more.
///
/// An event is complete when it arrives, so no batch waits for records. But decoding takes time: for megabytes on a
/// fraction of a core, so much that the last moment for an attempt may pass. So decoding gets half of the time until then.
/// The other half is for compression and other work.
fn fill_until(cutoff: Instant, attempt: Duration) -> Option<Instant> {
    let now = Instant::now();
    let last_moment = cutoff.checked_sub(attempt)?;
    let left = last_moment.checked_duration_since(now).filter(|left| !left.is_zero())?;
    Some(now + left / 2)
}

/// Batches records by count, by bytes, and by the time that is left to fill a batch.
fn batches(
    records: impl Iterator<Item = Record> + Send,
    batcher: Batcher,
    fill_until: impl Fn() -> Option<Instant> + Send,
) -> impl Stream<Item = Batch> + Send {
    let stage = (records, batcher, fill_until);
    unfold(stage, async |(mut records, mut batcher, fill_until)| {
        let batch = fill(&mut batcher, &mut records, fill_until()?).await?;
        // Lets the connections write: decoding itself never yields to them.
        yield_now().await;
        Some((batch, (records, batcher, fill_until)))
    })
}

/// How many bytes are decoded between two readings of the clock. One reading for each record costs 4 % of the CPU of an
/// event with small records.
const CLOCK_AFTER: usize = 8 << 10;

/// The next batch. It is closed when it is full, when its time is over, or after the last record.
async fn fill(
    batcher: &mut Batcher,
    records: &mut impl Iterator<Item = Record>,
    until: Instant,
) -> Option<Batch> {
    let (mut decoded, mut untimed) = (0, 0);
    for record in records {
        decoded += record.wire.len();
        untimed += record.wire.len();
        if let Some(full) = batcher.push(record) {
            return Some(full);
        }
        if untimed >= CLOCK_AFTER {
            untimed = 0;
            if Instant::now() >= until {
                break;
            }
        }
        if decoded >= AT_A_TIME {
            decoded = 0;
            yield_now().await;
        }
    }
    batcher.finish()
}

/// Decodes the records of a FIFO event until `until`. This comes before the first batch, because a sequence has all records
/// of its message groups. Records that are not decoded in time are reported; they are the last ones, so the order is kept.
async fn decode_until(records: impl Iterator<Item = Record>, until: Option<Instant>) -> Vec<Record> {
    let mut decoded = Vec::new();
    let mut bytes = 0;
    for record in records {
        if until.is_none_or(|until| Instant::now() >= until) {
            break;
        }
        bytes += record.wire.len();
        decoded.push(record);
        if bytes >= AT_A_TIME {
            bytes = 0;
            yield_now().await;
        }
    }
    decoded
}

/// Finds out with the first batch whether Perseus still refuses everything. If not, the others follow.
async fn probe(Sequence(mut batches): Sequence, delivery: &DeliveryContext<'_>) {
    let later = batches.split_off(1);
    for batch in batches {
        delivery.probe(batch).await;
    }
    delivery.deliver_in_order(later).await;
}

/// Keeps a panic within its own delivery. The records of that delivery stay outstanding and are reported.
async fn contained(delivery: impl Future<Output = ()>, request_id: &str) {
    if AssertUnwindSafe(delivery).catch_unwind().await.is_err() {
        log_line!(messages::A_DELIVERY_PANICKED, requestId = request_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{format::BatchFormat, limits::BatchLimits};

    const MS: Duration = Duration::from_millis(1);

    /// A record that takes `decoding` to decode.
    fn decoded(slot: usize, decoding: Duration) -> Record {
        // The clock moves when this is first polled.
        let _ = tokio::time::advance(decoding).now_or_never();
        Record { slot, group: None, sent: None, wire: vec![b'1'; CLOCK_AFTER] }
    }

    /// Batches `records` records that take `decoding` each to decode, with `left` until the cutoff and attempts of 400 ms.
    /// Returns when each batch was closed, in milliseconds, and its slots.
    async fn timeline(records: usize, decoding: Duration, left: Duration) -> Vec<(u128, Vec<usize>)> {
        let start = Instant::now();
        let decode = |slot| decoded(slot, decoding);
        let batcher = Batcher::new(BatchLimits { max_records: 4, max_bytes: 1 << 20 }, BatchFormat::Array);
        batches((0..records).map(decode), batcher, || fill_until(start + left, 400 * MS))
            .map(|batch| (start.elapsed().as_millis(), batch.records.iter().map(|r| r.slot).collect()))
            .collect()
            .await
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_closed_when_it_is_full_or_after_the_last_record() {
        assert_eq!(timeline(6, MS, 1_000 * MS).await, [(4, vec![0, 1, 2, 3]), (6, vec![4, 5])]);
        assert_eq!(timeline(4, MS, 1_000 * MS).await, [(4, vec![0, 1, 2, 3])]);
        assert_eq!(timeline(0, MS, 1_000 * MS).await, []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_closed_early_when_time_runs_out_and_none_begins_too_late() {
        // The last moment for an attempt is at 800. The first batch may be filled until 400 (closed at 450), the second
        // until 625 (closed at 750), the third until 775 (closed at 900). Then it is too late for another one.
        assert_eq!(
            timeline(100, 150 * MS, 1_200 * MS).await,
            [(450, vec![0, 1, 2]), (750, vec![3, 4]), (900, vec![5])]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn without_time_for_an_attempt_nothing_is_decoded() {
        for left in [Duration::ZERO, 399 * MS, 400 * MS] {
            assert_eq!(timeline(100, 150 * MS, left).await, [], "{left:?}");
        }
        assert_eq!(timeline(1, Duration::ZERO, 401 * MS).await, [(0, vec![0])]);
    }

    #[tokio::test(start_paused = true)]
    async fn batches_that_take_no_time_to_decode_are_never_closed_early() {
        let full: Vec<_> = (0..25).map(|n| (0, (4 * n..4 * n + 4).collect())).collect();
        assert_eq!(timeline(100, Duration::ZERO, 401 * MS).await, full);
    }

    #[tokio::test(start_paused = true)]
    async fn the_part_of_a_fifo_event_that_can_be_decoded_in_time_is_sent() {
        let decoded_in = async |left: Duration| {
            let records = (0..10).map(|slot| decoded(slot, 100 * MS));
            let records = decode_until(records, fill_until(Instant::now() + left, 400 * MS)).await;
            records.iter().map(|record| record.slot).collect::<Vec<_>>()
        };
        assert_eq!(decoded_in(1_100 * MS).await, [0, 1, 2]);
        assert_eq!(decoded_in(3_000 * MS).await, (0..10).collect::<Vec<_>>());
        assert_eq!(decoded_in(400 * MS).await, [0; 0]);
    }

    #[tokio::test]
    async fn decoding_a_large_fifo_event_yields_to_other_work() {
        let record = |slot| Record { slot, group: Some(0), sent: None, wire: vec![b'1'; AT_A_TIME] };
        let mut decoding =
            pin!(decode_until((0..4).map(record), fill_until(Instant::now() + Duration::from_secs(60), MS)));
        let mut turns = 0;
        while futures_util::poll!(&mut decoding).is_pending() {
            turns += 1;
        }
        assert_eq!(turns, 4);
    }

    #[tokio::test]
    async fn a_panic_ends_only_its_own_delivery() {
        contained(async { panic!("a bug") }, "request").await;
    }
}
