//! How hard this process pushes Perseus: one number, for the life of the process.
//!
//! At 1 or more the number is how many requests may be in flight at once, in all invocations of the
//! process together. It moves once a round, as DCTCP's window does (RFC 8257): a round without overload
//! adds one, or doubles it on the way back to where it was; a round with overload takes away half of the
//! share that was overloaded, so that a few refusals at the edge of Perseus' capacity cost little and an
//! outage costs half. A round is as long as a request takes: it ends with the first request that began
//! in it.
//!
//! When whole rounds have failed as often in a row as a batch has attempts, that is an outage, and the
//! number goes on falling below 1: then it stands for one probe every 1/number seconds, and no
//! invocation sends more than that. The first probe that succeeds ends the outage.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

/// The longest time between two probes is 2⁵ seconds: what a recovery waits for at most.
const LEAST: f64 = 1.0 / 32.0;

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
    /// Rounds in a row that have to fail for an outage.
    patience: u32,
    permits: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The number.
    allowed: f64,
    /// Where it was before it fell: up to there it doubles.
    proven: f64,
    /// Rounds in a row in which nothing but overload was seen.
    failed_rounds: u32,
    /// Permits to take back from those that are in use.
    owed: usize,
    round: Round,
    last_probe: Option<Instant>,
    /// Whether a probe is in flight.
    is_probing: bool,
}

#[derive(Debug)]
struct Round {
    began: Instant,
    answered: u32,
    overloaded: u32,
}

/// The right to have one request in flight.
#[derive(Debug)]
pub struct Permit<'a> {
    held: Held<'a>,
    began: Instant,
    is_probe: bool,
}

/// A permit that does not come back if the limit has fallen meanwhile.
#[derive(Debug)]
struct Held<'a> {
    governor: &'a Governor,
    permit: Option<SemaphorePermit<'a>>,
}

impl Governor {
    /// A governor that lets `most` requests be in flight, and takes `patience` failed rounds in a row for
    /// an outage.
    pub fn new(most: usize, patience: u32) -> Self {
        let most_allowed = f64::from(u32::try_from(most).unwrap_or(u32::MAX));
        Governor {
            most: most_allowed,
            patience,
            permits: Semaphore::new(most),
            state: Mutex::new(State {
                allowed: most_allowed,
                proven: most_allowed,
                failed_rounds: 0,
                owed: 0,
                round: Round::new(),
                last_probe: None,
                is_probing: false,
            }),
        }
    }

    /// Whether a request may be sent now or when its turn comes. In an outage that is so once for each
    /// time between probes, and while it is not known what came of a probe.
    pub fn allows(&self) -> bool {
        let state = self.state();
        state.may_send() || state.is_probing
    }

    /// Waits until a request could be sent at once.
    pub async fn ready(&self) {
        drop(self.permit().await);
    }

    /// Waits for its turn. None if in an outage someone else's probe has come first.
    pub async fn acquire(&self) -> Option<Permit<'_>> {
        let permit = self.permit().await;
        let mut state = self.state();
        if !state.may_send() {
            return None;
        }
        let (began, is_probe) = (Instant::now(), state.is_outage());
        if is_probe {
            state.last_probe = Some(began);
            state.is_probing = true;
        }
        drop(state);
        Some(Permit { held: permit, began, is_probe })
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
        let mut state = self.state();
        let before = state.concurrency();
        state.learn(began, signal, self.most, self.patience);
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
    fn is_outage(&self) -> bool {
        self.allowed < 1.0
    }

    fn may_send(&self) -> bool {
        let between = Duration::from_secs_f64(1.0 / self.allowed);
        !self.is_outage() || self.last_probe.is_none_or(|last| last.elapsed() >= between)
    }

    /// Requests at once.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 1,000")]
    fn concurrency(&self) -> usize {
        self.allowed.max(1.0) as usize
    }

