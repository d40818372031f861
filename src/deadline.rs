//! The deadline: read once from Lambda's header, and monotonic from then on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// 2015-01-01T00:00:00Z in epoch milliseconds. Lambda is generally available since April 2015, so no real deadline is earlier. `cargo lambda
/// watch` sends the bare duration 600000 instead of a date.
const FIRST_DATE_MS: u64 = 1_420_070_400_000;

/// No invocation lasts longer. Keeps absurd headers within the range of the clock.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// When the invocation ends, and the cutoff before that.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Instant,
    cutoff: Instant,
}

impl Deadline {
    /// Converts Lambda's `deadline_ms` into a monotonic deadline. `wall` is the time of day now.
    ///
    /// A value that is not a date (see [`is_date`]) is a duration from now. The `reserve` lies between the cutoff and the
    /// deadline: time for the answer to reach Lambda.
    pub fn new(deadline_ms: u64, wall: SystemTime, reserve: Duration) -> Self {
        let given = Duration::from_millis(deadline_ms);
        let left = if is_date(deadline_ms) {
            given.saturating_sub(wall.duration_since(UNIX_EPOCH).unwrap_or_default())
        } else {
            given
        };
        Deadline::within(left, reserve)
    }

    /// A deadline that is `left` from now.
    pub fn within(left: Duration, reserve: Duration) -> Self {
        let now = Instant::now();
        let left = left.min(LONGEST);
        Deadline { at: now + left, cutoff: now + left.saturating_sub(reserve) }
    }

    /// When sending ends and the answer is built.
    pub fn cutoff(&self) -> Instant {
        self.cutoff
    }

    /// The time until Lambda's own deadline. Zero once it has passed.
    pub fn remaining(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Whether something that takes `time` from now ends before the cutoff.
    pub fn allows(&self, time: Duration) -> bool {
        Instant::now().checked_add(time).is_some_and(|end| end < self.cutoff)
    }

    /// Whether the cutoff has come.
    pub fn has_passed(&self) -> bool {
        Instant::now() >= self.cutoff
    }
}

/// Whether a deadline header holds a date, as Lambda sends it, rather than a bare duration.
pub fn is_date(deadline_ms: u64) -> bool {
    deadline_ms >= FIRST_DATE_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESERVE: Duration = Duration::from_secs(1);
    const WALL_MS: u64 = 1_800_000_000_000;

    fn deadline(deadline_ms: u64) -> Deadline {
        Deadline::new(deadline_ms, UNIX_EPOCH + Duration::from_millis(WALL_MS), RESERVE)
    }

    #[tokio::test(start_paused = true)]
    async fn the_cutoff_is_the_reserve_before_the_deadline() {
        let deadline = deadline(WALL_MS + 5_000);
        assert_eq!(deadline.remaining(), Duration::from_secs(5));
        assert_eq!(deadline.cutoff() - Instant::now(), Duration::from_secs(4));
        assert!(deadline.allows(Duration::from_millis(3_999)));
        assert!(!deadline.allows(Duration::from_secs(4)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_remaining_time_shrinks_to_zero() {
        let deadline = deadline(WALL_MS + 5_000);
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(deadline.has_passed());
        assert_eq!(deadline.remaining(), RESERVE);
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(deadline.remaining(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_within_the_reserve_leaves_no_time() {
        for deadline_ms in [FIRST_DATE_MS, WALL_MS - 1, WALL_MS, WALL_MS + 1_000] {
            assert!(deadline(deadline_ms).has_passed(), "{deadline_ms}");
        }
        assert!(!deadline(WALL_MS + 1_001).has_passed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_bare_duration_counts_from_now() {
        assert_eq!(deadline(600_000).remaining(), Duration::from_secs(600));
        assert!(deadline(0).has_passed());
    }

    #[tokio::test(start_paused = true)]
    async fn an_absurd_deadline_counts_as_a_day() {
        assert_eq!(deadline(u64::MAX).remaining(), LONGEST);
        assert_eq!(deadline(FIRST_DATE_MS - 1).remaining(), LONGEST);
        assert!(!deadline(u64::MAX).allows(Duration::MAX));
    }
}
