//! A run on paused time: the function's library, the queue, Lambda and Perseus in one thread, repeatable from a seed.

use tokio::sync::watch;

use crate::{
    drive::{self, Controls, DriveError, Progress},
    fleet::Origin,
    history::History,
    invariants::Finding,
    report::{Mode, Report},
    scenario::{Options, Plan, Scenario},
};

/// What a run has come to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The report.
    pub report: Report,
    /// What broke an invariant, in words; empty if nothing did.
    pub violations: Vec<String>,
    /// Everything that happened.
    pub history: History,
}

/// Simulates a run. The same scenario, seed and options give the same outcome.
///
/// The clock is paused: it jumps to the next thing that is due whenever there is nothing to do. So everything is a task of
/// the one runtime that is started here, sockets included. Call it from a thread that has no runtime.
///
/// # Errors
///
/// When the function does not accept the variables it is given, or there is no loopback port.
///
/// # Panics
///
/// When called inside a Tokio runtime, or none can be started.
pub fn simulate(scenario: Scenario, seed: u64, options: &Options) -> Result<Outcome, DriveError> {
    let plan = Plan::draw(scenario, seed, Mode::Simulated, options)?;
    let origin = Origin::Library(plan.variables.clone());
    run(plan, origin)
}

/// Simulates a plan.
pub(crate) fn run(plan: Plan, origin: Origin) -> Result<Outcome, DriveError> {
    // The function's jitter.
    fastrand::seed(plan.seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread needs only some file descriptors");
    // Nobody stops it and nobody looks on; both ends have to live as long as it runs.
    let (_stop, stop) = watch::channel(false);
    let progress = watch::Sender::new(Progress::default());
    let (history, report) = runtime.block_on(drive::run(plan, origin, Controls { stop, progress }))?;
    Ok(Outcome::new(history, report))
}

impl Outcome {
    pub(crate) fn new(history: History, report: Report) -> Self {
        let told = |invariant: &Finding| {
            let name = invariant.name;
            invariant.breaches.iter().map(|breach| format!("{name}: {breach}")).collect::<Vec<_>>()
        };
        let violations = report.invariants.iter().flat_map(told).collect();
        Self { report, violations, history }
    }
}
