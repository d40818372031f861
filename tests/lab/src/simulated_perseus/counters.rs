//! Counts of the simulated Perseus, per interval.

use std::collections::BTreeMap;

use super::exchange::RequestEnd;
use crate::clock::Ms;

/// What Perseus did in an interval.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    /// Requests by how they ended.
    pub(crate) ended: BTreeMap<RequestEnd, u32>,
    /// Repeated attempts by how the attempt before ended.
    pub(crate) retried: BTreeMap<RequestEnd, u32>,
    /// Messages committed for the first time.
    pub(crate) delivered: u32,
    /// Messages committed again.
    pub(crate) repeated: u32,
    /// The most requests at once.
    pub(crate) load: u32,
    /// How old messages were when they were first committed.
    pub(crate) ages: AgeHistogram,
}

impl Counters {
    /// Adds what happened in another interval.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in [(&mut self.ended, &other.ended), (&mut self.retried, &other.retried)] {
            theirs.iter().for_each(|(end, count)| *mine.entry(*end).or_default() += count);
        }
        self.delivered += other.delivered;
        self.repeated += other.repeated;
        self.load = self.load.max(other.load);
        self.ages.merge(&other.ages);
    }
}

/// A histogram of ages: exact to about a tenth, in little memory.
#[derive(Clone, Debug)]
pub(crate) struct AgeHistogram([u32; AgeHistogram::BUCKETS]);

impl Default for AgeHistogram {
    fn default() -> Self {
        Self([0; Self::BUCKETS])
    }
}

impl AgeHistogram {
    /// Eight to each doubling.
    const PER_DOUBLING: f64 = 8.0;
    const BUCKETS: usize = 260;

    pub(crate) fn add(&mut self, age: Ms) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 256")]
        let bucket = (f64::from(age.max(1)).log2() * Self::PER_DOUBLING).ceil() as usize;
        self.0[bucket.min(Self::BUCKETS - 1)] += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// The quantile of the ages, in milliseconds. None if there are no messages.
    pub(crate) fn at(&self, share: f64) -> Option<f64> {
        let all: u32 = self.0.iter().sum();
        let wanted = f64::from(all) * share;
        let mut so_far = 0;
        let bucket = self.0.iter().position(|count| {
            so_far += count;
            so_far > 0 && f64::from(so_far) >= wanted
        })?;
        #[expect(clippy::cast_precision_loss, reason = "at most 260")]
        Some((bucket as f64 / Self::PER_DOUBLING).exp2())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_to_about_a_tenth() {
        let mut ages = AgeHistogram::default();
        assert_eq!(ages.at(0.5), None);
        (1..=1_000).for_each(|age| ages.add(age));
        for (share, exact) in [(0.5, 500.0), (0.95, 950.0), (1.0, 1_000.0)] {
            let definite = ages.at(share).expect("there are ages");
            assert!((exact..exact * 1.1).contains(&definite), "{definite} for {exact}");
        }
        ages.add(Ms::MAX);
        assert!(ages.at(1.0) >= Some(f64::from(Ms::MAX)));
    }
}
