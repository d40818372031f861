//! How hard this process pushes Perseus: how many requests may be in flight at once, in all its invocations
//! together, for as long as it lives.
//!
//! The limit moves once a round, as DCTCP's window does (RFC 8257): a round without overload adds one, or
//! doubles it on the way back to where it was; a round with overload takes away half of the share that was
//! overloaded, so that a few refusals at the edge of Perseus' capacity cost little and an outage costs
//! half. A round is as long as a request takes: it ends with the first request that began in it.
//!
//! Environments cannot see each other, and may outnumber what Perseus takes at once. So a limit can be less
//! than one: a share of the time in which one request is in flight, with a pause after each.
//!
//! Rounds in which nothing but overload was seen, enough of them in a row, are an outage: then each
//! invocation sends a single request, as a probe, and goes on only if that succeeds.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep_until},
};

/// The least limit: pauses 63 times as long as the request before them.
const LEAST: f64 = 1.0 / 64.0;

/// What a limit below one gains by a round without overload.
const STEP: f64 = 1.0 / 8.0;

/// The limit after the first success in an outage.
const RECOVERED: f64 = 1.0;

/// The longest pause. Longer ones would be billed without sparing Perseus much: it is probed by each environment
/// this often at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How an attempt ended, as far as it tells how hard Perseus may be pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Perseus had the capacity to answer.
    Answered,
    /// It had not: 429, 502, 503, 504, no reply in time, no connection.
    Overloaded,
    /// It cannot be told.
    Unclear,
}

/// The in-flight limit.
#[derive(Debug)]
pub struct Governor {
    learns: bool,
    permits: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// No limit is higher.
    most: f64,
    /// Failed rounds in a row that are an outage.
    patience: u32,
    /// The limit: the whole part of it counts, or if that is zero, all of it.
    allowed: f64,
    /// Where it was before it fell: up to there it doubles.
    proven: f64,
    /// The end of the pause after the last request, if the limit is below one.
    resume: Instant,
    /// Rounds in a row in which nothing but overload was seen.
    failed_rounds: u32,
    /// Permits to take back from those that are in use.
    owed: usize,
    round: Round,
}

#[derive(Debug)]
struct Round {
    began: Instant,
    answered: u32,
    overloaded: u32,
}

/// An invocation's share in the limit.
#[derive(Debug)]
pub struct Turn<'a> {
    governor: &'a Governor,
    /// Whether the one probe it has in an outage is spent.
    has_probed: AtomicBool,
    /// Whether that probe is still in flight.
    is_probing: AtomicBool,
}

/// The right to have one request in flight.
#[derive(Debug)]
pub struct Permit<'a> {
    held: Held<'a>,
    began: Instant,
    /// The invocation whose probe this is.
    probe_of: Option<&'a AtomicBool>,
}

/// A permit that does not come back if the limit has fallen meanwhile.
#[derive(Debug)]
struct Held<'a> {
    governor: &'a Governor,
    permit: Option<SemaphorePermit<'a>>,
}

impl Turn<'_> {
    /// Whether Perseus takes nothing at all, as far as this process has seen.
    pub fn is_outage(&self) -> bool {
        self.governor.is_outage()
    }

    /// Whether a request may be sent now or when its turn comes: in an outage only the one probe, but
    /// perhaps more once it is known what came of that.
    pub fn allows(&self) -> bool {
        !self.governor.is_outage() || !self.has_probed.load(Relaxed) || self.is_probing.load(Relaxed)
    }

    /// How long the limit keeps the next request waiting, even if no other is in flight.
    pub fn pause(&self) -> Duration {
        self.governor.resume().saturating_duration_since(Instant::now())
    }

    /// Waits until less is in flight than may be.
    pub async fn ready(&self) {
        drop(self.governor.permit().await);
    }

    /// Waits for its turn. None if there is an outage, and the probe is spent.
    pub async fn acquire(&self) -> Option<Permit<'_>> {
        let held = self.governor.permit().await;
        let probe_of = if self.governor.is_outage() {
            if self.has_probed.swap(true, Relaxed) {
                return None;
            }
            self.is_probing.store(true, Relaxed);
            Some(&self.is_probing)
        } else {
            None
        };
        Some(Permit { held, began: Instant::now(), probe_of })
    }
}

impl Governor {
    /// A governor that lets `most` requests be in flight, and takes `patience` failed rounds in a row for
    /// an outage.
    pub fn new(most: usize, patience: u32) -> Self {
        let most_allowed = f64::from(u32::try_from(most).unwrap_or(u32::MAX));
        Governor {
            learns: true,
            permits: Semaphore::new(most),
            state: Mutex::new(State {
                most: most_allowed,
                patience,
                allowed: most_allowed,
                proven: most_allowed,
                resume: Instant::now(),
                failed_rounds: 0,
                owed: 0,
                round: Round::new(),
            }),
        }
    }

