//! Randomness by name.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

/// A seed and the names under which it is drawn from.
///
/// What is drawn depends on the names alone (this invocation, that request), not on who drew before. So two runs of one
/// seed stay the same although requests of the same millisecond may arrive in either order, and a change to one part of
/// a run leaves the luck of the others alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SeededRng(u64);

impl SeededRng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The dice of this name among these.
    pub(crate) fn fork(self, name: impl Into<u64>) -> Self {
        // SplitMix64's mixer: every bit of both reaches every bit of the result.
        let mut mixed = self.0.wrapping_add(name.into().wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(1);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self(mixed ^ (mixed >> 31))
    }

    /// A number that stands for this name.
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    /// A sequence of draws.
    pub(crate) fn rng(self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.0)
    }

    /// One draw that comes true with this probability.
    pub(crate) fn chance(self, probability: f64) -> bool {
        probability > 0.0 && self.rng().random_bool(probability.min(1.0))
    }
}

/// A draw from the exponential distribution, the usual shape of waiting times.
pub(crate) fn exponential(rng: &mut ChaCha8Rng, mean: f64) -> f64 {
    -mean * (1.0 - rng.random::<f64>()).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_draws_the_same_whoever_drew_before() {
        let seeded = SeededRng::new(7);
        let first: u64 = seeded.fork(3_u64).rng().random();
        let _: u64 = seeded.fork(4_u64).rng().random();
        assert_eq!(first, seeded.fork(3_u64).rng().random::<u64>());
        assert_ne!(first, seeded.fork(4_u64).rng().random::<u64>());
        assert_ne!(seeded.fork(1_u64).fork(2_u64), seeded.fork(2_u64).fork(1_u64));
    }

    #[test]
    fn chances_come_true_as_often_as_they_should() {
        let hits = (0..10_000_u64).filter(|&name| SeededRng::new(1).fork(name).chance(0.1)).count();
        assert!((900..1_100).contains(&hits), "{hits}");
        assert!(!(0..100_u64).any(|name| SeededRng::new(1).fork(name).chance(0.0)));
    }

    #[test]
    fn waiting_times_have_the_mean_asked_for() {
        let mut rng = SeededRng::new(1).rng();
        let mean = (0..10_000).map(|_| exponential(&mut rng, 50.0)).sum::<f64>() / 10_000.0;
        assert!((48.0..52.0).contains(&mean), "{mean}");
    }
}
