//! The concurrency limit of this process.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    select,
    sync::{Notify, futures::Notified},
    time::{Instant, sleep_until},
};

use crate::deliver::concurrency::{
    controller::Controller,
    semaphore::{ShrinkablePermit, ShrinkableSemaphore},
    signal::Signal,
};

/// The longest `Retry-After` that other requests wait for.
const MAX_HOLD: Duration = Duration::from_secs(60);

/// How many requests may be in flight. All invocations of the process share it.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit {
    is_adaptive: bool,
    pub(super) semaphore: ShrinkableSemaphore,
    state: Mutex<State>,
    /// Wakes requests that wait when their wait may have become shorter.
    wait_changed: Notify,
    in_flight: AtomicUsize,
    /// Wakes those that wait for the end of a request.
    ended: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) controller: Controller,
    /// The end of the longest `Retry-After` that other requests wait for.
    hold_until: Option<Instant>,
    /// The end of the last `Retry-After`, however long.
    retry_after_until: Option<Instant>,
}

impl ConcurrencyLimit {
    /// An adaptive limit that begins at its highest value.
    pub(crate) fn new(max_in_flight: usize) -> Self {
        let max_limit = f64::from(u32::try_from(max_in_flight).unwrap_or(u32::MAX));
        ConcurrencyLimit {
            is_adaptive: true,
            semaphore: ShrinkableSemaphore::new(max_in_flight),
            state: Mutex::new(State {
                controller: Controller::new(max_limit),
                hold_until: None,
                retry_after_until: None,
            }),
            wait_changed: Notify::new(),
            in_flight: AtomicUsize::new(0),
            ended: Notify::new(),
        }
    }

    /// A limit that never changes.
    pub(crate) fn fixed(max_in_flight: usize) -> Self {
        ConcurrencyLimit { is_adaptive: false, ..ConcurrencyLimit::new(max_in_flight) }
    }

    /// Whether Perseus gives no usable reply at all.
    pub(crate) fn is_outage(&self) -> bool {
        self.state().controller.is_outage()
    }

    /// How long Perseus has given no usable reply at all; none if this is no outage.
    pub(crate) fn outage(&self) -> Option<Duration> {
        self.state().controller.outage()
    }

    /// How many requests may be in flight. Below one: for which share of the time one may be.
    pub(crate) fn current(&self) -> f64 {
        self.state().controller.limit()
    }

    /// Notes a `Retry-After`. All requests wait for it, unless it is longer than [`MAX_HOLD`]: then requests go on, and only
    /// the messages that return to the queue wait.
    pub(crate) fn retry_after(&self, delay: Duration) {
        // Keeps the sum within the clock's range. SQS cannot wait longer than 12 hours anyway.
        const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
        if !self.is_adaptive {
            return;
        }
        let until = Instant::now() + delay.min(LONGEST);
        let mut state = self.state();
        state.retry_after_until = Some(until);
        if delay <= MAX_HOLD {
            state.hold_until = state.hold_until.max(Some(until));
        }
    }

    /// A request succeeded: that ends every earlier `Retry-After`.
    pub(crate) fn end_retry_after(&self) {
        let mut state = self.state();
        let was_held = state.hold_until.is_some();
        (state.hold_until, state.retry_after_until) = (None, None);
        drop(state);
        if was_held {
            self.wait_changed.notify_waiters();
        }
    }

    /// What is left of the last `Retry-After`.
    pub(crate) fn retry_after_left(&self) -> Duration {
        let until = self.state().retry_after_until;
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Whether a `Retry-After` keeps the next request waiting.
    pub(super) fn is_held(&self) -> bool {
        self.state().hold_until.is_some_and(|until| until > Instant::now())
    }

    /// Until when the next request has to wait, even if no other is in flight.
    pub(super) fn wait_until(&self) -> Instant {
        let state = self.state();
        state.controller.wait_until().max(state.hold_until).unwrap_or_else(Instant::now)
    }

    /// Like [`wait_until`](Self::wait_until), but without a `Retry-After` that a request in flight may end.
    pub(super) fn least_wait_until(&self) -> Instant {
        let state = self.state();
        let hold_until = if self.in_flight.load(Relaxed) > 0 { None } else { state.hold_until };
        state.controller.wait_until().max(hold_until).unwrap_or_else(Instant::now)
    }

    /// A request is sent.
    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// A request has ended.
    pub(super) fn end(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
        self.ended.notify_waiters();
    }

    /// Waits until a request has ended.
    pub(super) fn settled(&self) -> Notified<'_> {
        self.ended.notified()
    }

    /// Waits until the next request may be sent.
    pub(super) async fn wait(&self) {
        loop {
            let changed = self.wait_changed.notified();
            let until = self.wait_until();
            if until <= Instant::now() {
                return;
            }
            select! {
                () = sleep_until(until) => {}
                () = changed => {}
            }
        }
    }

    pub(super) async fn acquire(&self) -> ShrinkablePermit<'_> {
        self.semaphore.acquire().await
    }

    /// Learns from a request that began at `began` and ended now.
    pub(super) fn record(&self, began: Instant, signal: Signal) {
        if !self.is_adaptive {
            return;
        }
        let mut state = self.state();
        if signal.is_usable() && state.controller.end_backoff() {
            self.wait_changed.notify_waiters();
        }
        state.controller.record(began, signal);
        // With the lock held: else another thread could resize to an older limit afterwards.
        self.semaphore.resize(state.controller.permits());
    }

    /// A panic while the lock is held leaves the state complete, so poisoning does not matter.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
