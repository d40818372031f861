//! How long an attempt takes, learnt from the attempts before it.
//!
//! Kept for the life of the process: what one invocation learnt, the next one knows.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What an attempt is expected to take before there has been one: a connection and a quick reply.
const FIRST_GUESS: Duration = Duration::from_millis(50);

/// The learnt length of an attempt.
#[derive(Debug, Default)]
pub struct Pace(Mutex<Option<Estimate>>);

#[derive(Debug, Clone, Copy)]
struct Estimate {
    mean: Duration,
    deviation: Duration,
}

impl Pace {
    /// What the next attempt is expected to take.
    pub fn expected(&self) -> Duration {
        self.lock().map_or(FIRST_GUESS, |estimate| estimate.mean + 2 * estimate.deviation)
    }

    /// Learns from an attempt that ended after `took`.
    ///
    /// A smoothed mean and deviation as TCP keeps of its round trips (RFC 6298), but quick to rise and
    /// slow to fall: an attempt that is cut off is a likely duplicate, one not started only comes later.
    pub fn learn(&self, took: Duration) {
        let mut estimate = self.lock();
        *estimate = Some(match *estimate {
            None => Estimate { mean: took, deviation: Duration::ZERO },
            Some(Estimate { mean, deviation }) => {
                let error = mean.abs_diff(took);
                let mean = if took > mean { mean + error / 2 } else { mean - error / 8 };
                Estimate { mean, deviation: (deviation * 3 + error) / 4 }
            }
        });
    }

    /// Learns from an attempt that was cut off after `took`: it would have taken longer than that.
    pub fn learn_at_least(&self, took: Duration) {
        if took > self.expected() {
            self.learn(took);
        }
    }

    /// Halves what was learnt, after an invocation that had no time for a single attempt of that length:
    /// else a slow spell that is long past could keep an environment from ever trying again.
    pub fn doubt(&self) {
        if let Some(estimate) = self.lock().as_mut() {
            *estimate = Estimate { mean: estimate.mean / 2, deviation: estimate.deviation / 2 };
        }
    }

    /// Nothing is left half-done in the lock, so a panic of its holder does not matter.
    fn lock(&self) -> MutexGuard<'_, Option<Estimate>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_steady_server_is_known_exactly() {
        let pace = Pace::default();
        assert_eq!(pace.expected(), FIRST_GUESS);
        for _ in 0..10 {
            pace.learn(400 * MS);
            assert_eq!(pace.expected(), 400 * MS);
        }
    }

    #[test]
    fn a_slower_attempt_counts_at_once_and_a_faster_one_little() {
        let pace = Pace::default();
        pace.learn(100 * MS);
        pace.learn(500 * MS);
        let slowed = pace.expected();
        assert!(slowed >= 500 * MS, "{slowed:?}");
        pace.learn(100 * MS);
        assert!(pace.expected() > slowed / 2);
        (0..100).for_each(|_| pace.learn(100 * MS));
        assert!(pace.expected() < 110 * MS);
    }

    #[test]
    fn an_attempt_that_was_cut_off_teaches_only_if_it_was_long() {
        let pace = Pace::default();
        pace.learn(400 * MS);
        pace.learn_at_least(300 * MS);
        assert_eq!(pace.expected(), 400 * MS);
        pace.learn_at_least(800 * MS);
        assert!(pace.expected() >= 600 * MS);
    }

    #[test]
    fn doubt_ends_a_silence() {
        let pace = Pace::default();
        pace.learn(Duration::from_secs(20));
        pace.doubt();
        assert_eq!(pace.expected(), Duration::from_secs(10));
        let pace = Pace::default();
        pace.doubt();
        assert_eq!(pace.expected(), FIRST_GUESS);
    }
}
