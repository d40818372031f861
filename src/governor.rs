//! How hard this process pushes Perseus: how many requests may be in flight at once, in all its invocations
//! together, for as long as it lives.
//!
//! The limit moves once a round, as DCTCP's window does (RFC 8257): a round without overload adds one, or
//! doubles it on the way back to where it was; a round with overload takes away half of the share that was
//! overloaded, so that a few refusals at the edge of Perseus' capacity cost little and an outage costs
//! half. A round is as long as a request takes: it ends with the first request that began in it.
//!
//! Rounds in which nothing but overload was seen, enough of them in a row, are an outage: then each
//! invocation sends a single request, as a probe, and goes on only if that succeeds.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

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
    most: f64,
    learns: bool,
    /// Failed rounds in a row that are an outage.
    patience: u32,
    permits: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The limit; the whole part of it counts.
    allowed: f64,
    /// Where it was before it fell: up to there it doubles.
    proven: f64,
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

    /// Waits until a request could be sent at once.
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
            most: most_allowed,
            learns: true,
            patience,
            permits: Semaphore::new(most),
            state: Mutex::new(State {
                allowed: most_allowed,
                proven: most_allowed,
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
        self.state().failed_rounds >= self.patience
    }

    /// How many requests may be in flight.
    pub fn limit(&self) -> usize {
        self.state().concurrency()
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
        state.learn(began, signal, self.most);
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
        self.allowed as usize
    }

    fn learn(&mut self, began: Instant, signal: Signal, most: f64) {
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
            self.rise(seen, most);
        }
        self.round = Round::new();
    }

    fn fall(&mut self, share: f64) {
        self.allowed = (self.allowed * (1.0 - share / 2.0)).max(1.0);
        if share < 1.0 {
            // The edge of what Perseus can take, and not a Perseus that takes nothing.
            self.proven = self.allowed;
            self.failed_rounds = 0;
        } else {
            self.failed_rounds = self.failed_rounds.saturating_add(1);
        }
    }

    fn rise(&mut self, seen: f64, most: f64) {
        self.failed_rounds = 0;
        if seen * 2.0 < self.allowed {
            // So few requests say nothing of a limit that they do not come near.
        } else if self.allowed < self.proven {
            self.allowed = (self.allowed * 2.0).min(self.proven);
        } else {
            self.allowed += 1.0;
        }
        self.allowed = self.allowed.min(most);
    }
}

impl Round {
    fn new() -> Self {
        Round { began: Instant::now(), answered: 0, overloaded: 0 }
    }
}

impl Permit<'_> {
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
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// One round of as many requests as are allowed, all of 10 ms, answered up to `capacity`.
    async fn round(governor: &Governor, capacity: usize) -> usize {
        let turn = governor.turn();
        let mut permits = Vec::new();
        while governor.permits.available_permits() > 0
            && let Some(permit) = turn.acquire().await
        {
            permits.push(permit);
        }
        advance(10 * MS).await;
        let sent = permits.len();
        for (place, permit) in permits.into_iter().enumerate() {
            permit.settle(if place < capacity { Signal::Answered } else { Signal::Overloaded });
            // No two requests begin or end at the same instant.
            advance(MS / 1_000).await;
        }
        sent
    }

    async fn rounds(governor: &Governor, capacity: usize, rounds: usize) -> Vec<usize> {
        let mut sent = Vec::new();
        for _ in 0..rounds {
            sent.push(round(governor, capacity).await);
        }
        sent
    }

    #[tokio::test(start_paused = true)]
    async fn a_perseus_that_answers_is_not_held_back() {
        assert_eq!(rounds(&Governor::new(10, 8), 10, 3).await, [10, 10, 10]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_finds_the_capacity_and_stays_near() {
        for capacity in [3, 7, 20, 45] {
            let governor = Governor::new(50, 8);
            rounds(&governor, capacity, 40).await;
            let sent = rounds(&governor, capacity, 100).await;
            let useful: usize = sent.iter().map(|sent| sent.min(&capacity)).sum();
            assert!(useful * 10 >= capacity * 100 * 9, "{capacity}: {sent:?}");
            assert!(sent.iter().all(|sent| *sent <= capacity + capacity / 4 + 2), "{capacity}: {sent:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_of_refusals_halves_the_limit_each_round() {
        let governor = Governor::new(10, 8);
        assert_eq!(rounds(&governor, 0, 7).await, [10, 5, 2, 1, 1, 1, 1]);
        assert!(!governor.is_outage());
        round(&governor, 0).await;
        assert!(governor.is_outage());
    }

    #[tokio::test(start_paused = true)]
    async fn in_an_outage_an_invocation_has_one_probe() {
        let governor = Governor::new(10, 2);
        rounds(&governor, 0, 6).await;
        for _ in 0..3 {
            let turn = governor.turn();
            let probe = turn.acquire().await.unwrap();
            assert!(turn.allows(), "it is not known yet what comes of the probe");
            probe.settle(Signal::Overloaded);
            assert!(!turn.allows());
            assert!(turn.acquire().await.is_none());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_recovery_is_quick() {
        let governor = Governor::new(10, 2);
        rounds(&governor, 0, 6).await;
        let turn = governor.turn();
        let probe = turn.acquire().await.unwrap();
        advance(MS).await;
        probe.settle(Signal::Answered);
        assert!(turn.allows() && turn.acquire().await.is_some());
        assert_eq!(rounds(&governor, 10, 4).await, [2, 4, 8, 10]);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_that_say_nothing_of_capacity_change_nothing() {
        let governor = Governor::new(10, 8);
        let turn = governor.turn();
        for _ in 0..50 {
            turn.acquire().await.unwrap().settle(Signal::Unclear);
            drop(turn.acquire().await);
            advance(MS).await;
        }
        assert_eq!(round(&governor, 10).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn permits_in_use_when_the_limit_falls_are_taken_back_later() {
        let governor = Governor::new(4, 8);
        let turn = governor.turn();
        let mut permits = Vec::new();
        for _ in 0..4 {
            permits.extend(turn.acquire().await);
        }
        advance(MS).await;
        permits.pop().unwrap().settle(Signal::Overloaded);
        // Two are allowed, three are out.
        assert_eq!(governor.permits.available_permits(), 0);
        drop(permits.pop());
        assert_eq!(governor.permits.available_permits(), 0);
        drop(permits);
        assert_eq!(governor.permits.available_permits(), 2);
    }
}
