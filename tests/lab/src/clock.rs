//! The time of a run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use perseus_forwarder::value::wall_clock::WallClock;
use tokio::time::Instant;

/// Milliseconds since the start of a run: four bytes for each of millions of messages, enough for 49 days.
pub type Ms = u32;

/// The epoch that message timestamps count from in every run, so that two runs of one seed are the same:
/// 2026-01-01T00:00:00Z.
pub(crate) const EPOCH_MS: u64 = 1_767_225_600_000;

/// Tells the time of one run: the paused clock in a simulated one, the real one otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Ms {
        millis(self.0.elapsed())
    }

    pub(crate) fn at(self, time: Ms) -> Instant {
        self.0 + span(time)
    }

    /// The time of day in a simulated run, since the Unix epoch.
    pub(crate) fn since_epoch(self) -> Duration {
        Duration::from_millis(EPOCH_MS) + self.0.elapsed()
    }

    /// The same, for the function.
    pub(crate) fn wall_clock(self) -> WallClock {
        WallClock::new(move || UNIX_EPOCH + self.since_epoch())
    }
}

/// The time of day in a real run, since the Unix epoch.
pub(crate) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A time of day as Lambda's deadlines have it. The argument is the time since the Unix epoch.
pub(crate) fn epoch_ms(since_epoch: Duration) -> u64 {
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// A span in milliseconds; the longest that fits when it does not.
pub(crate) fn millis(span: Duration) -> Ms {
    Ms::try_from(span.as_millis()).unwrap_or(Ms::MAX)
}

pub(crate) fn span(millis: Ms) -> Duration {
    Duration::from_millis(millis.into())
}
