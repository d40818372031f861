//! A plain, synchronous batcher: records in, full batches out. Time is the pipeline's business.

use crate::{
    config::{BatchFormat, BatchLimits},
    record::Record,
};

/// Records that are posted together, in the order in which they were pushed. Never empty, but for one
/// from which records were taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    /// The records.
    pub records: Vec<Record>,
}

impl Batch {
    /// Two halves, or the batch itself if it is a single record.
    ///
    /// Halves meet at the border of a message group where there is one: they then have no group in
    /// common (a FIFO batch holds its groups one after another), and neither has to wait for the other.
    ///
    /// # Errors
    ///
    /// If there is only one record.
    pub fn split(mut self) -> Result<(Batch, Batch), Batch> {
        if self.records.len() < 2 {
            return Err(self);
        }
        let middle = self.records.len() / 2;
        let is_border = |&at: &usize| self.records[at - 1].group != self.records[at].group;
        let at = (1..self.records.len()).filter(is_border).min_by_key(|at| at.abs_diff(middle));
        let right = self.records.split_off(at.unwrap_or(middle));
        Ok((self, Batch { records: right }))
    }

    /// Whether a record of `self` and one of `later` belong to the same message group.
    pub fn shares_a_group_with(&self, later: &Batch) -> bool {
        let last = self.records.last().and_then(|record| record.group);
        last.is_some() && last == later.records.first().and_then(|record| record.group)
    }
}

/// The bytes that a format puts around and between records.
#[derive(Debug, Clone, Copy)]
pub struct Framing {
    /// Before the first record.
    pub open: &'static str,
    /// Between two records.
    pub between: &'static str,
    /// After the last record.
    pub close: &'static str,
}

impl Framing {
    /// The framing of a format.
    pub const fn of(format: BatchFormat) -> Self {
        match format {
            BatchFormat::Records => Framing { open: r#"{"records":["#, between: ",", close: "]}" },
            BatchFormat::Array => Framing { open: "[", between: ",", close: "]" },
            BatchFormat::Ndjson => Framing { open: "", between: "\n", close: "\n" },
        }
    }

    /// The bytes of a body that holds `records` records of `bytes` bytes together.
    pub fn body_len(&self, records: usize, bytes: usize) -> usize {
        self.open.len() + bytes + self.between.len() * records.saturating_sub(1) + self.close.len()
    }
}

/// Gathers records into batches.
#[derive(Debug)]
pub struct Batcher {
    limits: BatchLimits,
    framing: Framing,
    open: Vec<Record>,
    /// Of the open records, without framing.
    bytes: usize,
}

impl Batcher {
    /// A batcher with nothing in it.
    pub fn new(limits: BatchLimits, format: BatchFormat) -> Self {
        Batcher { limits, framing: Framing::of(format), open: Vec::new(), bytes: 0 }
    }

    /// Whether no record waits in an open batch.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether these records would fit into one batch together with what is open.
    pub fn has_room_for(&self, records: &[Record]) -> bool {
        let bytes: usize = records.iter().map(|record| record.wire.len()).sum();
        let count = self.open.len() + records.len();
        count <= self.limits.max_records
            && self.framing.body_len(count, self.bytes + bytes) <= self.limits.max_bytes
    }

    /// Adds a record; returns the batch that it completes or for which it comes too late.
    pub fn push(&mut self, record: Record) -> Option<Batch> {
        let too_late = if self.has_room_for(std::slice::from_ref(&record)) { None } else { self.finish() };
        self.bytes += record.wire.len();
        self.open.push(record);
        // Only one of the two can be: a batch of one record that is full at once has not been preceded
        // by an open one unless `too_late` holds that.
        if too_late.is_none() && self.open.len() >= self.limits.max_records {
            return self.finish();
        }
        too_late
    }

