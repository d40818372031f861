//! The time of a run.

use std::time::Duration;

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
}

/// A span in milliseconds; the longest that fits when it does not.
pub(crate) fn millis(span: Duration) -> Ms {
    Ms::try_from(span.as_millis()).unwrap_or(Ms::MAX)
}

pub(crate) fn span(millis: Ms) -> Duration {
    Duration::from_millis(millis.into())
}
