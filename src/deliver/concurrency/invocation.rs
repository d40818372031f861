//! The concurrency limit as one invocation sees it: in an outage it has a single probe.

use std::time::Duration;

use tokio::{sync::futures::Notified, time::Instant};

use crate::deliver::concurrency::{
    limit::ConcurrencyLimit,
    permit::{Permit, Probe},
};

/// The concurrency limit as one invocation sees it.
#[derive(Debug)]
pub(crate) struct InvocationLimit<'a> {
    limit: &'a ConcurrencyLimit,
    probe: Probe,
}

impl ConcurrencyLimit {
    /// The limit as one invocation sees it.
    pub(crate) fn invocation_limit(&self) -> InvocationLimit<'_> {
        InvocationLimit { limit: self, probe: Probe::default() }
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
        !self.limit.is_outage() || !self.probe.is_spent() || self.probe.is_in_flight()
    }

    /// How long the next request has to wait, even if no other is in flight.
    pub(crate) fn pause(&self) -> Duration {
        self.limit.wait_until().saturating_duration_since(Instant::now())
    }

    /// How long the next request has to wait at least: a request in flight may end a `Retry-After`.
    pub(crate) fn least_pause(&self) -> Duration {
        self.limit.least_wait_until().saturating_duration_since(Instant::now())
    }

    /// Waits until a request has ended. Counts from this call on, not from the first poll.
    pub(crate) fn settled(&self) -> Notified<'_> {
        self.limit.settled()
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
        let mut permit = Permit::new(self.limit, self.limit.acquire().await);
        self.admits(&mut permit).then_some(permit)
    }

    /// Whether the request of a permit may still be sent. In an outage it has to be the probe.
    pub(crate) fn admits<'a>(&'a self, permit: &mut Permit<'a>) -> bool {
        if !self.limit.is_outage() || permit.is_probe() {
            return true;
        }
        let is_free = self.probe.begin();
        if is_free {
            permit.set_probe(&self.probe);
        }
        is_free
    }
}