    /// Closes the open batch, if there is one.
    pub fn finish(&mut self) -> Option<Batch> {
        self.bytes = 0;
        let records = std::mem::take(&mut self.open);
        (!records.is_empty()).then_some(Batch { records })
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn record(slot: usize, len: usize) -> Record {
        Record { slot, group: None, sent: None, wire: vec![b'x'; len] }
    }

    fn batches(limits: BatchLimits, format: BatchFormat, lens: &[usize]) -> Vec<Batch> {
        let mut batcher = Batcher::new(limits, format);
        let mut batches: Vec<_> =
            lens.iter().enumerate().filter_map(|(slot, &len)| batcher.push(record(slot, len))).collect();
        batches.extend(batcher.finish());
        assert!(batcher.is_empty() && batcher.finish().is_none());
        batches
    }

    fn counts(max_records: usize, max_bytes: usize, lens: &[usize]) -> Vec<usize> {
        let limits = BatchLimits { max_records, max_bytes };
        batches(limits, BatchFormat::Array, lens).iter().map(|batch| batch.records.len()).collect()
    }

    #[test]
    fn a_batch_is_full_by_count() {
        assert_eq!(counts(3, 1_000, &[1; 7]), [3, 3, 1]);
        assert_eq!(counts(1, 1_000, &[1; 3]), [1, 1, 1]);
    }

    #[test]
    fn a_batch_is_full_by_the_bytes_of_its_body() {
        // [xx,xx,xx] has 10 bytes.
        assert_eq!(counts(100, 10, &[2; 6]), [3, 3]);
        assert_eq!(counts(100, 9, &[2; 6]), [2, 2, 2]);
    }

    #[test]
    fn an_oversized_record_travels_alone() {
        assert_eq!(counts(100, 10, &[2, 50, 2, 2, 60, 70]), [1, 1, 2, 1, 1]);
    }

    #[test]
    fn a_single_record_cannot_be_split() {
        let single = Batch { records: vec![record(0, 1)] };
        assert_eq!(single.split().unwrap_err().records, [record(0, 1)]);
    }

    #[test]
    fn halves_meet_where_a_group_ends() {
        let groups = |groups: &[usize]| Batch {
            records: groups
                .iter()
                .map(|&g| Record { slot: g, group: Some(g), sent: None, wire: vec![] })
                .collect(),
        };
        for (whole, left, right) in [
            (&[1, 1, 1, 1, 2][..], &[1, 1, 1, 1][..], &[2][..]),
            (&[1, 2, 2, 2, 3, 3], &[1, 2, 2, 2], &[3, 3]),
        ] {
            let (l, r) = groups(whole).split().unwrap();
            assert_eq!((&l, &r), (&groups(left), &groups(right)));
            assert!(!l.shares_a_group_with(&r));
        }
        let (l, r) = groups(&[1, 1, 1]).split().unwrap();
        assert_eq!((l.records.len(), r.records.len()), (1, 2));
        assert!(l.shares_a_group_with(&r));
    }

    proptest! {
        #[test]
        fn batches_lose_and_reorder_nothing(
            lens in vec(0usize..300, 0..200), max_records in 1usize..20, max_bytes in 1usize..600,
        ) {
            let batches = batches(BatchLimits { max_records, max_bytes }, BatchFormat::Records, &lens);
            let records: Vec<_> = batches.into_iter().flat_map(|batch| batch.records).collect();
            let expected: Vec<_> = lens.iter().enumerate().map(|(slot, &len)| record(slot, len)).collect();
            prop_assert_eq!(records, expected);
        }

        #[test]
        fn no_bound_is_exceeded_but_by_a_single_record(
            lens in vec(0usize..300, 0..200), max_records in 1usize..20, max_bytes in 1usize..600,
            format in proptest::sample::select(BatchFormat::ALL.to_vec()),
        ) {
            for Batch { records } in batches(BatchLimits { max_records, max_bytes }, format, &lens) {
                let bytes = records.iter().map(|record| record.wire.len()).sum();
                prop_assert!((1..=max_records).contains(&records.len()));
                prop_assert!(records.len() == 1 || Framing::of(format).body_len(records.len(), bytes) <= max_bytes);
            }
        }

        #[test]
        fn no_batch_is_closed_while_the_next_record_would_fit(
            lens in vec(0usize..300, 0..200), max_records in 1usize..20, max_bytes in 1usize..600,
        ) {
            let batches = batches(BatchLimits { max_records, max_bytes }, BatchFormat::Array, &lens);
            for pair in batches.windows(2) {
                let mut batcher = Batcher::new(BatchLimits { max_records, max_bytes }, BatchFormat::Array);
                batcher.bytes = pair[0].records.iter().map(|record| record.wire.len()).sum();
                batcher.open = pair[0].records.clone();
                prop_assert!(!batcher.has_room_for(&pair[1].records[..1]));
            }
        }

        #[test]
        fn a_split_loses_and_reorders_nothing(groups in vec(proptest::option::of(0usize..3), 2..50)) {
            let records: Vec<_> =
                groups.iter().enumerate().map(|(slot, &group)| Record { slot, group, sent: None, wire: vec![] }).collect();
            let (left, right) = Batch { records: records.clone() }.split().unwrap();
            prop_assert!(!left.records.is_empty() && !right.records.is_empty());
            prop_assert_eq!([left.records, right.records].concat(), records);
        }
    }
}
