//! A histogram with a fixed, small size. Its values are exact to a sixteenth.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The bins reach up to 198 days in milliseconds. Larger values count in the last bin.
const BINS: usize = 256;

/// Values and how often each occurred. There are eight bins for each doubling, and one for each value below eight.
#[derive(Debug)]
pub(crate) struct Histogram([AtomicU32; BINS]);

impl Default for Histogram {
    fn default() -> Self {
        Histogram([const { AtomicU32::new(0) }; BINS])
    }
}

impl Histogram {
    /// Counts a value.
    pub(crate) fn add(&self, value: u64) {
        self.0[bin(value)].fetch_add(1, Relaxed);
    }

    /// The values in rising order, and how often each occurred. Neighbours are merged until there are at most `most`
    /// values (1 or more).
    pub(crate) fn values(&self, most: usize) -> Vec<(u64, u64)> {
        let counts = self.0.iter().enumerate().map(|(bin, count)| (middle(bin), count.load(Relaxed).into()));
        let mut values: Vec<(u64, u64)> = counts.filter(|(_, count)| *count > 0).collect();
        while values.len() > most {
            values = values.chunks(2).map(merge).collect();
        }
        values
    }
}

fn bin(value: u64) -> usize {
    let Some(exponent) = value.checked_ilog2().filter(|exponent| *exponent >= 3) else {
        return usize::try_from(value).unwrap_or_default();
    };
    let eighth = usize::try_from(value >> (exponent - 3)).unwrap_or_default() & 7;
    (((exponent as usize - 2) << 3) + eighth).min(BINS - 1)
}

fn middle(bin: usize) -> u64 {
    let (doubling, eighth) = (bin >> 3, bin as u64 & 7);
    match doubling.checked_sub(1) {
        None => eighth,
        Some(shift) => ((8 + eighth) << shift) + ((1 << shift) >> 1),
    }
}

fn merge(neighbours: &[(u64, u64)]) -> (u64, u64) {
    let count: u64 = neighbours.iter().map(|(_, count)| count).sum();
    let sum: u64 = neighbours.iter().map(|(value, count)| value * count).sum();
    (sum / count, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_exact_to_a_sixteenth() {
        for value in (0..10_000).chain([86_400_000, 1_209_600_000]) {
            let histogram = Histogram::default();
            histogram.add(value);
            let [(stored, 1)] = histogram.values(100)[..] else { panic!("{value}") };
            assert!(stored.abs_diff(value) * 16 <= value, "{stored} for {value}");
        }
    }

    #[test]
    fn values_rise_and_their_counts_add_up_after_merging() {
        let histogram = Histogram::default();
        (0..40).for_each(|power| (0..8).for_each(|eighth| histogram.add((8 + eighth) << power)));
        histogram.add(u64::MAX);
        for most in [1, 2, 99, 100, 1_000] {
            let values = histogram.values(most);
            assert!(values.len() <= most && values.is_sorted(), "{values:?}");
            assert_eq!(values.iter().map(|(_, count)| count).sum::<u64>(), 321);
        }
        assert_eq!(Histogram::default().values(100), []);
    }
}
