//! Collects records into batches. It is synchronous and has no timer: an event is complete when it arrives.

use std::{fmt, ops::Range};

use bytes::Bytes;

use crate::{
    batch::body::{Body, Framing},
    decode::record::Record,
    value::{format::BatchFormat, limits::BatchLimits},
};

/// Records that are posted together, in the order in which they were pushed. A batch is empty only after its records
/// were taken.
#[derive(PartialEq, Eq)]
pub struct Batch {
    /// The records. Callers may only remove some.
    pub records: Vec<Member>,
    /// The body with the original records: the same buffer from the batcher to the connection.
    body: Bytes,
    /// How many records the body has.
    in_body: usize,
    /// The bytes around and between the records.
    framing: Framing,
}

/// A record of a batch. Its bytes are in the batch's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// See [`Record::slot`].
    pub slot: usize,
    /// See [`Record::group`].
    pub(crate) group: Option<usize>,
    /// See [`Record::sent`].
    pub(crate) sent: Option<u64>,
    /// Where its bytes are in the body.
    wire: Range<usize>,
}

impl Batch {
    /// The bytes of a record, without separators.
    pub(crate) fn wire(&self, record: &Member) -> &[u8] {
        &self.body[record.wire.clone()]
    }

    /// The body with the records. It is copied only if records were removed.
    pub fn body(&self) -> Bytes {
        if self.records.len() == self.in_body {
            return self.body.clone();
        }
        let bytes = self.records.iter().map(|record| record.wire.len()).sum();
        let mut body = Body::new(self.framing);
        body.reserve(self.framing.body_len(self.records.len(), bytes));
        for record in &self.records {
            body.push(self.wire(record));
        }
        body.close()
    }

    /// Splits the batch in two, near the middle.
    ///
    /// If possible the split is between two message groups. The halves then have no group in common (a FIFO batch holds one
    /// group after another), and neither has to wait for the other.
    ///
    /// # Errors
    ///
    /// Returns the batch if it has only one record.
    pub(crate) fn split(mut self) -> Result<(Batch, Batch), Batch> {
        if self.records.len() < 2 {
            return Err(self);
        }
        let middle = self.records.len() / 2;
        let is_border = |&at: &usize| self.records[at - 1].group != self.records[at].group;
        let at = (1..self.records.len()).filter(is_border).min_by_key(|at| at.abs_diff(middle));
        let records = self.records.split_off(at.unwrap_or(middle));
        let right = self.of(records);
        Ok((self, right))
    }

    /// Moves all records into a new batch.
    #[must_use]
    pub(crate) fn take(&mut self) -> Batch {
        let records = std::mem::take(&mut self.records);
        self.of(records)
    }

    /// A batch of some of the records in this body.
    fn of(&self, records: Vec<Member>) -> Batch {
        Batch { records, body: self.body.clone(), ..*self }
    }

    /// Whether the two halves of a split have a message group in common.
    pub(crate) fn shares_a_group_with(&self, later: &Batch) -> bool {
        let last = self.records.last().and_then(|record| record.group);
        last.is_some() && last == later.records.first().and_then(|record| record.group)
    }
}

// Written by hand so that no part of a message can be logged by accident.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("records", &self.records).finish_non_exhaustive()
    }
}

/// Collects records into batches.
#[derive(Debug)]
pub struct Batcher {
    limits: BatchLimits,
    framing: Framing,
    open: Vec<Member>,
    body: Body,
    /// The length of the open records without framing.
    bytes: usize,
    /// The expected length of the next body: a sixteenth more than the last one.
    expected: usize,
}

impl Batcher {
    /// An empty batcher.
    pub fn new(limits: BatchLimits, format: BatchFormat) -> Self {
        let framing = Framing::of(format);
        Batcher { limits, framing, open: Vec::new(), body: Body::new(framing), bytes: 0, expected: 0 }
    }

    /// Whether these records fit into the open batch.
    pub(crate) fn has_room_for(&self, records: &[Record]) -> bool {
        let bytes: usize = records.iter().map(|record| record.wire.len()).sum();
        let count = self.open.len() + records.len();
        count <= self.limits.max_records
            && self.framing.body_len(count, self.bytes + bytes) <= self.limits.max_bytes
    }

