//! Keeps the order of a FIFO queue: which batches are delivered one after another.

use crate::{
    batch::batcher::{Batch, Batcher},
    decode::record::Record,
};

/// Batches that are delivered one after another. Different sequences are delivered at the same time.
#[derive(Debug, PartialEq, Eq)]
pub struct Sequence(pub Vec<Batch>);

impl From<Batch> for Sequence {
    fn from(batch: Batch) -> Self {
        Sequence(vec![batch])
    }
}

/// Puts whole message groups into sequences, so that a group is never in two requests at once and does not wait for
/// another. As many groups as fit share one batch. A group that is too large for one batch has its own sequence.
pub fn sequences(records: impl Iterator<Item = Record>, mut batcher: Batcher) -> Vec<Sequence> {
    let mut sequences = Vec::new();
    for group in by_group(records) {
        if !batcher.has_room_for(&group) {
            sequences.extend(batcher.finish().map(Sequence::from));
        }
        let is_too_large = !batcher.has_room_for(&group);
        let mut batches: Vec<_> = group.into_iter().filter_map(|record| batcher.push(record)).collect();
        if is_too_large {
            batches.extend(batcher.finish());
        }
        if !batches.is_empty() {
            sequences.push(Sequence(batches));
        }
    }
    sequences.extend(batcher.finish().map(Sequence::from));
    sequences
}

/// The records of each group, in the order of the groups' first records.
fn by_group(records: impl Iterator<Item = Record>) -> impl Iterator<Item = Vec<Record>> {
    let mut groups: Vec<Vec<Record>> = Vec::new();
    for record in records {
        // The ledger numbers the groups from 0 without gaps, in the order of their first records.
        let number = record.group.unwrap_or_default();
        if groups.len() <= number {
            groups.resize_with(number + 1, Vec::new);
        }
        groups[number].push(record);
    }
    groups.into_iter().filter(|group| !group.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::value::{format::BatchFormat, limits::BatchLimits};

    fn sequences_of(groups: &[usize], max_records: usize) -> Vec<Sequence> {
        let records = groups.iter().enumerate().map(|(slot, &g)| Record {
            slot,
            group: Some(g),
            sent: None,
            wire: vec![b'1'],
        });
        sequences(records, Batcher::new(BatchLimits { max_records, max_bytes: 1_000 }, BatchFormat::Array))
    }

    /// The slots in each batch of each sequence.
    fn slots(groups: &[usize], max_records: usize) -> Vec<Vec<Vec<usize>>> {
        let batch = |batch: Batch| batch.records.iter().map(|record| record.slot).collect();
        sequences_of(groups, max_records)
            .into_iter()
            .map(|Sequence(batches)| batches.into_iter().map(batch).collect())
            .collect()
    }

    #[test]
    fn small_groups_share_a_batch() {
        assert_eq!(slots(&[0, 1, 0, 1], 10), [[vec![0, 2, 1, 3]]]);
        assert_eq!(slots(&[0, 1, 0, 1], 4), [[vec![0, 2, 1, 3]]]);
    }

    #[test]
    fn a_group_is_never_in_two_sequences() {
        assert_eq!(slots(&[0, 1, 0, 1], 3), [[vec![0, 2]], [vec![1, 3]]]);
        assert_eq!(slots(&[0, 1, 0, 1], 1), [[vec![0], vec![2]], [vec![1], vec![3]]]);
        assert_eq!(slots(&[0, 1, 1, 1, 2], 2), [vec![vec![0]], vec![vec![1, 2], vec![3]], vec![vec![4]]]);
    }

    proptest! {
        #[test]
        fn sequences_keep_every_record_and_the_order_of_each_group(
            groups in vec(0usize..6, 0..60), max_records in 1usize..9,
        ) {
            let sequences = sequences_of(&groups, max_records);
            let mut sequence_of_group = std::collections::HashMap::new();
            let mut slots = Vec::new();
            for (number, Sequence(batches)) in sequences.iter().enumerate() {
                for record in batches.iter().flat_map(|batch| &batch.records) {
                    prop_assert_eq!(*sequence_of_group.entry(record.group).or_insert(number), number);
                    slots.push(record.slot);
                }
            }
            for group in 0..6 {
                let of_group: Vec<_> = slots.iter().filter(|&&slot| groups[slot] == group).collect();
                prop_assert!(of_group.is_sorted());
            }
            slots.sort_unstable();
            prop_assert_eq!(slots, (0..groups.len()).collect::<Vec<_>>());
        }
    }
}
