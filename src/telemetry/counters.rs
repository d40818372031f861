//! What the deliveries of an invocation took.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

use crate::telemetry::histogram::Histogram;

/// What the deliveries of an invocation took.
#[derive(Debug, Default)]
pub struct Counters {
    /// Attempts.
    pub requests: AtomicUsize,
    /// Attempts after the first one for the same records.
    pub retries: AtomicUsize,
    /// Batches that were split.
    pub splits: AtomicUsize,
    /// Bytes of the bodies of all attempts, as they were sent.
    pub bytes: AtomicUsize,
    /// Whether Perseus refused a record for what is in it: who does that is up.
    pub has_refused: AtomicBool,
    /// What is measured of each attempt and record, if anyone wants to know.
    pub stats: Option<Stats>,
}

/// What is measured of each attempt and record.
#[derive(Debug)]
pub struct Stats {
    /// The time of day at `began`, in epoch milliseconds.
    wall_ms: u64,
    began: Instant,
    /// How long Perseus took to answer, in milliseconds; what it never answered counts until it was given up.
    pub latency: Histogram,
    /// How old messages were when Perseus acknowledged them, in milliseconds.
    pub age: Histogram,
}

impl Counters {
    /// Counts an attempt with a body of this length.
    pub fn attempt(&self, body: usize) {
        self.requests.fetch_add(1, Relaxed);
        self.bytes.fetch_add(body, Relaxed);
    }

    /// Notes how long Perseus took.
    pub fn took(&self, time: Duration) {
        if let Some(stats) = &self.stats {
            stats.latency.add(millis(time));
        }
    }

    /// Notes that a message, sent then (in epoch milliseconds), is acknowledged now.
    pub fn acknowledged(&self, sent: Option<u64>) {
        if let (Some(stats), Some(sent)) = (&self.stats, sent) {
            stats.age.add(stats.now().saturating_sub(sent));
        }
    }
}

impl Stats {
    /// Nothing is measured yet; `wall` is the time of day.
    pub fn new(wall: SystemTime) -> Self {
        Stats {
            wall_ms: millis(wall.duration_since(UNIX_EPOCH).unwrap_or_default()),
            began: Instant::now(),
            latency: Histogram::default(),
            age: Histogram::default(),
        }
    }

    /// The time of day in epoch milliseconds.
    pub fn now(&self) -> u64 {
        self.wall_ms + millis(self.began.elapsed())
    }
}

/// A time in whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_message_is_as_old_as_the_time_of_day_says() {
        let wall = UNIX_EPOCH + Duration::from_millis(1_800_000_000_000);
        let counters = Counters { stats: Some(Stats::new(wall)), ..Counters::default() };
        tokio::time::advance(Duration::from_millis(4)).await;
        // Sent by a producer whose clock is ahead, or by none.
        for sent in [Some(1_799_999_999_999), Some(1_800_000_000_999), None] {
            counters.acknowledged(sent);
        }
        assert_eq!(counters.stats.unwrap().age.values(100), [(0, 1), (5, 1)]);
    }
}
