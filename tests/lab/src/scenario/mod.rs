//! Scenarios: kinds of runs, drawn from a seed within bounds.

mod base;
mod breaker;
mod describe;
mod plan;
mod rules;
mod sizes;
mod variants;

use std::{fmt, str::FromStr, time::Duration};

use serde::Serialize;

pub(crate) use self::breaker::BreakerPlan;
pub use self::{describe::Setting, rules::Rules};
use crate::{
    clock::Ms,
    faults::FaultSchedule,
    lambda::{fleet, mapping},
    seeded_rng::SeededRng,
    sqs::queue,
    traffic::{Traffic, messages::MessageSettings},
};

macro_rules! scenarios {
    ($($variant:ident = $name:literal, $about:literal;)+) => {
        /// A kind of run: faults of Perseus, of Lambda or of the queue.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Scenario {
            $(#[doc = $about] $variant,)+
        }

        impl Scenario {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What it is about.
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => $about),+ }
            }
        }
    };
}

scenarios! {
    Calm = "calm", "a Perseus that accepts everything, quickly";
    Flaky = "flaky", "errors, resets, half replies, lost replies, other servers' replies, throttling, a hang now and then";
    Outage = "outage", "Perseus accepts nothing for a while, twice, each time in one of eleven ways";
    Blips = "blips", "restarts of a second at most, or a Perseus that limits the rate of requests";
    Slow = "slow", "replies that take a large part of the function's timeout";
    Poison = "poison", "messages that Perseus never accepts";
    Capacity = "capacity", "more requests at once than Perseus can handle";
    TooLarge = "too-large", "requests too large for Perseus";
    Verdicts = "verdicts", "replies that accept some records and refuse others";
    Misconfigured = "misconfigured", "an expired token, a login page in front of Perseus";
    Fifo = "fifo", "a FIFO queue without faults";
    FifoFlaky = "fifo-flaky", "a FIFO queue, with poison and every fault of a reply";
    Duplicates = "duplicates", "a standard queue that delivers messages more than once";
    Freeze = "freeze", "connections that die while their environments are frozen";
    Crash = "crash", "environments that die during an invocation, or get no processor time";
    Breaker = "breaker", "outages of minutes with the circuit breaker on, an operator, and faults of its own calls and its schedule";
    Day = "day", "a day with a few faults of every kind and two outages";
}

/// On which clock a run was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The library on a paused clock.
    Simulated,
    /// The binary on the wall clock.
    Real,
}

/// Options of a run, beyond its scenario and seed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// How many messages are sent; drawn unless set.
    pub messages: Option<u32>,
    /// Over what time they are sent; drawn unless set.
    pub duration: Option<Duration>,
    /// The most invocations at once; drawn unless set.
    pub environments: Option<usize>,
    /// The factor by which every fault of a request is more probable.
    pub worse: Option<f64>,
    /// Variables of the function that replace drawn ones.
    pub variables: Vec<(String, String)>,
}

/// A run, drawn.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) scenario: Scenario,
    pub(crate) seed: u64,
    pub(crate) seeded: SeededRng,
    pub(crate) mode: Mode,
    /// The command that repeats the run.
    pub(crate) replay: String,
    pub(crate) traffic: Traffic,
    pub(crate) message: MessageSettings,
    pub(crate) queue: queue::Settings,
    pub(crate) mapping: mapping::Settings,
    pub(crate) fleet: fleet::Settings,
    pub(crate) faults: FaultSchedule,
    /// The prober and the operator, if the circuit breaker is on.
    pub(crate) breaker: Option<BreakerPlan>,
    /// The function's timeout.
    pub(crate) timeout: Ms,
    /// The function's memory, which decides its share of a core. None if computing takes no time, or its own.
    pub(crate) memory_mb: Option<u32>,
    /// The function's variables.
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) rules: Rules,
    /// When the run ends although the queue is not empty.
    pub(crate) give_up: Ms,
}

/// No scenario has this name.
#[derive(Debug, thiserror::Error)]
#[error("there is no scenario `{0}`; there are {names}", names = Scenario::names())]
pub struct UnknownScenario(String);

impl Scenario {
    fn names() -> String {
        Self::ALL.iter().map(|scenario| scenario.name()).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scenario {
    type Err = UnknownScenario;

    fn from_str(name: &str) -> Result<Self, UnknownScenario> {
        let known = Self::ALL.iter().find(|scenario| scenario.name() == name);
        known.copied().ok_or_else(|| UnknownScenario(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_known_by_its_name() {
        for scenario in Scenario::ALL {
            assert_eq!(scenario.name().parse::<Scenario>().ok(), Some(*scenario));
        }
        assert!("stormy".parse::<Scenario>().is_err_and(|error| error.to_string().contains("fifo-flaky")));
    }
}
