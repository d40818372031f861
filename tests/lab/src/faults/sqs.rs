//! What SQS is like when it is asked for something.

use rand::{RngExt, rngs::ChaCha8Rng};

use crate::clock::Ms;

/// How SQS behaves, as probabilities for each call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SqsFaults {
    /// An answer that takes seconds.
    pub(crate) slow: f64,
    /// 503: nothing is done.
    pub(crate) down: f64,
    /// No answer ever, and nothing is done.
    pub(crate) silent: f64,
    /// Everything is done, and the connection lost before that is said.
    pub(crate) deaf: f64,
    /// The second half of the entries is refused, for now.
    pub(crate) partial: f64,
    /// A 200 that says nothing of what was asked, and nothing is done.
    pub(crate) absurd: f64,
}

/// What comes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallOutcome {
    Well,
    Slow(Ms),
    Down,
    Silent,
    Deaf,
    Partial,
    /// With an answer that is JSON, or not.
    Absurd(bool),
}

impl SqsFaults {
    /// A bit of everything.
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
            ("SQS silent", self.silent),
            ("SQS loses replies", self.deaf),
            ("SQS refuses half", self.partial),
            ("SQS absurd", self.absurd),
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
