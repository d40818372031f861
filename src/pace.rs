//! How long an attempt takes, learnt from the attempts before it.
//!
//! Kept for the life of the process: what one invocation learnt, the next one knows.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What an attempt is expected to take before there has been one: a connection and a quick reply.
const FIRST_GUESS: Duration = Duration::from_millis(50);

/// So many attempts are remembered: those of several invocations, as it is at the end of one that the slow ones come in.
const MEMORY: usize = 64;

/// One of so many may take longer than is expected. Expecting the worst, a Perseus that lets one request in fifty
/// hang would keep whole events from being sent, at a receive for each of their messages; expecting much less, more
/// requests are cut off, each a likely duplicate.
const STRAGGLERS: usize = 16;

/// What is added for the attempts that take longer than any of those few: one in so many of the length.
const MARGIN: u32 = 16;

/// The learnt length of an attempt.
#[derive(Debug, Default)]
pub struct Pace(Mutex<VecDeque<Duration>>);

impl Pace {
    /// What the next attempt is expected to take: what all of those before it took but for a few stragglers, or
    /// what the slowest took as long as there are not enough to have any.
    pub fn expected(&self) -> Duration {
        let mut lengths = [Duration::ZERO; MEMORY];
        let recent = self.lock();
        let lengths = &mut lengths[..recent.len()];
        lengths.iter_mut().zip(recent.iter()).for_each(|(length, &recent)| *length = recent);
        match lengths {
            [] => FIRST_GUESS,
            lengths => {
                let place = lengths.len() - 1 - lengths.len() / STRAGGLERS;
                let length = *lengths.select_nth_unstable(place).1;
                length + length / MARGIN
            }
        }
    }

    /// Learns from an attempt that ended after `took`.
    pub fn learn(&self, took: Duration) {
        let mut recent = self.lock();
        if recent.len() == MEMORY {
            recent.pop_front();
        }
        recent.push_back(took);
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
        self.lock().iter_mut().for_each(|length| *length /= 2);
    }

    /// Nothing is left half-done in the lock, so a panic of its holder does not matter.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Duration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// What is expected after attempts of this length.
    fn with_margin(length: Duration) -> Duration {
        length * 17 / 16
    }

    #[test]
    fn a_steady_server_is_known_exactly() {
        let pace = Pace::default();
        assert_eq!(pace.expected(), FIRST_GUESS);
        for _ in 0..10 {
            pace.learn(400 * MS);
            assert_eq!(pace.expected(), with_margin(400 * MS));
        }
    }

    #[test]
    fn of_few_attempts_the_slowest_counts() {
        let pace = Pace::default();
        pace.learn(100 * MS);
        pace.learn(500 * MS);
        (0..5).for_each(|_| pace.learn(100 * MS));
        assert_eq!(pace.expected(), with_margin(500 * MS));
    }

    #[test]
    fn of_many_a_few_stragglers_do_not_count() {
        let pace = Pace::default();
        (0..60).for_each(|_| pace.learn(100 * MS));
        (0..4).for_each(|_| pace.learn_at_least(5_000 * MS));
        assert_eq!(pace.expected(), with_margin(100 * MS));
    }

    #[test]
    fn a_server_that_becomes_slow_is_known_after_a_few_attempts() {
        let pace = Pace::default();
        (0..60).for_each(|_| pace.learn(100 * MS));
        (0..5).for_each(|_| pace.learn(500 * MS));
        assert_eq!(pace.expected(), with_margin(500 * MS));
    }

    #[test]
    fn a_slow_spell_is_forgotten() {
        let pace = Pace::default();
        (0..1_000).for_each(|_| pace.learn(500 * MS));
        (0..MEMORY).for_each(|_| pace.learn(100 * MS));
        assert_eq!(pace.expected(), with_margin(100 * MS));
    }

    #[test]
    fn an_attempt_that_was_cut_off_teaches_only_if_it_was_long() {
        let pace = Pace::default();
        pace.learn(400 * MS);
        pace.learn_at_least(300 * MS);
        assert_eq!(pace.expected(), with_margin(400 * MS));
        pace.learn_at_least(800 * MS);
        assert_eq!(pace.expected(), with_margin(800 * MS));
    }

    #[test]
    fn doubt_ends_a_silence() {
        let pace = Pace::default();
        pace.learn(Duration::from_secs(20));
        pace.doubt();
        assert_eq!(pace.expected(), with_margin(Duration::from_secs(10)));
        let pace = Pace::default();
        pace.doubt();
        assert_eq!(pace.expected(), FIRST_GUESS);
    }
}
