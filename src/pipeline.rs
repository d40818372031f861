//! The stages, wired: records are decoded and batched as fast as batches can be sent, and no faster.
//!
//! Each stage owns what it holds, and all run in the invocation's own task: when that is dropped at the
//! cutoff, so is everything in flight.

use std::{future::ready, panic::AssertUnwindSafe};

use futures_util::{
    FutureExt, Stream, StreamExt,
    stream::{iter, unfold},
};
use tokio::{
    task::yield_now,
    time::{Instant, timeout_at},
};
use tracing::{error, warn};

use crate::{
    batch::{Batch, Batcher},
    deliver::Courier,
    event::Event,
    lane::{Lane, lanes},
    record::{Record, encode},
};

/// Delivers the records of an event until all are settled or it is dropped.
pub async fn run(event: &Event<'_>, courier: &Courier<'_>) {
    let records = records(event, courier);
    let batcher = Batcher::new(courier.config.batch, courier.config.format);
    let lanes = if event.fifo {
        iter(lanes(records, batcher)).left_stream()
    } else {
        let flush_at = |opened| flush_at(courier, opened);
        batches(iter(records), batcher, flush_at)
            .map(Lane::from)
            .right_stream()
    };
    lanes
        .take_while(|_| ready(courier.may_attempt()))
        .for_each_concurrent(courier.limit.most(), |lane| {
            contained(deliver(lane, courier))
        })
        .await;
}

/// Decodes the records one by one; those that cannot be read are settled here.
fn records<'a>(
    event: &'a Event<'_>,
    courier: &'a Courier<'_>,
) -> impl Iterator<Item = Record> + Send + 'a {
    event
        .envelopes
        .iter()
        .enumerate()
        .filter_map(
            |(slot, envelope)| match encode(envelope, courier.config.format) {
                Ok(wire) => Some(Record {
                    slot,
                    group: courier.ledger.group(slot),
                    wire,
                }),
                Err(unreadable) => {
                    courier.ledger.reject(slot);
                    warn!(
                        requestId = courier.request_id,
                        outcome = "rejected",
                        reason = unreadable.to_string(),
                        records = 1,
                        messageIds = courier.ledger.id(slot),
                        "record cannot be read"
                    );
                    None
                }
            },
        )
}

/// When an open batch has to go: after its longest wait, or as early as an attempt needs to end in time.
fn flush_at(courier: &Courier<'_>, opened: Instant) -> Instant {
    let latest = courier
        .deadline
        .cutoff()
        .checked_sub(courier.pace.expected())
        .unwrap_or(opened);
    latest.min(opened + courier.config.batch_max_wait)
}

/// Batches records by count, bytes and time: a batch opened at `opened` goes at `flush_at(opened)`.
fn batches(
    records: impl Stream<Item = Record> + Send,
    batcher: Batcher,
    flush_at: impl Fn(Instant) -> Instant + Send,
) -> impl Stream<Item = Batch> + Send {
    let stage = (Box::pin(records), batcher, Instant::now(), flush_at);
    unfold(
        stage,
        async |(mut records, mut batcher, mut opened, flush_at)| {
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
        },
    )
}

async fn deliver(lane: Lane, courier: &Courier<'_>) {
    for batch in lane.0 {
        courier.deliver(batch).await;
    }
}

/// Runs a delivery such that its panic ends it alone. What it held stays outstanding, and is reported.
async fn contained(delivery: impl Future<Output = ()>) {
    if AssertUnwindSafe(delivery).catch_unwind().await.is_err() {
        error!("a delivery panicked; its records are reported");
    }
}
