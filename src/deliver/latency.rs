//! Estimates how long an attempt takes, from the attempts before it.
//!
//! The estimate is kept for the life of the process: one invocation learns, the next one knows.

use std::{
    cmp::Reverse,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The estimate before the first attempt: a connection and a quick reply.
const FIRST_ESTIMATE: Duration = Duration::from_millis(50);

/// How many attempts are remembered: the latest to begin. A slow period is forgotten after this many further attempts.
const WINDOW: usize = 64;

/// One attempt in this many may take longer than the estimate. With the maximum as the estimate, a Perseus that lets one
/// request in fifty hang would keep whole events from being sent, at the cost of a receive for each message. With a much
/// lower estimate more requests would be cut off, and each of those is a likely duplicate.
const OUTLIER_RATE: usize = 16;

/// How long an attempt is expected to take.
#[derive(Debug)]
pub(crate) struct LatencyEstimate {
    /// `REQUEST_TIMEOUT`: no attempt takes longer.
    timeout: Duration,
    window: Mutex<Window>,
}

/// A ring buffer of attempts, indexed by start order. By the order of their ends, all attempts that hang would be among
/// the latest.
#[derive(Debug)]
struct Window {
    begun: usize,
    attempts: [Option<Ended>; WINDOW],
    /// The estimate. It is read more often than it changes.
    expected: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Ended {
    number: usize,
    took: Duration,
}

/// An attempt that has begun.
#[derive(Debug)]
pub(crate) struct StartedAttempt(usize);

impl LatencyEstimate {
    /// Nothing is known yet. No attempt takes longer than `timeout`.
    pub(crate) fn new(timeout: Duration) -> Self {
        let window = Window { begun: 0, attempts: [None; WINDOW], expected: FIRST_ESTIMATE };
        LatencyEstimate { timeout, window: Mutex::new(window) }
    }

    /// How long the next attempt is expected to take: as long as the slowest one took, without the outliers. The first few
    /// attempts have none.
    pub(crate) fn expected(&self) -> Duration {
        self.lock().expected.min(self.timeout)
    }

    /// Notes that an attempt begins.
    pub(crate) fn begin(&self) -> StartedAttempt {
        self.lock().begin()
    }

    /// Notes that an attempt ended after `took`.
    pub(crate) fn record(&self, attempt: StartedAttempt, took: Duration) {
        self.lock().record(attempt, took);
    }

    /// Notes that an attempt was cut off after `took`: it would have taken longer.
    pub(crate) fn record_timeout(&self, attempt: StartedAttempt, took: Duration) {
        let mut window = self.lock();
        if took > window.expected {
            window.record(attempt, took);
        }
    }

    /// Halves the estimate, and forgets the attempts. For an invocation that had no time for a single attempt of the expected
    /// length: otherwise a slow period long ago could keep an environment from ever sending again. One attempt is enough to
    /// correct the estimate.
    pub(crate) fn halve(&self) {
        let mut window = self.lock();
        let half = window.expected.min(self.timeout) / 2;
        let attempt = window.begin();
        window.attempts = [None; WINDOW];
        window.record(attempt, half);
    }

    /// A panic while the lock is held leaves the state complete, so poisoning does not matter.
    fn lock(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn begin(&mut self) -> StartedAttempt {
        self.begun += 1;
        StartedAttempt(self.begun)
    }

    fn record(&mut self, StartedAttempt(number): StartedAttempt, took: Duration) {
        let slot = &mut self.attempts[number % WINDOW];
        if slot.is_none_or(|ended| ended.number < number) {
            *slot = Some(Ended { number, took });
            self.expected = expected(&self.attempts);
        }
    }
}

/// The lowest estimate of three windows: the last 16, 32 and 64 attempts. If the last 16 give a lower one than all 64, then
/// a burst of slow attempts is over.
fn expected(attempts: &[Option<Ended>; WINDOW]) -> Duration {
    let mut ended: Vec<_> = attempts.iter().flatten().collect();
    ended.sort_unstable_by_key(|ended| Reverse(ended.number));
    let lengths: Vec<_> = ended.into_iter().map(|ended| ended.took).collect();
    let windows =
        [OUTLIER_RATE, WINDOW / 2, WINDOW].map(|most| percentile(&lengths[..lengths.len().min(most)]));
    windows.into_iter().min().unwrap_or(FIRST_ESTIMATE)
}

/// The slowest attempt without the outliers, plus a margin.
fn percentile(lengths: &[Duration]) -> Duration {
    let mut lengths = lengths.to_vec();
    lengths.sort_unstable();
    let Some(&slowest) = lengths.iter().rev().nth(lengths.len() / OUTLIER_RATE) else {
        return FIRST_ESTIMATE;
    };
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

    /// `count` attempts, one after the other, that take `took` each.
    fn record(estimate: &LatencyEstimate, count: usize, took: Duration) {
        (0..count).for_each(|_| estimate.record(estimate.begin(), took));
    }

    #[test]
    fn the_estimate_of_a_steady_server_is_exact() {
        let estimate = estimate();
        assert_eq!(estimate.expected(), FIRST_ESTIMATE);
        for _ in 0..100 {
            record(&estimate, 1, 400 * MS);
            assert_eq!(estimate.expected(), 400 * MS);
        }
    }

    #[test]
    fn with_few_attempts_the_slowest_one_and_half_the_spread_count() {
        let estimate = estimate();
        record(&estimate, 1, 100 * MS);
        record(&estimate, 1, 500 * MS);
        record(&estimate, 5, 100 * MS);
        assert_eq!(estimate.expected(), 700 * MS);
    }

    #[test]
    fn with_many_attempts_a_few_outliers_do_not_count() {
        let estimate = estimate();
        record(&estimate, 60, 100 * MS);
        (0..4).for_each(|_| estimate.record_timeout(estimate.begin(), 5_000 * MS));
        assert_eq!(estimate.expected(), 100 * MS);
    }

    #[test]
    fn outliers_that_all_end_last_do_not_count_more() {
        let estimate = estimate();
        let attempts: Vec<_> = (0..1_000).map(|number| (number, estimate.begin())).collect();
        let (hanging, quick): (Vec<_>, Vec<_>) =
            attempts.into_iter().partition(|(number, _)| number % 50 == 0);
        quick.into_iter().for_each(|(_, attempt)| estimate.record(attempt, 100 * MS));
        hanging.into_iter().for_each(|(_, attempt)| estimate.record_timeout(attempt, 5_000 * MS));
        assert_eq!(estimate.expected(), 100 * MS);
    }

    #[test]
    fn the_estimate_follows_a_slower_server_after_five_attempts() {
        let estimate = estimate();
        record(&estimate, 60, 100 * MS);
        record(&estimate, 5, 500 * MS);
        assert!(estimate.expected() >= 500 * MS);
    }

    #[test]
    fn a_slow_period_is_forgotten() {
        let estimate = estimate();
        record(&estimate, 1_000, 500 * MS);
        record(&estimate, WINDOW, 100 * MS);
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
    fn an_attempt_that_was_cut_off_counts_only_if_it_was_longer_than_the_estimate() {
        let estimate = estimate();
        record(&estimate, 1, 400 * MS);
        estimate.record_timeout(estimate.begin(), 300 * MS);
        assert_eq!(estimate.expected(), 400 * MS);
        estimate.record_timeout(estimate.begin(), 800 * MS);
        assert_eq!(estimate.expected(), 1_000 * MS);
    }

    #[test]
    fn the_estimate_is_never_longer_than_the_timeout() {
        let estimate = LatencyEstimate::new(700 * MS);
        record(&estimate, 1, 100 * MS);
        record(&estimate, 1, 699 * MS);
        assert_eq!(estimate.expected(), 700 * MS);
    }

    #[test]
    fn a_halved_estimate_is_corrected_by_one_attempt() {
        let estimate = estimate();
        record(&estimate, WINDOW, Duration::from_secs(20));
        estimate.halve();
        assert_eq!(estimate.expected(), Duration::from_secs(10));
        estimate.record_timeout(estimate.begin(), Duration::from_secs(20));
        assert!(estimate.expected() >= Duration::from_secs(20));
    }

    #[test]
    fn the_first_estimate_can_be_halved() {
        let estimate = estimate();
        estimate.halve();
        assert_eq!(estimate.expected(), FIRST_ESTIMATE / 2);
    }
}
