//! How long to wait before a retry.

use std::time::Duration;

/// Full-jitter exponential backoff
/// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    /// The longest delay before the first retry.
    pub(super) base: Duration,
    /// The longest delay before any retry.
    pub(super) cap: Duration,
}

impl Backoff {
    /// The longest delay before a retry; the first one is number 0.
    fn longest(&self, retry: u32) -> Duration {
        self.base.saturating_mul(2_u32.saturating_pow(retry)).min(self.cap)
    }

    /// A random delay before a retry, of at least `at_least`; the first retry is number 0.
    pub(super) fn delay(&self, retry: u32, at_least: Option<Duration>) -> Duration {
        self.longest(retry).mul_f64(fastrand::f64()).max(at_least.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_delay_doubles_up_to_the_cap() {
        let backoff = Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(5) };
        let longest: Vec<_> = (0..8).map(|retry| backoff.longest(retry).as_millis()).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(backoff.longest(u32::MAX), backoff.cap);
    }

    #[test]
    fn delays_are_spread_from_zero_to_the_longest() {
        fastrand::seed(7);
        let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(1) };
        let delays: Vec<_> = (0..1_000).map(|_| backoff.delay(0, None)).collect();
        assert!(delays.iter().all(|delay| *delay <= backoff.cap));
        assert!(delays.iter().any(|delay| *delay < backoff.cap / 10));
        assert!(delays.iter().any(|delay| *delay > backoff.cap * 9 / 10));
    }

    #[test]
    fn a_delay_is_at_least_the_given_minimum() {
        let backoff = Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(1) };
        assert_eq!(backoff.delay(9, Some(Duration::from_secs(7))), Duration::from_secs(7));
    }
}