    /// Adds a record. Returns the batch that it completes, or the previous batch if the record does not fit into it.
    pub fn push(&mut self, record: Record) -> Option<Batch> {
        let previous = if self.has_room_for(std::slice::from_ref(&record)) { None } else { self.finish() };
        let Record { slot, group, sent, wire } = record;
        self.bytes += wire.len();
        if self.open.is_empty() {
            self.body.reserve(self.expected.max(self.framing.body_len(1, wire.len())));
        }
        self.open.push(Member { slot, group, sent, wire: self.body.push(&wire) });
        // `push` never completes two batches at once: a previous batch exists only if the limit is above one record, and
        // then this record alone does not reach it.
        if previous.is_none() && self.open.len() >= self.limits.max_records {
            return self.finish();
        }
        previous
    }

    /// Closes the open batch, if there is one.
    pub fn finish(&mut self) -> Option<Batch> {
        self.bytes = 0;
        if self.open.is_empty() {
            return None;
        }
        let records = std::mem::take(&mut self.open);
        let body = std::mem::replace(&mut self.body, Body::new(self.framing)).close();
        self.expected = (body.len() + body.len() / 16).min(self.limits.max_bytes);
        Some(Batch { in_body: records.len(), records, body, framing: self.framing })
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn record(slot: usize, len: usize) -> Record {
        Record { slot, group: None, sent: None, wire: vec![b'x'; len] }
    }

    /// A batch of records with these slots and groups.
    fn batch_of(records: impl Iterator<Item = (usize, Option<usize>)>) -> Batch {
        let mut batcher =
            Batcher::new(BatchLimits { max_records: 1_000, max_bytes: 1 << 20 }, BatchFormat::Array);
        for (slot, group) in records {
            let record = Record { slot, group, sent: None, wire: slot.to_string().into_bytes() };
            assert_eq!(batcher.push(record), None);
        }
        batcher.finish().unwrap()
    }

    /// The slots of a batch's records, and how long they are.
    fn sizes(batch: &Batch) -> Vec<(usize, usize)> {
        batch.records.iter().map(|record| (record.slot, batch.wire(record).len())).collect()
    }

    fn batches(limits: BatchLimits, format: BatchFormat, lens: &[usize]) -> Vec<Batch> {
        let mut batcher = Batcher::new(limits, format);
        let mut batches: Vec<_> =
            lens.iter().enumerate().filter_map(|(slot, &len)| batcher.push(record(slot, len))).collect();
        batches.extend(batcher.finish());
        assert!(batcher.finish().is_none());
        batches
    }

    fn counts(max_records: usize, max_bytes: usize, lens: &[usize]) -> Vec<usize> {
        let limits = BatchLimits { max_records, max_bytes };
        batches(limits, BatchFormat::Array, lens).iter().map(|batch| batch.records.len()).collect()
    }

    #[test]
    fn a_batch_is_full_by_its_number_of_records() {
        assert_eq!(counts(3, 1_000, &[1; 7]), [3, 3, 1]);
        assert_eq!(counts(1, 1_000, &[1; 3]), [1, 1, 1]);
    }

    #[test]
    fn a_batch_is_full_by_the_length_of_its_body() {
        // [xx,xx,xx] has 10 bytes.
        assert_eq!(counts(100, 10, &[2; 6]), [3, 3]);
        assert_eq!(counts(100, 9, &[2; 6]), [2, 2, 2]);
    }

    #[test]
    fn an_oversized_record_has_a_batch_of_its_own() {
        assert_eq!(counts(100, 10, &[2, 50, 2, 2, 60, 70]), [1, 1, 2, 1, 1]);
    }

    #[test]
    fn a_single_record_cannot_be_split() {
        let single =
            batches(BatchLimits { max_records: 1, max_bytes: 9 }, BatchFormat::Array, &[1]).remove(0);
        assert_eq!(single.split().unwrap_err().records.len(), 1);
    }

    #[test]
    fn a_batch_is_split_between_groups_if_possible() {
        let groups = |groups: &[usize]| batch_of(groups.iter().map(|&group| (group, Some(group))));
        let groups_of = |batch: &Batch| batch.records.iter().map(|record| record.slot).collect::<Vec<_>>();
        for (whole, left, right) in [
            (&[1, 1, 1, 1, 2][..], &[1, 1, 1, 1][..], &[2][..]),
            (&[1, 2, 2, 2, 3, 3], &[1, 2, 2, 2], &[3, 3]),
        ] {
            let (l, r) = groups(whole).split().unwrap();
            assert_eq!((groups_of(&l).as_slice(), groups_of(&r).as_slice()), (left, right));
            assert!(!l.shares_a_group_with(&r));
        }
        let (l, r) = groups(&[1, 1, 1]).split().unwrap();
        assert_eq!((l.records.len(), r.records.len()), (1, 2));
        assert!(l.shares_a_group_with(&r));
    }

    proptest! {
        #[test]
        fn batches_hold_every_record_in_order(
            lens in vec(0usize..300, 0..200), max_records in 1usize..20, max_bytes in 1usize..600,
        ) {
            let batches = batches(BatchLimits { max_records, max_bytes }, BatchFormat::Records, &lens);
            let records: Vec<_> = batches.iter().flat_map(sizes).collect();
            prop_assert_eq!(records, lens.into_iter().enumerate().collect::<Vec<_>>());
        }

        #[test]
        fn only_a_single_record_exceeds_a_limit(
            lens in vec(0usize..300, 0..200), max_records in 1usize..20, max_bytes in 1usize..600,
            format in proptest::sample::select(BatchFormat::ALL.to_vec()),
        ) {
            for batch in batches(BatchLimits { max_records, max_bytes }, format, &lens) {
                let records = batch.records.len();
                prop_assert!((1..=max_records).contains(&records));
                prop_assert!(records == 1 || batch.body().len() <= max_bytes);
            }
        }

        #[test]
        fn no_batch_is_closed_while_the_next_record_would_fit(
            lens in vec(0usize..300, 0..200), max_records in 1usize..20, max_bytes in 1usize..600,
        ) {
            let batches = batches(BatchLimits { max_records, max_bytes }, BatchFormat::Array, &lens);
            for pair in batches.windows(2) {
                let mut batcher = Batcher::new(BatchLimits { max_records, max_bytes }, BatchFormat::Array);
                batcher.bytes = sizes(&pair[0]).iter().map(|(_, len)| len).sum();
                batcher.open.clone_from(&pair[0].records);
                let (slot, len) = sizes(&pair[1])[0];
                prop_assert!(!batcher.has_room_for(&[record(slot, len)]));
            }
        }

        #[test]
        fn a_split_loses_and_reorders_nothing(groups in vec(proptest::option::of(0usize..3), 2..50)) {
            let batch = batch_of(groups.into_iter().enumerate());
            let all = batch.records.clone();
            let (left, right) = batch.split().unwrap();
            prop_assert!(!left.records.is_empty() && !right.records.is_empty());
            prop_assert_eq!([left.records, right.records].concat(), all);
        }

        #[test]
        fn a_body_holds_the_records_that_are_left(kept in vec(any::<bool>(), 1..50)) {
            let mut batch = batch_of(kept.iter().enumerate().map(|(slot, _)| (slot, None)));
            batch.records.retain(|record| kept[record.slot]);
            let left: Vec<_> = (0..kept.len()).filter(|&slot| kept[slot]).collect();
            prop_assume!(!left.is_empty());
            prop_assert_eq!(batch.body(), serde_json::to_string(&left).unwrap());
            if let Ok((left_half, right_half)) = batch.split() {
                for half in [left_half, right_half] {
                    let slots: Vec<_> = half.records.iter().map(|record| record.slot).collect();
                    prop_assert_eq!(half.body(), serde_json::to_string(&slots).unwrap());
                }
            }
        }
    }

    #[test]
    fn the_body_of_a_whole_batch_is_not_copied() {
        let batch = batch_of((0..9).map(|slot| (slot, None)));
        assert_eq!(batch.body().as_ptr(), batch.body().as_ptr());
    }

    #[test]
    fn debug_output_holds_nothing_of_the_message() {
        let mut batcher = Batcher::new(BatchLimits { max_records: 9, max_bytes: 99 }, BatchFormat::Array);
        batcher.push(Record { slot: 0, group: None, sent: None, wire: b"secret".to_vec() });
        assert!(!format!("{batcher:?}").contains("115"), "as a list of bytes");
        assert!(!format!("{:?}", batcher.finish()).contains("secret"));
    }
}
