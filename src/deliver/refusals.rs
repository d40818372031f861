//! Whether Perseus refuses everything.
//!
//! A few bad records are found by halves, and there is an acceptance at every step of that search. A change of
//! schema, a bad deployment or a proxy in between refuses all records alike: the search finds nothing, and every
//! good record would be rejected. So refusals without an acceptance are counted, in the whole process and from one
//! invocation to the next.
//!
//! From [`MANY`] on, one batch at a time is searched, the smallest part first: if anything is accepted at all, that finds
//! it, also where every batch has a bad record in it or is too large. From [`ENOUGH`] on, with some single records among
//! them, refusals are not taken for the records' fault any more.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync;

/// Requests in a row that have to be refused, none of their records accepted, until one batch at a time is searched.
const MANY: u32 = 20;

/// And until Perseus is said to refuse everything.
const ENOUGH: u32 = 50;

/// So many records must have been refused for their own sake, in a request of their own or by name. A large batch
/// is refused for one bad record in it, so refusals of large batches alone show nothing.
const ENOUGH_SINGLE: usize = 8;

/// The refusals since the last acceptance.
#[derive(Debug)]
pub struct Refusals {
    enough: u32,
    state: Mutex<State>,
    search: sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    in_a_row: u32,
    /// Records that were refused for their own sake.
    single: usize,
}

/// The right to search while there are many refusals.
#[derive(Debug)]
pub struct Search<'a>(#[expect(dead_code, reason = "held")] sync::MutexGuard<'a, ()>);

impl Refusals {
    /// None so far.
    pub fn new() -> Self {
        Refusals { enough: ENOUGH, state: Mutex::default(), search: sync::Mutex::default() }
    }

    /// None so far, and never enough of them.
    pub(crate) fn uncounted() -> Self {
        Refusals { enough: u32::MAX, ..Refusals::new() }
    }

    /// A request was refused, none of its records accepted, and so many of them refused for their own sake.
    pub fn refused(&self, single: usize) {
        let mut state = self.state();
        state.in_a_row = state.in_a_row.saturating_add(1);
        state.single = state.single.saturating_add(single);
    }

    /// A record was accepted.
    pub fn accepted(&self) {
        *self.state() = State::default();
    }

    /// Whether there are so many that one batch at a time is searched.
    pub fn are_many(&self) -> bool {
        self.enough != u32::MAX && self.state().in_a_row >= MANY
    }

    /// Whether Perseus refuses everything, as far as this process has seen.
    pub fn are_all(&self) -> bool {
        let state = self.state();
        state.in_a_row >= self.enough && state.single >= ENOUGH_SINGLE
    }

    /// Waits for the right to search.
    pub async fn search(&self) -> Search<'_> {
        Search(self.search.lock().await)
    }

    /// Nothing is left half-done in the lock, so a panic of its holder does not matter.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Refusals {
    fn default() -> Self {
        Refusals::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(refusals: &Refusals, times: u32, single: usize) {
        (0..times).for_each(|_| refusals.refused(single));
    }

    #[test]
    fn fifty_in_a_row_are_everything_and_one_acceptance_ends_it() {
        let refusals = Refusals::new();
        refuse(&refusals, 49, 1);
        assert!(refusals.are_many() && !refusals.are_all());
        refusals.accepted();
        assert!(!refusals.are_many());
        refuse(&refusals, 49, 1);
        assert!(!refusals.are_all());
        refuse(&refusals, 1, 1);
        assert!(refusals.are_all());
        refusals.accepted();
        assert!(!refusals.are_all());
        refuse(&refusals, 49, 1);
        assert!(!refusals.are_all());
    }

    #[test]
    fn twenty_are_many() {
        let refusals = Refusals::new();
        refuse(&refusals, 19, 1);
        assert!(!refusals.are_many());
        refuse(&refusals, 1, 1);
        assert!(refusals.are_many());
    }

    #[test]
    fn as_long_as_few_records_were_refused_for_their_own_sake_they_are_not_everything() {
        let refusals = Refusals::new();
        refuse(&refusals, 1_000, 0);
        refuse(&refusals, 7, 1);
        assert!(!refusals.are_all());
        refuse(&refusals, 1, 1);
        assert!(refusals.are_all());
        refusals.accepted();
        refuse(&refusals, 50, 0);
        assert!(!refusals.are_all());
    }

    #[test]
    fn uncounted_they_are_never_too_many() {
        let refusals = Refusals::uncounted();
        refuse(&refusals, 1_000, 1);
        assert!(!refusals.are_many() && !refusals.are_all());
    }
}