    /// One that lets `most` requests be in flight whatever comes of them.
    pub(crate) fn fixed(most: usize) -> Self {
        Governor { learns: false, ..Governor::new(most, u32::MAX) }
    }

    /// The share of a new invocation.
    pub fn turn(&self) -> Turn<'_> {
        Turn { governor: self, has_probed: AtomicBool::new(false), is_probing: AtomicBool::new(false) }
    }

    /// Whether there is an outage.
    pub fn is_outage(&self) -> bool {
        self.state().is_outage()
    }

    /// How many requests may be in flight; below one, for what share of the time one may be.
    pub fn limit(&self) -> f64 {
        let allowed = self.state().allowed;
        if allowed < 1.0 { allowed } else { allowed.floor() }
    }

    /// The end of the pause. An outage has none: then invocations are pauses enough, and a probe that waited
    /// would be billed for nothing.
    fn resume(&self) -> Instant {
        let state = self.state();
        if state.is_outage() { Instant::now() } else { state.resume }
    }

    async fn permit(&self) -> Held<'_> {
        let permit = self.permits.acquire().await.expect("no one closes the semaphore");
        Held { governor: self, permit: Some(permit) }
    }

    /// Nothing is left half-done in the lock, so a panic of its holder does not matter.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, began: Instant, signal: Signal) {
        if !self.learns {
            return;
        }
        let mut state = self.state();
        let before = state.concurrency();
        state.learn(began, signal);
        let now = state.concurrency();
        if now > before {
            let paid = state.owed.min(now - before);
            state.owed -= paid;
            self.permits.add_permits(now - before - paid);
        } else {
            state.owed += (before - now) - self.permits.forget_permits(before - now);
        }
    }
}

impl State {
    /// Requests at once.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 1,000")]
    fn concurrency(&self) -> usize {
        self.allowed.max(1.0) as usize
    }

    fn is_outage(&self) -> bool {
        self.failed_rounds >= self.patience
    }

    fn learn(&mut self, began: Instant, signal: Signal) {
        match signal {
            Signal::Answered => self.round.answered += 1,
            Signal::Overloaded => self.round.overloaded += 1,
            Signal::Unclear => return,
        }
        if began < self.round.began {
            return;
        }
        let seen = f64::from(self.round.answered + self.round.overloaded);
        let share = f64::from(self.round.overloaded) / seen;
        if share > 0.0 {
            self.fall(share);
        } else {
            self.rise(seen);
        }
        self.round = Round::new();
        self.resume = self.round.began + self.pause(began.elapsed());
    }

    /// The pause after a request, with jitter: environments that were refused together must not come back
    /// together.
    fn pause(&self, took: Duration) -> Duration {
        let share = (1.0 / self.allowed - 1.0).max(0.0) * (0.5 + fastrand::f64());
        took.mul_f64(share).min(LONGEST_PAUSE)
    }

    fn fall(&mut self, share: f64) {
        self.allowed = (self.allowed * (1.0 - share / 2.0)).max(LEAST);
        if share < 1.0 {
            // The edge of what Perseus can take, and not a Perseus that takes nothing.
            self.proven = self.allowed;
            self.failed_rounds = 0;
        } else {
            self.failed_rounds = self.failed_rounds.saturating_add(1);
        }
    }

    fn rise(&mut self, seen: f64) {
        if self.is_outage() {
            self.allowed = self.allowed.max(RECOVERED);
        } else if self.failed_rounds > 0 {
            // It took nothing for a moment: that was the edge of a Perseus that many others push too.
            self.proven = self.allowed;
        }
        self.failed_rounds = 0;
        if seen * 2.0 < self.allowed {
            // So few requests say nothing of a limit that they do not come near.
        } else if self.allowed < 1.0 {
            self.allowed += STEP;
        } else if self.allowed < self.proven {
            self.allowed = (self.allowed * 2.0).min(self.proven);
        } else {
            self.allowed += 1.0;
        }
        self.allowed = self.allowed.min(self.most);
    }
}

impl Round {
    fn new() -> Self {
        Round { began: Instant::now(), answered: 0, overloaded: 0 }
    }
}

impl Permit<'_> {
    /// Waits for the end of the pause, if there is one. See [`Turn::pause`] for how long that is.
    pub async fn pause(&mut self) {
        let resume = self.held.governor.resume();
        if resume > self.began {
            sleep_until(resume).await;
            self.began = Instant::now();
        }
    }

    /// Gives the permit back, and tells how the request ended. One that is dropped instead tells nothing.
    pub fn settle(self, signal: Signal) {
        self.held.governor.learn(self.began, signal);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(is_probing) = self.probe_of {
            is_probing.store(false, Relaxed);
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut state = self.governor.state();
        if state.owed > 0 {
            state.owed -= 1;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        }
    }
}

#[cfg(test)]
mod tests;
