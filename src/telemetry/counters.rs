//! The counters and measurements of one invocation.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

use crate::telemetry::histogram::Histogram;

/// The counters of one invocation.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Requests sent: each attempt counts.
    pub requests: AtomicUsize,
    /// Attempts after the first for the same records.
    pub retries: AtomicUsize,
    /// Batches that were split.
    pub splits: AtomicUsize,
    /// Bytes of the bodies of all attempts, as sent (compressed).
    pub bytes: AtomicUsize,
    /// Whether Perseus refused a record for its content. A refusal of content proves that Perseus is reachable.
    pub has_refused: AtomicBool,
    /// Measurements, if metrics are on.
    pub stats: Option<Stats>,
}

/// Measurements of each attempt and record.
#[derive(Debug)]
pub(crate) struct Stats {
    /// The time of day at `began`, in epoch milliseconds.
    wall_ms: u64,
    began: Instant,
    /// The time until Perseus answered, or until the attempt was given up, in milliseconds.
    pub latency: Histogram,
    /// The age of messages when Perseus acknowledged them, in milliseconds.
    pub age: Histogram,
}

impl Counters {
    /// Counts an attempt with a body of this many bytes.
    pub(crate) fn attempt(&self, body: usize) {
        self.requests.fetch_add(1, Relaxed);
        self.bytes.fetch_add(body, Relaxed);
    }

    /// Records the duration of an attempt.
    pub(crate) fn took(&self, time: Duration) {
        if let Some(stats) = &self.stats {
            stats.latency.add(millis(time));
        }
    }

    /// Records that a message is acknowledged now. `sent` is when it was sent, in epoch milliseconds.
    pub(crate) fn acknowledged(&self, sent: Option<u64>) {
        if let (Some(stats), Some(sent)) = (&self.stats, sent) {
            stats.age.add(stats.now().saturating_sub(sent));
        }
    }
}

impl Stats {
    /// Empty measurements. `wall` is the current time of day.
    pub(crate) fn new(wall: SystemTime) -> Self {
        Stats {
            wall_ms: millis(wall.duration_since(UNIX_EPOCH).unwrap_or_default()),
            began: Instant::now(),
            latency: Histogram::default(),
            age: Histogram::default(),
        }
    }

    /// The time of day in epoch milliseconds.
    pub(crate) fn now(&self) -> u64 {
        self.wall_ms + millis(self.began.elapsed())
    }
}

/// A duration in whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_age_of_a_message_is_measured_by_the_time_of_day() {
        let wall = UNIX_EPOCH + Duration::from_millis(1_800_000_000_000);
        let counters = Counters { stats: Some(Stats::new(wall)), ..Counters::default() };
        tokio::time::advance(Duration::from_millis(4)).await;
        // 5 ms ago; by a clock that is ahead; at an unknown time.
        for sent in [Some(1_799_999_999_999), Some(1_800_000_000_999), None] {
            counters.acknowledged(sent);
        }
        assert_eq!(counters.stats.unwrap().age.values(100), [(0, 1), (5, 1)]);
    }
}
