//! The time of day.

use std::{fmt, sync::Arc, time::SystemTime};

/// Tells the time of day. Lambda's deadlines, SQS' timestamps, metrics and the mark of the circuit breaker are in it.
///
/// It is read anew each time. Between two invocations the process is frozen, and a monotonic clock may stand still.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl WallClock {
    /// A clock that asks `now`: simulated time.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        WallClock(Arc::new(now))
    }

    /// The time of day.
    pub(crate) fn now(&self) -> SystemTime {
        (self.0)()
    }
}

impl Default for WallClock {
    /// The system's clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads it, signatures and Retry-After apart"
    )]
    fn default() -> Self {
        WallClock::new(SystemTime::now)
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallClock")
    }
}
