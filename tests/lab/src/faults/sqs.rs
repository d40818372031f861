//! The faults of SQS' API.

use rand::{RngExt, rngs::ChaCha8Rng};

use crate::clock::Ms;

/// Probabilities of faults for each call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SqsFaults {
    /// An answer that takes seconds.
    pub(crate) slow: f64,
    /// 503: nothing is done.
    pub(crate) down: f64,
    /// No answer ever, and nothing is done.
    pub(crate) silent: f64,
    /// Everything is done, and the connection is lost before the reply.
    pub(crate) deaf: f64,
    /// The second half of the entries fails, as retryable.
    pub(crate) partial: f64,
    /// A 200 that does not answer the call: nothing is done.
    pub(crate) absurd: f64,
}

/// The outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallOutcome {
    Well,
    Slow(Ms),
    Down,
    Silent,
    Deaf,
    Partial,
    /// A 200 that does not answer the call: JSON if true, else HTML.
    Absurd(bool),
}

impl SqsFaults {
    /// Every fault, with random probabilities.
    pub(crate) fn random(rng: &mut ChaCha8Rng) -> Self {
        let mut share = || rng.random_range(0.0..0.1);
        Self {
            slow: share(),
            down: share(),
            silent: share() / 5.0,
            deaf: share(),
            partial: share(),
            absurd: share(),
        }
    }

    pub(crate) fn shares(&self) -> [(&'static str, f64); 6] {
        [
            ("SQS slow", self.slow),
            ("SQS down", self.down),
            ("SQS never replies", self.silent),
            ("SQS loses replies", self.deaf),
            ("SQS refuses half", self.partial),
            ("SQS replies nonsense", self.absurd),
        ]
    }

    pub(crate) fn outcome(&self, rng: &mut ChaCha8Rng) -> CallOutcome {
        let delay = rng.random_range(500..8_000);
        let is_json = rng.random_bool(0.5);
        let mut roll: f64 = rng.random();
        for (share, outcome) in [
            (self.slow, CallOutcome::Slow(delay)),
            (self.down, CallOutcome::Down),
            (self.silent, CallOutcome::Silent),
            (self.deaf, CallOutcome::Deaf),
            (self.partial, CallOutcome::Partial),
            (self.absurd, CallOutcome::Absurd(is_json)),
        ] {
            roll -= share;
            if roll < 0.0 {
                return outcome;
            }
        }
        CallOutcome::Well
    }
}
