//! How long an attempt takes, learnt from the attempts before it.
//!
//! Kept for the life of the process: what one invocation learnt, the next one knows.

use std::{
    cmp::Reverse,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What an attempt is expected to take before there has been one: a connection and a quick reply.
const FIRST_GUESS: Duration = Duration::from_millis(50);

/// So many attempts are remembered, the last that began. A slow spell is forgotten when as many have followed it.
const MEMORY: usize = 64;

/// One of so many may take longer than is expected. Expecting the worst, a Perseus that lets one request in fifty
/// hang would keep whole events from being sent, at a receive for each of their messages; expecting much less, more
/// requests are cut off, each a likely duplicate.
const OUTLIERS: usize = 16;

/// The learnt length of an attempt.
#[derive(Debug)]
pub struct LatencyEstimate {
    /// What no attempt exceeds.
    longest: Duration,
    memory: Mutex<Memory>,
}

/// The attempts that are remembered, each in the place that its number in the order of beginning gives it. In that order, since
/// those that hang are all among the last to end.
#[derive(Debug)]
struct Memory {
    begun: usize,
    attempts: [Option<Ended>; MEMORY],
    /// What they let expect; asked for more often than it changes.
    expected: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Ended {
    number: usize,
    took: Duration,
}

/// An attempt that has begun.
#[derive(Debug)]
pub struct Attempt(usize);

impl LatencyEstimate {
    /// Nothing learnt yet; no attempt takes longer than `longest`.
    pub fn new(longest: Duration) -> Self {
        let memory = Memory { begun: 0, attempts: [None; MEMORY], expected: FIRST_GUESS };
        LatencyEstimate { longest, memory: Mutex::new(memory) }
    }

    /// What the next attempt is expected to take: what all took but for a few outliers, or what the
    /// slowest took as long as there are not enough to have any.
    pub fn expected(&self) -> Duration {
        self.lock().expected.min(self.longest)
    }

    /// An attempt begins.
    pub fn begin(&self) -> Attempt {
        self.lock().begin()
    }

    /// It has ended after `took`.
    pub fn record(&self, attempt: Attempt, took: Duration) {
        self.lock().record(attempt, took);
    }

    /// It was cut off after `took`: it would have taken longer than that.
    pub fn record_timeout(&self, attempt: Attempt, took: Duration) {
        let mut memory = self.lock();
        if took > memory.expected {
            memory.record(attempt, took);
        }
    }

    /// Forgets all but a half of what is expected, after an invocation that had no time for a single attempt of that length:
    /// else a slow spell that is long past could keep an environment from ever trying again. One attempt is enough to
    /// know better.
    pub fn halve(&self) {
        let mut memory = self.lock();
        let half = memory.expected.min(self.longest) / 2;
        let attempt = memory.begin();
        memory.attempts = [None; MEMORY];
        memory.record(attempt, half);
    }

    /// Nothing is left half-done in the lock, so a panic of its holder does not matter.
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn begin(&mut self) -> Attempt {
        self.begun += 1;
        Attempt(self.begun)
    }

    fn record(&mut self, Attempt(number): Attempt, took: Duration) {
        let place = &mut self.attempts[number % MEMORY];
        if place.is_none_or(|ended| ended.number < number) {
            *place = Some(Ended { number, took });
            self.expected = expected(&self.attempts);
        }
    }
}

/// What all of the last attempts took but for the outliers. The last sixteen may tell less than all that are
/// remembered: then it was a burst of slow ones, and it is over.
fn expected(attempts: &[Option<Ended>; MEMORY]) -> Duration {
    let mut ended: Vec<_> = attempts.iter().flatten().collect();
    ended.sort_unstable_by_key(|ended| Reverse(ended.number));
    let lengths: Vec<_> = ended.into_iter().map(|ended| ended.took).collect();
    let windows = [OUTLIERS, MEMORY / 2, MEMORY].map(|most| usual(&lengths[..lengths.len().min(most)]));
    windows.into_iter().min().unwrap_or(FIRST_GUESS)
}

fn usual(lengths: &[Duration]) -> Duration {
    let mut lengths = lengths.to_vec();
    lengths.sort_unstable();
    let Some(&slowest) = lengths.iter().rev().nth(lengths.len() / OUTLIERS) else { return FIRST_GUESS };
    let middle = lengths[(lengths.len() - 1) / 2];
    // A few samples underestimate the spread, so half of it is added.
    slowest + (slowest - middle) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn estimate() -> LatencyEstimate {
        LatencyEstimate::new(Duration::from_secs(60))
    }

    /// So many attempts one after another, of this length each.
    fn record(estimate: &LatencyEstimate, count: usize, took: Duration) {
        (0..count).for_each(|_| estimate.record(estimate.begin(), took));
    }

    #[test]
    fn a_steady_server_is_known_exactly() {
        let estimate = estimate();
        assert_eq!(estimate.expected(), FIRST_GUESS);
        for _ in 0..100 {
            record(&estimate, 1, 400 * MS);
            assert_eq!(estimate.expected(), 400 * MS);
        }
    }

    #[test]
    fn of_few_attempts_the_slowest_counts_and_what_they_vary_by() {
        let estimate = estimate();
        record(&estimate, 1, 100 * MS);
        record(&estimate, 1, 500 * MS);
        record(&estimate, 5, 100 * MS);
        assert_eq!(estimate.expected(), 700 * MS);
    }

    #[test]
    fn of_many_a_few_stragglers_do_not_count() {
        let estimate = estimate();
        record(&estimate, 60, 100 * MS);
        (0..4).for_each(|_| estimate.record_timeout(estimate.begin(), 5_000 * MS));
        assert_eq!(estimate.expected(), 100 * MS);
    }

    #[test]
    fn stragglers_are_no_more_for_all_ending_last() {
        let estimate = estimate();
        let attempts: Vec<_> = (0..1_000).map(|number| (number, estimate.begin())).collect();
        let (hanging, quick): (Vec<_>, Vec<_>) =
            attempts.into_iter().partition(|(number, _)| number % 50 == 0);
        quick.into_iter().for_each(|(_, attempt)| estimate.record(attempt, 100 * MS));
        hanging.into_iter().for_each(|(_, attempt)| estimate.record_timeout(attempt, 5_000 * MS));
        assert_eq!(estimate.expected(), 100 * MS);
    }

    #[test]
    fn a_server_that_becomes_slow_is_known_after_a_few_attempts() {
        let estimate = estimate();
        record(&estimate, 60, 100 * MS);
        record(&estimate, 5, 500 * MS);
        assert!(estimate.expected() >= 500 * MS);
    }

    #[test]
    fn a_slow_spell_is_forgotten() {
        let estimate = estimate();
        record(&estimate, 1_000, 500 * MS);
        record(&estimate, MEMORY, 100 * MS);
        assert_eq!(estimate.expected(), 100 * MS);
    }

    #[test]
    fn a_burst_of_hanging_requests_is_forgotten_after_sixteen_quick_ones() {
        let estimate = estimate();
        record(&estimate, 10, 9_000 * MS);
        record(&estimate, 14, 20 * MS);
        assert_eq!(estimate.expected(), 9_000 * MS + 4_490 * MS);
        record(&estimate, 2, 20 * MS);
        assert_eq!(estimate.expected(), 20 * MS);
    }

    #[test]
    fn an_attempt_that_was_cut_off_teaches_only_if_it_was_long() {
        let estimate = estimate();
        record(&estimate, 1, 400 * MS);
        estimate.record_timeout(estimate.begin(), 300 * MS);
        assert_eq!(estimate.expected(), 400 * MS);
        estimate.record_timeout(estimate.begin(), 800 * MS);
        assert_eq!(estimate.expected(), 1_000 * MS);
    }

    #[test]
    fn no_attempt_takes_longer_than_it_may() {
        let estimate = LatencyEstimate::new(700 * MS);
        record(&estimate, 1, 100 * MS);
        record(&estimate, 1, 699 * MS);
        assert_eq!(estimate.expected(), 700 * MS);
    }

    #[test]
    fn doubt_ends_a_silence_and_does_not_last() {
        let estimate = estimate();
        record(&estimate, MEMORY, Duration::from_secs(20));
        estimate.halve();
        assert_eq!(estimate.expected(), Duration::from_secs(10));
        estimate.record_timeout(estimate.begin(), Duration::from_secs(20));
        assert!(estimate.expected() >= Duration::from_secs(20));
    }

    #[test]
    fn doubt_of_nothing_is_harmless() {
        let estimate = estimate();
        estimate.halve();
        assert_eq!(estimate.expected(), FIRST_GUESS / 2);
    }
}
