//! A run on paused time: the function's library, the queue, Lambda and Perseus in one thread, repeatable from a seed.

use tokio::sync::watch;

use crate::{
    lambda::fleet::Launcher,
    report::Outcome,
    run::drive::{self, Controls, DriveError, Progress},
    scenario::{Mode, Options, Plan, Scenario},
};

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
    observed(scenario, seed, options, &|_| {})
}

/// The same, and tells `progress` of every change. Telling does not change the outcome.
///
/// # Errors
///
/// As [`simulate`].
///
/// # Panics
///
/// As [`simulate`].
pub fn observed(
    scenario: Scenario,
    seed: u64,
    options: &Options,
    progress: &dyn Fn(Progress),
) -> Result<Outcome, DriveError> {
    let plan = Plan::draw(scenario, seed, Mode::Simulated, options)?;
    let launcher = Launcher::Library(plan.variables.clone());
    run(plan, launcher, progress)
}

/// Simulates a plan.
pub(crate) fn run(
    plan: Plan,
    launcher: Launcher,
    progress: &dyn Fn(Progress),
) -> Result<Outcome, DriveError> {
    // The function's jitter.
    fastrand::seed(plan.seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread needs only some file descriptors");
    // Nobody stops it, but the sending end has to live as long as it runs.
    let (_stop, stop) = watch::channel(false);
    let finished = runtime.block_on(drive::run(plan, launcher, Controls { stop, progress }))?;
    Ok(Outcome::of(finished))
}
