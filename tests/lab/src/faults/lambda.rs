//! The faults of Lambda's API.

use rand::{RngExt, rngs::ChaCha8Rng};

use crate::clock::Ms;

/// Probabilities of faults for each call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LambdaFaults {
    /// An answer that takes seconds.
    pub(crate) slow: f64,
    /// 500: nothing is done.
    pub(crate) error: f64,
    /// 429: nothing is done.
    pub(crate) throttle: f64,
    /// No answer ever, and nothing is done.
    pub(crate) silent: f64,
    /// Everything is done, and the connection is lost before the reply.
    pub(crate) deaf: f64,
    /// Everything is done, and the reply is cut short.
    pub(crate) cut: f64,
    /// A success that does not answer the call: nothing is done.
    pub(crate) lie: f64,
}

/// The outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LambdaOutcome {
    Well,
    Slow(Ms),
    Error,
    Throttled,
    Silent,
    Deaf,
    Cut,
    Lie(Lie),
}

/// What a success says that does not answer the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// A proxy's page.
    Page,
    /// JSON of another shape.
    OtherJson,
    /// The mapping of another function, or someone else's tags.
    OtherMapping,
}

impl LambdaFaults {
    /// Every fault, with random probabilities.
    pub(crate) fn random(rng: &mut ChaCha8Rng) -> Self {
        let mut share = || rng.random_range(0.0..0.1);
        Self {
            slow: share(),
            error: share(),
            throttle: share(),
            silent: share() / 5.0,
            deaf: share(),
            cut: share(),
            lie: share(),
        }
    }

    /// Every fault, so often that half of the calls fail.
    pub(crate) fn severe() -> Self {
        let share = 0.08;
        Self {
            slow: share,
            error: share,
            throttle: share,
            silent: share,
            deaf: share,
            cut: share,
            lie: share,
        }
    }

    pub(crate) fn shares(&self) -> [(&'static str, f64); 7] {
        [
            ("Lambda slow", self.slow),
            ("Lambda fails", self.error),
            ("Lambda throttles", self.throttle),
            ("Lambda silent", self.silent),
            ("Lambda loses replies", self.deaf),
            ("Lambda cuts replies", self.cut),
            ("Lambda lies", self.lie),
        ]
    }

    pub(crate) fn outcome(&self, rng: &mut ChaCha8Rng) -> LambdaOutcome {
        let delay = rng.random_range(500..8_000);
        let lie = [Lie::Page, Lie::OtherJson, Lie::OtherMapping][rng.random_range(0..3)];
        let mut roll: f64 = rng.random();
        for (share, outcome) in [
            (self.slow, LambdaOutcome::Slow(delay)),
            (self.error, LambdaOutcome::Error),
            (self.throttle, LambdaOutcome::Throttled),
            (self.silent, LambdaOutcome::Silent),
            (self.deaf, LambdaOutcome::Deaf),
            (self.cut, LambdaOutcome::Cut),
            (self.lie, LambdaOutcome::Lie(lie)),
        ] {
            roll -= share;
            if roll < 0.0 {
                return outcome;
            }
        }
        LambdaOutcome::Well
    }
}
