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
//! A round that brought no usable reply at all is a failed one. After it every request of the process waits: 100 ms
//! after the first, twice as long after each further one, or until a usable reply comes. The wait does not depend on
//! how fast a request failed: a server that restarts refuses connections within a millisecond, and would use up all
//! attempts before it is back.
//!
//! Enough failed rounds in a row, over at least two seconds, are an outage: then each invocation sends a single
//! request, as a probe, and goes on only if that brings a usable reply.
//!
//! Perseus can also say itself how long it wants to be left alone (`Retry-After`). That holds for every request
//! of the process, until one succeeds.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    select,
    sync::{Notify, Semaphore, SemaphorePermit},
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

/// The shortest time that the pause of a limit below one is worked out from, however fast a request was refused.
const SHORTEST_TURN: Duration = Duration::from_millis(25);

/// The wait after the first failed round.
const FIRST_BACK_OFF: Duration = Duration::from_millis(100);

/// Failed rounds in a row that are an outage, if they lasted as long as this.
const OUTAGE_ROUNDS: u32 = 6;
const OUTAGE_TIME: Duration = Duration::from_secs(2);

/// From so many failed rounds in a row on, a reply such as a 500 lowers the limit too. Fewer happen by chance to a
/// Perseus that answers 500 to one request in five.
const NOT_BY_CHANCE: u32 = 3;

/// The longest `Retry-After` that other requests wait for.
const LONGEST_HOLD: Duration = Duration::from_secs(60);

/// How an attempt ended, as far as it tells how hard Perseus may be pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Perseus had the capacity to answer.
    Answered,
    /// It answered that it has not: 429.
    Busy,
    /// There was no usable reply, as happens under too much load: 502, 503, 504, no reply in time, no connection.
    Overloaded,
    /// There was no usable reply, which by itself says nothing of load: 500, a lost connection, a reply that cannot
    /// be understood.
    Failed,
    /// It cannot be told.
    Unclear,
}

impl Signal {
    /// Whether Perseus is there and knows what it is asked.
    fn is_usable(self) -> bool {
        matches!(self, Signal::Answered | Signal::Busy)
    }
}

/// The in-flight limit.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    learns: bool,
    permits: Semaphore,
    state: Mutex<State>,
    /// Tells those who wait that they may have to wait less.
    released: Notify,
}

#[derive(Debug)]
struct State {
    /// No limit is higher.
    most: f64,
    /// The limit: the whole part of it counts, or if that is zero, all of it.
    allowed: f64,
    /// Where it was before it fell: up to there it doubles.
    known_good: f64,
    /// The end of the pause after the last request, if the limit is below one.
    resume: Instant,
    /// The end of the wait after a failed round.
    back_off: Option<Instant>,
    /// The end of the longest `Retry-After` that other requests wait for.
    hold: Option<Instant>,
    /// The time before which Perseus, as it last said, does not want to hear of us again, however long that is.
    retry_at: Option<Instant>,
    /// Rounds in a row without any usable reply.
    failed_rounds: u32,
    /// Since when there has been no usable reply; none if the last reply was one.
    failing_since: Option<Instant>,
    /// Permits to take back from those that are in use.
    owed: usize,
    round: Round,
}

#[derive(Debug)]
struct Round {
    began: Instant,
    answered: u32,
    busy: u32,
    overloaded: u32,
}

/// An invocation's share in the limit.
#[derive(Debug)]
pub struct InvocationLimit<'a> {
    limit: &'a ConcurrencyLimit,
    /// Whether the one probe it has in an outage is spent.
    has_probed: AtomicBool,
    /// Whether that probe is still in flight.
    is_probing: AtomicBool,
}

/// The right to have one request in flight.
#[derive(Debug)]
pub struct Permit<'a> {
    held: RevocablePermit<'a>,
    began: Instant,
    /// The invocation whose probe this is.
    probe_of: Option<&'a InvocationLimit<'a>>,
}

/// A permit that does not come back if the limit has fallen meanwhile.
#[derive(Debug)]
struct RevocablePermit<'a> {
    limit: &'a ConcurrencyLimit,
    permit: Option<SemaphorePermit<'a>>,
}

