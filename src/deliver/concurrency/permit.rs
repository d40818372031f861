//! The permission to have one request in flight.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::time::Instant;

use crate::deliver::concurrency::{limit::ConcurrencyLimit, semaphore::ShrinkablePermit, signal::Signal};

/// The permission to have one request in flight.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    limit: &'a ConcurrencyLimit,
    #[expect(dead_code, reason = "held until the request has ended")]
    permit: ShrinkablePermit<'a>,
    began: Instant,
    /// The invocation's probe, if this request is it.
    probe: Option<&'a Probe>,
    is_in_flight: bool,
}

/// The one request that an invocation may send in an outage.
#[derive(Debug, Default)]
pub(super) struct Probe {
    is_spent: AtomicBool,
    is_in_flight: AtomicBool,
}

impl Probe {
    /// Whether the probe was sent.
    pub(super) fn is_spent(&self) -> bool {
        self.is_spent.load(Relaxed)
    }

    /// Whether it is not known yet how the probe ends.
    pub(super) fn is_in_flight(&self) -> bool {
        self.is_in_flight.load(Relaxed)
    }

    /// Takes the probe. False if it is spent.
    pub(super) fn begin(&self) -> bool {
        let is_free = !self.is_spent.swap(true, Relaxed);
        if is_free {
            self.is_in_flight.store(true, Relaxed);
        }
        is_free
    }
}

impl<'a> Permit<'a> {
    pub(super) fn new(limit: &'a ConcurrencyLimit, permit: ShrinkablePermit<'a>) -> Self {
        Permit { limit, permit, began: Instant::now(), probe: None, is_in_flight: false }
    }

    pub(super) fn is_probe(&self) -> bool {
        self.probe.is_some()
    }

    pub(super) fn set_probe(&mut self, probe: &'a Probe) {
        self.probe = Some(probe);
    }
}

impl Permit<'_> {
    /// Waits until the request may be sent. `InvocationLimit::pause` tells how long that is.
    pub(crate) async fn pause(&mut self) {
        self.limit.wait().await;
    }

    /// The request is sent now.
    pub(crate) fn begin(&mut self) {
        self.began = Instant::now();
        self.is_in_flight = true;
        self.limit.begin();
    }

    /// Gives the permit back and tells the limit how the request ended. A permit that is dropped instead tells nothing.
    pub(crate) fn settle(self, signal: Signal) {
        if let (Signal::Unclear, Some(probe)) = (signal, self.probe) {
            probe.is_spent.store(false, Relaxed);
        }
        self.limit.record(self.began, signal);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(probe) = self.probe {
            probe.is_in_flight.store(false, Relaxed);
        }
        if self.is_in_flight {
            self.limit.end();
        }
    }
}
