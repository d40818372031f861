//! Detects that Perseus refuses everything.
//!
//! A few bad records are found by bisecting, and some half is accepted at every step of that. A change of schema, a bad
//! deployment or a proxy in between refuses all records alike: bisecting finds nothing, and every good record would be
//! rejected. So this counts refusals without an acceptance, in the whole process and from one invocation to the next.
//!
//! From [`SUSPICIOUS`] on, one batch at a time is searched, the smallest part first. If Perseus accepts anything at all,
//! that finds it, even if every batch has a bad record in it or is too large. From [`CONCLUSIVE`] on, with some single
//! records among them, refusals are no longer taken for the records' fault.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync;

/// After this many refused requests in a row, one batch at a time is searched.
const SUSPICIOUS: u32 = 20;

/// After this many refused requests in a row, Perseus is said to refuse everything.
const CONCLUSIVE: u32 = 50;

/// At least this many of the records must have been refused on their own: in a request of their own, or by name. One bad
/// record is enough for the refusal of a large batch, so refusals of large batches alone prove nothing.
const CONCLUSIVE_RECORDS: usize = 8;

/// The refusals since the last acceptance.
#[derive(Debug)]
pub(crate) struct RefusalStreak {
    is_enabled: bool,
    state: Mutex<State>,
    search: sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    requests: u32,
    /// Records that were refused on their own.
    records: usize,
}

/// Held during a search, so that there is one at a time.
#[derive(Debug)]
pub(crate) struct SearchGuard<'a>(#[expect(dead_code, reason = "held")] sync::MutexGuard<'a, ()>);

impl RefusalStreak {
    /// A streak that has not begun.
    pub(crate) fn new() -> Self {
        RefusalStreak { is_enabled: true, state: Mutex::default(), search: sync::Mutex::default() }
    }

    /// A streak that is never long enough.
    pub(crate) fn disabled() -> Self {
        RefusalStreak { is_enabled: false, ..RefusalStreak::new() }
    }

    /// A request was refused and none of its records accepted. `on_their_own` records of it were refused on their own.
    ///
    /// Each record that a reply names counts like a request that had only this record. Otherwise thousands could be
    /// rejected before there were enough requests.
    pub(crate) fn refused(&self, on_their_own: usize) {
        let mut state = self.state();
        let named = u32::try_from(on_their_own).unwrap_or(u32::MAX);
        state.requests = state.requests.saturating_add(named.max(1));
        state.records = state.records.saturating_add(on_their_own);
    }

    /// A record was accepted.
    pub(crate) fn accepted(&self) {
        *self.state() = State::default();
    }

    /// Whether Perseus may refuse everything: then one batch at a time is searched.
    pub(crate) fn may_refuse_all(&self) -> bool {
        self.is_enabled && self.state().requests >= SUSPICIOUS
    }

    /// Whether Perseus refuses everything, as far as this process has seen.
    pub(crate) fn refuses_all(&self) -> bool {
        let state = self.state();
        self.is_enabled && state.requests >= CONCLUSIVE && state.records >= CONCLUSIVE_RECORDS
    }

    /// Waits until no other batch is searched.
    pub(crate) async fn begin_search(&self) -> SearchGuard<'_> {
        SearchGuard(self.search.lock().await)
    }

    /// A panic while the lock is held leaves the state complete, so poisoning does not matter.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(streak: &RefusalStreak, times: u32, on_their_own: usize) {
        (0..times).for_each(|_| streak.refused(on_their_own));
    }

    #[test]
    fn fifty_refused_requests_in_a_row_are_everything_and_one_acceptance_ends_that() {
        let streak = RefusalStreak::new();
        refuse(&streak, 49, 1);
        assert!(streak.may_refuse_all() && !streak.refuses_all());
        streak.accepted();
        assert!(!streak.may_refuse_all());
        refuse(&streak, 49, 1);
        assert!(!streak.refuses_all());
        refuse(&streak, 1, 1);
        assert!(streak.refuses_all());
        streak.accepted();
        assert!(!streak.refuses_all());
        refuse(&streak, 49, 1);
        assert!(!streak.refuses_all());
    }

    #[test]
    fn twenty_refused_requests_in_a_row_raise_suspicion() {
        let streak = RefusalStreak::new();
        refuse(&streak, 19, 1);
        assert!(!streak.may_refuse_all());
        refuse(&streak, 1, 1);
        assert!(streak.may_refuse_all());
    }

    #[test]
    fn refused_batches_prove_nothing_until_eight_records_were_refused_on_their_own() {
        let streak = RefusalStreak::new();
        refuse(&streak, 1_000, 0);
        refuse(&streak, 7, 1);
        assert!(!streak.refuses_all());
        refuse(&streak, 1, 1);
        assert!(streak.refuses_all());
        streak.accepted();
        refuse(&streak, 50, 0);
        assert!(!streak.refuses_all());
    }

    #[test]
    fn each_record_refused_by_name_counts_like_a_request() {
        let streak = RefusalStreak::new();
        refuse(&streak, 1, 49);
        assert!(streak.may_refuse_all() && !streak.refuses_all());
        refuse(&streak, 1, 1);
        assert!(streak.refuses_all());
    }

    #[test]
    fn a_disabled_streak_is_never_long_enough() {
        let streak = RefusalStreak::disabled();
        refuse(&streak, 1_000, 1);
        assert!(!streak.may_refuse_all() && !streak.refuses_all());
    }
}