impl InvocationLimit<'_> {
    /// Whether Perseus gives no usable reply at all, as far as this process has seen.
    pub fn is_outage(&self) -> bool {
        self.limit.is_outage()
    }

    /// Whether a request may be sent now or when its invocation comes: in an outage only the one probe, but
    /// perhaps more once it is known what came of that.
    pub fn allows(&self) -> bool {
        !self.limit.is_outage() || !self.has_probed.load(Relaxed) || self.is_probing.load(Relaxed)
    }

    /// How long the next request has to wait, even if no other is in flight.
    pub fn pause(&self) -> Duration {
        self.limit.resume().saturating_duration_since(Instant::now())
    }

    /// Whether a `Retry-After` keeps the next request waiting.
    pub fn is_held(&self) -> bool {
        self.limit.state().hold.is_some_and(|until| until > Instant::now())
    }

    /// See [`ConcurrencyLimit::retry_after`].
    pub fn retry_after(&self, delay: Duration) {
        self.limit.retry_after(delay);
    }

    /// See [`ConcurrencyLimit::succeeded`].
    pub fn succeeded(&self) {
        self.limit.succeeded();
    }

    /// See [`ConcurrencyLimit::asked_for`].
    pub fn asked_for(&self) -> Duration {
        self.limit.asked_for()
    }

    /// Waits until less is in flight than may be.
    pub async fn ready(&self) {
        drop(self.limit.permit().await);
    }

    /// Waits for its invocation. None if there is an outage, and the probe is spent.
    pub async fn acquire(&self) -> Option<Permit<'_>> {
        let held = self.limit.permit().await;
        let probe_of = if self.limit.is_outage() {
            if self.has_probed.swap(true, Relaxed) {
                return None;
            }
            self.is_probing.store(true, Relaxed);
            Some(self)
        } else {
            None
        };
        Some(Permit { held, began: Instant::now(), probe_of })
    }

    fn give_probe_back(&self) {
        self.has_probed.store(false, Relaxed);
    }
}

impl ConcurrencyLimit {
    /// A limit that lets `most` requests be in flight.
    pub fn new(most: usize) -> Self {
        let most_allowed = f64::from(u32::try_from(most).unwrap_or(u32::MAX));
        ConcurrencyLimit {
            learns: true,
            permits: Semaphore::new(most),
            state: Mutex::new(State {
                most: most_allowed,
                allowed: most_allowed,
                known_good: most_allowed,
                resume: Instant::now(),
                back_off: None,
                hold: None,
                retry_at: None,
                failed_rounds: 0,
                failing_since: None,
                owed: 0,
                round: Round::new(),
            }),
            released: Notify::new(),
        }
    }

    /// One that lets `most` requests be in flight whatever comes of them.
    pub(crate) fn fixed(most: usize) -> Self {
        ConcurrencyLimit { learns: false, ..ConcurrencyLimit::new(most) }
    }