    fn learn(&mut self, began: Instant, signal: Signal, most: f64, patience: u32) {
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
            self.fall(share, patience);
        } else {
            self.rise(seen, most);
        }
        self.round = Round::new();
    }

    fn fall(&mut self, share: f64, patience: u32) {
        self.allowed *= 1.0 - share / 2.0;
        if share < 1.0 {
            // The edge of what Perseus can take, and not a Perseus that takes nothing.
            self.proven = self.allowed;
            self.failed_rounds = 0;
        } else {
            self.failed_rounds += 1;
        }
        let least = if self.failed_rounds < patience { 1.0 } else { LEAST };
        self.allowed = self.allowed.max(least);
        if self.is_outage() {
            self.last_probe = Some(Instant::now());
        }
    }

    fn rise(&mut self, seen: f64, most: f64) {
        self.failed_rounds = 0;
        if self.is_outage() {
            self.allowed = 1.0;
        } else if seen * 2.0 < self.allowed {
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
        if self.is_probe {
            self.held.governor.state().is_probing = false;
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut state = self.governor.state();
        if state.owed > 0 {
            state.owed -= 1;
            self.permit.take().map(SemaphorePermit::forget);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// One round of as many requests as are allowed, all of 10 ms, answered up to `capacity`.
    async fn round(governor: &Governor, capacity: usize) -> usize {
        let mut permits = Vec::new();
        while governor.allows() && governor.permits.available_permits() > 0 {
            permits.extend(governor.acquire().await);
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
        assert_eq!(rounds(&Governor::new(10, 4), 10, 3).await, [10, 10, 10]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_finds_the_capacity_and_stays_near() {
        for capacity in [3, 7, 20, 45] {
            let governor = Governor::new(50, 4);
            rounds(&governor, capacity, 40).await;
            let sent = rounds(&governor, capacity, 100).await;
            let useful: usize = sent.iter().map(|sent| sent.min(&capacity)).sum();
            assert!(useful * 10 >= capacity * 100 * 9, "{capacity}: {sent:?}");
            assert!(sent.iter().all(|sent| *sent <= capacity + capacity / 4 + 2), "{capacity}: {sent:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_leaves_single_probes_that_become_rare() {
        let governor = Governor::new(10, 4);
        let sent = rounds(&governor, 0, 4).await;
        assert_eq!(sent, [10, 5, 2, 1]);
        assert!(!governor.allows(), "the probe is not due yet");
        let mut gaps = Vec::new();
        let mut last = Instant::now();
        while gaps.len() < 8 {
            advance(10 * MS).await;
            if governor.allows() {
                gaps.push(last.elapsed().as_secs());
                last = Instant::now();
                governor.acquire().await.unwrap().settle(Signal::Overloaded);
                assert!(governor.acquire().await.is_none(), "one probe at a time");
            }
        }
        assert!(gaps.is_sorted() && gaps[7] == 32, "{gaps:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_recovery_is_quick() {
        let governor = Governor::new(10, 4);
        rounds(&governor, 0, 20).await;
        advance(Duration::from_secs(32)).await;
        assert_eq!(rounds(&governor, 10, 6).await, [1, 1, 2, 4, 8, 10]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_outage_is_declared_before_a_batch_could_have_had_its_attempts() {
        let governor = Governor::new(1, 6);
        for attempt in 0..6 {
            assert!(governor.allows(), "attempt {attempt}");
            round(&governor, 0).await;
        }
        assert!(!governor.allows());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_that_say_nothing_of_capacity_change_nothing() {
        let governor = Governor::new(10, 4);
        for _ in 0..50 {
            governor.acquire().await.unwrap().settle(Signal::Unclear);
            drop(governor.acquire().await);
            advance(MS).await;
        }
        assert_eq!(round(&governor, 10).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn permits_in_use_when_the_limit_falls_are_taken_back_later() {
        let governor = Governor::new(4, 4);
        let mut permits = Vec::new();
        for _ in 0..4 {
            permits.extend(governor.acquire().await);
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
