//! The concurrency limit as one invocation sees it: in an outage it has a single probe.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

use crate::deliver::concurrency::{limit::ConcurrencyLimit, permit::Permit};

/// The concurrency limit as one invocation sees it.
#[derive(Debug)]
pub(crate) struct InvocationLimit<'a> {
    limit: &'a ConcurrencyLimit,
    /// Whether the one probe that it has in an outage is spent.
    has_probed: AtomicBool,
    /// Whether that probe is still in flight.
    is_probing: AtomicBool,
}

impl<'a> InvocationLimit<'a> {
    pub(super) fn new(limit: &'a ConcurrencyLimit) -> Self {
        InvocationLimit { limit, has_probed: AtomicBool::new(false), is_probing: AtomicBool::new(false) }
    }
}

impl InvocationLimit<'_> {
    /// See [`ConcurrencyLimit::is_outage`].
    pub(crate) fn is_outage(&self) -> bool {
        self.limit.is_outage()
    }

    /// Whether a request may be sent, now or after a wait. In an outage only the probe may, but while it is in flight it
    /// may still end the outage.
    pub(crate) fn allows(&self) -> bool {
        !self.limit.is_outage() || !self.has_probed.load(Relaxed) || self.is_probing.load(Relaxed)
    }

    /// How long the next request has to wait, even if no other is in flight.
    pub(crate) fn pause(&self) -> Duration {
        self.limit.wait_until().saturating_duration_since(Instant::now())
    }

    /// Whether a `Retry-After` keeps the next request waiting.
    pub(crate) fn is_held(&self) -> bool {
        self.limit.is_held()
    }

    /// See [`ConcurrencyLimit::retry_after`].
    pub(crate) fn retry_after(&self, delay: Duration) {
        self.limit.retry_after(delay);
    }

    /// See [`ConcurrencyLimit::end_retry_after`].
    pub(crate) fn end_retry_after(&self) {
        self.limit.end_retry_after();
    }

    /// See [`ConcurrencyLimit::retry_after_left`].
    pub(crate) fn retry_after_left(&self) -> Duration {
        self.limit.retry_after_left()
    }

    /// Waits until a permit is free, and leaves it there.
    pub(crate) async fn ready(&self) {
        drop(self.limit.acquire().await);
    }

    /// Waits for a permit. None in an outage whose probe is spent.
    pub(crate) async fn acquire(&self) -> Option<Permit<'_>> {
        let permit = self.limit.acquire().await;
        let probe_of = if self.limit.is_outage() {
            if self.has_probed.swap(true, Relaxed) {
                return None;
            }
            self.is_probing.store(true, Relaxed);
            Some(self)
        } else {
            None
        };
        Some(Permit::new(self.limit, permit, probe_of))
    }

    pub(super) fn give_probe_back(&self) {
        self.has_probed.store(false, Relaxed);
    }

    pub(super) fn end_probe(&self) {
        self.is_probing.store(false, Relaxed);
    }
}
