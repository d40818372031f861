//! The permission to have one request in flight.

use tokio::time::Instant;

use crate::deliver::concurrency::{
    invocation::InvocationLimit, limit::ConcurrencyLimit, semaphore::ShrinkablePermit, signal::Signal,
};

/// The permission to have one request in flight.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    limit: &'a ConcurrencyLimit,
    #[expect(dead_code, reason = "held until the request has ended")]
    permit: ShrinkablePermit<'a>,
    began: Instant,
    /// The invocation whose probe this is.
    probe_of: Option<&'a InvocationLimit<'a>>,
}

impl<'a> Permit<'a> {
    pub(super) fn new(
        limit: &'a ConcurrencyLimit,
        permit: ShrinkablePermit<'a>,
        probe_of: Option<&'a InvocationLimit<'a>>,
    ) -> Self {
        Permit { limit, permit, began: Instant::now(), probe_of }
    }
}

impl Permit<'_> {
    /// Waits until the request may be sent. [`InvocationLimit::pause`] tells how long that is.
    pub(crate) async fn pause(&mut self) {
        self.limit.wait().await;
        self.began = Instant::now();
    }

    /// Gives the permit back and tells the limit how the request ended. A permit that is dropped instead tells nothing.
    pub(crate) fn settle(self, signal: Signal) {
        if let (Signal::Unclear, Some(invocation)) = (signal, self.probe_of) {
            invocation.give_probe_back();
        }
        self.limit.record(self.began, signal);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(invocation) = self.probe_of {
            invocation.end_probe();
        }
    }
}
