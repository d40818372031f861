//! The report of a run: its figures and checked invariants, for the terminal, as JSON, and as a page.

pub mod page;
mod totals;
pub mod units;

use serde::Serialize;

pub use self::totals::Totals;
use crate::{
    run::{
        drive::FinishedRun,
        history::History,
        invariants::{self, Finding, Status},
        series::Series,
    },
    scenario::{Mode, Setting},
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
    /// The command that repeats the run.
    pub replay: String,
    /// How everything was set up.
    pub configuration: Vec<Setting>,
    /// The figures over time.
    pub series: Series,
    /// The invariants, and whether they hold.
    pub invariants: Vec<Finding>,
    /// The figures of the whole run.
    pub totals: Totals,
}

/// A run, its report, and what broke an invariant.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The report.
    pub report: Report,
    /// What broke an invariant, in words. Empty if every invariant holds.
    pub violations: Vec<String>,
    /// Everything that happened.
    pub history: History,
}

impl Outcome {
    pub(crate) fn of(run: FinishedRun) -> Self {
        let report = Report::of(&run);
        let in_words = |invariant: &Finding| {
            let name = invariant.name;
            invariant.breaches.iter().map(|breach| format!("{name}: {breach}")).collect::<Vec<_>>()
        };
        let violations = report.invariants.iter().flat_map(in_words).collect();
        Self { report, violations, history: run.history }
    }
}

impl Report {
    fn of(run: &FinishedRun) -> Self {
        let plan = &run.plan;
        Self {
            scenario: plan.scenario.name(),
            about: plan.scenario.about(),
            mode: plan.mode,
            seed: plan.seed,
            replay: plan.replay.clone(),
            configuration: plan.settings(),
            series: run.series.clone(),
            invariants: invariants::check(&run.history),
            totals: Totals::of(run),
        }
    }

    /// Whether no invariant is broken.
    pub fn is_clean(&self) -> bool {
        self.invariants.iter().all(|invariant| invariant.status != Status::Broken)
    }
}
