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
    let plan = Plan::draw(scenario, seed, Mode::Simulated, options)?;
    let launcher = Launcher::Library(plan.variables.clone());
    run(plan, launcher)
}

/// Simulates a plan.
pub(crate) fn run(plan: Plan, launcher: Launcher) -> Result<Outcome, DriveError> {
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
    let finished = runtime.block_on(drive::run(plan, launcher, Controls { stop, progress }))?;
    Ok(Outcome::of(finished))
}
