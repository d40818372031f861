//! The records of an event in batches, as the function makes them by default.

use perseus_forwarder::{
    batch::batcher::{Batch, Batcher},
    decode::record::Record,
    value::{format::BatchFormat, limits::BatchLimits},
};

pub(crate) const FORMAT: BatchFormat = BatchFormat::Records;
const LIMITS: BatchLimits = BatchLimits { max_records: 100, max_bytes: 1 << 20 };

pub(crate) fn batches(records: impl IntoIterator<Item = Record>) -> Vec<Batch> {
    let mut batcher = Batcher::new(LIMITS, FORMAT);
    let mut batches: Vec<_> = records.into_iter().filter_map(|record| batcher.push(record)).collect();
    batches.extend(batcher.finish());
    batches
}