    /// The share of a new invocation.
    pub fn for_invocation(&self) -> InvocationLimit<'_> {
        InvocationLimit {
            limit: self,
            has_probed: AtomicBool::new(false),
            is_probing: AtomicBool::new(false),
        }
    }

    /// Whether there is an outage.
    pub fn is_outage(&self) -> bool {
        self.state().is_outage()
    }

    /// How many requests may be in flight; below one, for what share of the time one may be.
    pub fn allowed(&self) -> f64 {
        let allowed = self.state().allowed;
        if allowed < 1.0 { allowed } else { allowed.floor() }
    }

    /// Notes how long Perseus asks to be left alone. All requests wait for that, unless it is very long: then
    /// they go on, and only the messages that come back wait.
    pub fn retry_after(&self, delay: Duration) {
        // A delay beyond the range of the clock is as good as any other that is longer than SQS can wait.
        const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
        if !self.learns {
            return;
        }
        let at = Instant::now() + delay.min(LONGEST);
        let mut state = self.state();
        state.retry_at = Some(at);
        if delay <= LONGEST_HOLD {
            state.hold = state.hold.max(Some(at));
        }
    }

    /// A request succeeded: what Perseus asked for before does not hold any more.
    pub fn succeeded(&self) {
        let mut state = self.state();
        let was_held = state.hold.is_some();
        (state.hold, state.retry_at) = (None, None);
        drop(state);
        if was_held {
            self.released.notify_waiters();
        }
    }

    /// How long Perseus, as it last said, does not want to hear of us.
    pub fn asked_for(&self) -> Duration {
        let at = self.state().retry_at;
        at.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()))
    }

    /// The end of all waiting. An outage has no pause: then invocations are pauses enough, and a probe that
    /// waited would be billed for nothing.
    fn resume(&self) -> Instant {
        let state = self.state();
        let pause =
            (!state.is_outage()).then(|| state.back_off.map_or(state.resume, |end| end.max(state.resume)));
        pause.max(state.hold).unwrap_or_else(Instant::now)
    }

    async fn permit(&self) -> RevocablePermit<'_> {
        let permit = self.permits.acquire().await.expect("no one closes the semaphore");
        RevocablePermit { limit: self, permit: Some(permit) }
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
        if signal.is_usable() && state.back_off.take().is_some() {
            self.released.notify_waiters();
        }
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
        self.failed_rounds >= OUTAGE_ROUNDS
            && self.failing_since.is_some_and(|since| since.elapsed() >= OUTAGE_TIME)
    }

    fn learn(&mut self, began: Instant, signal: Signal) {
        let was_outage = self.is_outage();
        match signal {
            Signal::Answered => self.round.answered += 1,
            Signal::Busy => self.round.busy += 1,
            Signal::Overloaded => self.round.overloaded += 1,
            Signal::Failed => {}
            Signal::Unclear => return,
        }
        if signal.is_usable() {
            self.failing_since = None;
        } else {
            self.failing_since.get_or_insert_with(Instant::now);
        }
        if began < self.round.began {
            return;
        }
        let Round { answered, busy, overloaded, .. } = self.round;
        if answered + busy == 0 {
            self.round_failed();
        } else if busy + overloaded > 0 {
            let seen = f64::from(answered + busy + overloaded);
            self.fall(f64::from(busy + overloaded) / seen);
            // The edge of what Perseus can take, and not a Perseus that takes nothing.
            self.known_good = self.allowed;
            self.failed_rounds = 0;
        } else {
            self.rise(f64::from(answered), was_outage);
        }
        self.round = Round::new();
        self.resume = self.round.began + self.pause(began.elapsed());
    }

    /// The pause after a request, with jitter: environments that were refused together must not come back
    /// together.
    fn pause(&self, took: Duration) -> Duration {
        let share = (1.0 / self.allowed - 1.0).max(0.0) * (0.5 + fastrand::f64());
        took.max(SHORTEST_TURN).mul_f64(share).min(LONGEST_PAUSE)
    }

    /// Nothing usable came back in the whole round.
    fn round_failed(&mut self) {
        self.failed_rounds = self.failed_rounds.saturating_add(1);
        if self.round.overloaded == 0 && self.failed_rounds < NOT_BY_CHANCE {
            return;
        }
        self.fall(1.0);
        let doubled = FIRST_BACK_OFF.saturating_mul(2_u32.saturating_pow(self.failed_rounds - 1));
        let wait = doubled.min(LONGEST_PAUSE).mul_f64(0.5 + fastrand::f64()).min(LONGEST_PAUSE);
        self.back_off = Some(Instant::now() + wait);
    }

    fn fall(&mut self, share: f64) {
        self.allowed = (self.allowed * (1.0 - share / 2.0)).max(LEAST);
    }

    fn rise(&mut self, seen: f64, was_outage: bool) {
        if was_outage {
            self.allowed = self.allowed.max(RECOVERED);
        } else if self.failed_rounds > 0 {
            // It took nothing for a moment: that was the edge of a Perseus that many others push too.
            self.known_good = self.allowed;
        }
        self.failed_rounds = 0;
        if seen * 2.0 < self.allowed {
            // So few requests say nothing of a limit that they do not come near.
        } else if self.allowed < 1.0 {
            self.allowed += STEP;
        } else if self.allowed < self.known_good {
            self.allowed = (self.allowed * 2.0).min(self.known_good);
        } else {
            self.allowed += 1.0;
        }
        self.allowed = self.allowed.min(self.most);
    }
}

impl Round {
    fn new() -> Self {
        Round { began: Instant::now(), answered: 0, busy: 0, overloaded: 0 }
    }
}

impl Permit<'_> {
    /// Waits for the end of the pause, if there is one. See [`InvocationLimit::pause`] for how long that is.
    pub async fn pause(&mut self) {
        let limit = self.held.limit;
        loop {
            let released = limit.released.notified();
            let resume = limit.resume();
            if resume <= Instant::now() {
                break;
            }
            select! {
                () = sleep_until(resume) => {}
                () = released => {}
            }
        }
        self.began = Instant::now();
    }

    /// Gives the permit back, and tells how the request ended. One that is dropped instead tells nothing.
    pub fn settle(self, signal: Signal) {
        if let (Signal::Unclear, Some(invocation)) = (signal, self.probe_of) {
            invocation.give_probe_back();
        }
        self.held.limit.learn(self.began, signal);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(invocation) = self.probe_of {
            invocation.is_probing.store(false, Relaxed);
        }
    }
}

impl Drop for RevocablePermit<'_> {
    fn drop(&mut self) {
        let mut state = self.limit.state();
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
