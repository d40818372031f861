//! A semaphore that can shrink while its permits are in use.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync;

/// A semaphore that can shrink while its permits are in use.
///
/// Tokio's semaphore can only forget permits that are free. A permit that has to go while it is in use is *owed*: the
/// next ones that are given back are forgotten, until none is owed any more.
#[derive(Debug)]
pub(super) struct ShrinkableSemaphore {
    free: sync::Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    capacity: usize,
    /// Permits to take back from those that are in use.
    owed: usize,
}

/// A permit of a [`ShrinkableSemaphore`]. It does not come back if one is owed.
#[derive(Debug)]
pub(super) struct ShrinkablePermit<'a> {
    semaphore: &'a ShrinkableSemaphore,
    permit: Option<sync::SemaphorePermit<'a>>,
}

impl ShrinkableSemaphore {
    pub(super) fn new(capacity: usize) -> Self {
        ShrinkableSemaphore {
            free: sync::Semaphore::new(capacity),
            state: Mutex::new(State { capacity, owed: 0 }),
        }
    }

    pub(super) async fn acquire(&self) -> ShrinkablePermit<'_> {
        let permit = self.free.acquire().await.expect("no one closes the semaphore");
        ShrinkablePermit { semaphore: self, permit: Some(permit) }
    }

    /// Adds or removes permits until `capacity` are left. What is added pays what is owed first.
    pub(super) fn resize(&self, capacity: usize) {
        let mut state = self.state();
        if capacity > state.capacity {
            let added = capacity - state.capacity;
            let paid = state.owed.min(added);
            state.owed -= paid;
            self.free.add_permits(added - paid);
        } else {
            let removed = state.capacity - capacity;
            state.owed += removed - self.free.forget_permits(removed);
        }
        state.capacity = capacity;
    }

    #[cfg(test)]
    pub(super) fn available(&self) -> usize {
        self.free.available_permits()
    }

    /// A panic while the lock is held leaves the state complete, so poisoning does not matter.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ShrinkablePermit<'_> {
    fn drop(&mut self) {
        let mut state = self.semaphore.state();
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
    use super::*;

    #[tokio::test]
    async fn permits_in_use_are_taken_back_when_they_are_returned() {
        let semaphore = ShrinkableSemaphore::new(3);
        let (first, second) = (semaphore.acquire().await, semaphore.acquire().await);
        semaphore.resize(1);
        assert_eq!(semaphore.available(), 0);
        drop(first);
        assert_eq!(semaphore.available(), 0, "one permit was owed");
        drop(second);
        assert_eq!(semaphore.available(), 1);
    }

    #[tokio::test]
    async fn growing_pays_what_is_owed_before_it_adds_permits() {
        let semaphore = ShrinkableSemaphore::new(2);
        let permits = (semaphore.acquire().await, semaphore.acquire().await);
        semaphore.resize(1);
        semaphore.resize(3);
        assert_eq!(semaphore.available(), 1);
        drop(permits);
        assert_eq!(semaphore.available(), 3);
    }
}
