//! Random numbers from a seed and a name.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

/// A seed. [`fork`](Self::fork) derives another seed from it by a name.
///
/// A draw depends only on the names (this invocation, that request), not on earlier draws. So two runs of one seed are
/// the same although requests of the same millisecond may arrive in either order, and a change to one part of a run
/// does not change the draws of the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SeededRng(u64);

impl SeededRng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed of this name.
    pub(crate) fn fork(self, name: impl Into<u64>) -> Self {
        // SplitMix64's mixer: every bit of both reaches every bit of the result.
        let mut mixed = self.0.wrapping_add(name.into().wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(1);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self(mixed ^ (mixed >> 31))
    }

    /// The seed of a call of an API: by what it asks for. Its bytes are no name: they have the port of a server, which is
    /// another one in each run. Calls are repeated word by word, so fork it by the time too.
    pub(crate) fn fork_by_call(self, call: &impl fmt::Debug) -> Self {
        let mut digest = DefaultHasher::new();
        format!("{call:?}").hash(&mut digest);
        self.fork(digest.finish())
    }

    /// The seed as a number.
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    /// A generator that starts from this seed.
    pub(crate) fn rng(self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.0)
    }

    /// One draw that is true with this probability.
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
    fn a_draw_depends_on_its_names_alone() {
        let seeded = SeededRng::new(7);
        let first: u64 = seeded.fork(3_u64).rng().random();
        let _: u64 = seeded.fork(4_u64).rng().random();
        assert_eq!(first, seeded.fork(3_u64).rng().random::<u64>());
        assert_ne!(first, seeded.fork(4_u64).rng().random::<u64>());
        assert_ne!(seeded.fork(1_u64).fork(2_u64), seeded.fork(2_u64).fork(1_u64));
    }

    #[test]
    fn a_chance_is_true_as_often_as_its_probability_says() {
        let hits = (0..10_000_u64).filter(|&name| SeededRng::new(1).fork(name).chance(0.1)).count();
        assert!((900..1_100).contains(&hits), "{hits}");
        assert!(!(0..100_u64).any(|name| SeededRng::new(1).fork(name).chance(0.0)));
    }

    #[test]
    fn exponential_draws_have_the_given_mean() {
        let mut rng = SeededRng::new(1).rng();
        let mean = (0..10_000).map(|_| exponential(&mut rng, 50.0)).sum::<f64>() / 10_000.0;
        assert!((48.0..52.0).contains(&mean), "{mean}");
    }
}
