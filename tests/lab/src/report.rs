//! What a run has shown, in figures: for the terminal, for JSON, and for whoever draws it.

mod series;

use std::collections::BTreeMap;

use serde::Serialize;

pub use self::series::{Point, Series};
pub(crate) use self::series::{Recorder, Standing, named};
use crate::{
    history::{End, History, Life},
    invariants::{self, Causes, Finding},
    queue::Place,
};

/// The report of a run, simulated or real.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: &'static str,
    /// What the scenario is about.
    pub about: &'static str,
    /// Whether the run was simulated, or real.
    pub mode: Mode,
    /// The seed that everything was drawn from.
    pub seed: u64,
    /// The command that does it again.
    pub replay: String,
    /// How everything was set up.
    pub configuration: Vec<Setting>,
    /// How it went over time.
    pub series: Series,
    /// What must hold, and whether it did.
    pub invariants: Vec<Finding>,
    /// The figures of the whole run.
    pub totals: Totals,
}

/// How a run was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The library on a paused clock.
    Simulated,
    /// The binary on the wall clock.
    Real,
}

/// One line of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// What it belongs to: the traffic, the queue, Lambda, Perseus, the function.
    pub part: &'static str,
    /// Its name.
    pub name: String,
    /// Its value, with its unit.
    pub value: String,
}

/// The figures of a whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// From the first message to the last answer, in seconds of the run's own clock.
    pub seconds: f64,
    /// Messages sent to the queue.
    pub messages: u64,
    /// Messages Perseus committed at least once.
    pub delivered: u64,
    /// Messages deleted and not committed. There must be none.
    pub lost: u64,
    /// Messages still in the queue when the run ended.
    pub left: u64,
    /// Messages in the dead-letter queue.
    pub dead_letters: u64,
    /// Those of them that Perseus would have taken.
    pub healthy_dead_letters: u64,
    /// Dead letters that the function has sent itself.
    pub sent_as_dead: u64,
    /// Visibility timeouts that the function has changed.
    pub visibility_changes: u64,
    /// Invocations.
    pub invocations: u64,
    /// Invocations that ended with an environment the lab let die.
    pub sabotaged: u64,
    /// Environments started.
    pub environments: u64,
    /// Messages handed to the function, redeliveries included.
    pub received: u64,
    /// Messages the function left in the queue.
    pub reported: u64,
    /// Requests that reached Perseus.
    pub requests: u64,
    /// Those requests by how they ended: a status, `connection lost`, `hung up`.
    pub requests_by_end: BTreeMap<String, u32>,
    /// Repeated attempts by how the attempt before ended.
    pub retries_by_end: BTreeMap<String, u32>,
    /// The most requests that Perseus had at once.
    pub requests_at_once: u32,
    /// Messages committed again, by cause.
    pub duplicates: Causes,
    /// The least time between an answer and its deadline, in milliseconds.
    pub worst_headroom_ms: Option<u32>,
    /// The age of messages at their first commit, in milliseconds: half were younger.
    pub age_p50_ms: Option<f64>,
    /// 95 in 100 were younger.
    pub age_p95_ms: Option<f64>,
    /// 99 in 100 were younger.
    pub age_p99_ms: Option<f64>,
}

impl Totals {
    pub(crate) fn of(history: &History, environments: u64, seconds: f64) -> Self {
        let messages = |wanted: &dyn Fn(&Life) -> bool| {
            history.messages.iter().filter(|life| wanted(life)).count() as u64
        };
        let invocations = &history.invocations;
        let lived = invocations.iter().filter(|invocation| !invocation.end.is_sabotage());
        Self {
            seconds,
            messages: history.messages.len() as u64,
            delivered: messages(&|life| life.committed.is_some()),
            lost: messages(&Life::is_lost),
            left: messages(&|life| matches!(life.place, Place::Visible | Place::InFlight)),
            dead_letters: messages(&Life::is_dead),
            healthy_dead_letters: messages(&|life| life.is_dead() && !life.is_poison),
            sent_as_dead: messages(&|life| life.is_dead() && life.dead_lettered),
            invocations: invocations.len() as u64,
            sabotaged: invocations.iter().filter(|invocation| invocation.end.is_sabotage()).count() as u64,
            environments,
            received: invocations.iter().map(|invocation| u64::from(invocation.messages)).sum(),
            reported: invocations.iter().map(|invocation| u64::from(invocation.kept)).sum(),
            requests: history.exchanges.len() as u64,
            duplicates: invariants::causes(history),
            worst_headroom_ms: lived.filter(|one| one.end != End::Failed).map(|one| one.headroom).min(),
            ..Self::default()
        }
    }
}

impl Report {
    /// Whether all invariants hold.
    pub fn is_clean(&self) -> bool {
        self.invariants.iter().all(|invariant| invariant.holds)
    }
}
