//! What was committed, when, and how often.

use crate::{clock::Ms, sqs::queue::Number};

/// The commits of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// When it was committed first.
    pub first: Ms,
    /// The position of that in the order of all first commits.
    pub order: u32,
    /// The request that committed it last.
    pub exchange: u32,
}

/// A message committed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// Which.
    pub message: Number,
    /// The two requests that committed it, in the order of their arrival.
    pub exchanges: (u32, u32),
}

/// The ledger.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    commits: Vec<Option<Committed>>,
    pub(crate) repeats: Vec<Repeat>,
    distinct: u32,
}

impl Ledger {
    /// Commits a message; whether it is the first time.
    pub(crate) fn commit(&mut self, message: Number, exchange: u32, now: Ms) -> bool {
        let index = message as usize;
        if self.commits.len() <= index {
            self.commits.resize(index + 1, None);
        }
        if let Some(committed) = &mut self.commits[index] {
            let exchanges = (committed.exchange.min(exchange), committed.exchange.max(exchange));
            self.repeats.push(Repeat { message, exchanges });
            committed.exchange = exchange;
            return false;
        }
        self.commits[index] = Some(Committed { first: now, order: self.distinct, exchange });
        self.distinct += 1;
        true
    }

    pub(crate) fn committed(&self, message: Number) -> Option<Committed> {
        self.commits.get(message as usize).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_commit_counts_and_the_others_are_repeats() {
        let mut ledger = Ledger::default();
        assert!(ledger.commit(5, 0, 10));
        assert!(ledger.commit(2, 1, 20));
        assert!(!ledger.commit(5, 2, 30));
        assert!(!ledger.commit(5, 1, 40));
        assert_eq!(ledger.committed(5), Some(Committed { first: 10, order: 0, exchange: 1 }));
        assert_eq!(ledger.committed(2).map(|committed| committed.order), Some(1));
        assert_eq!((ledger.committed(3), ledger.committed(9)), (None, None));
        let repeats: Vec<_> =
            ledger.repeats.iter().map(|repeat| (repeat.message, repeat.exchanges)).collect();
        assert_eq!(repeats, [(5, (0, 2)), (5, (1, 2))]);
    }
}
