//! A run on the wall clock: each environment is the built binary in a process of its own, frozen between invocations.

use std::path::PathBuf;

use tokio::sync::watch;

use crate::{
    clock::span,
    lambda::{environment::Environment, fleet::Launcher},
    report::Outcome,
    run::drive::{self, Controls, DriveError, Progress},
    scenario::{Mode, Options, Plan, Scenario},
};

/// Runs a scenario for real.
///
/// Once `stop` turns true no more messages are sent: the queue is drained, and the run ends as if it were over.
///
/// # Errors
///
/// When the function does not start, or there is no loopback port.
pub async fn run(
    scenario: Scenario,
    seed: u64,
    options: &Options,
    binary: PathBuf,
    stop: watch::Receiver<bool>,
    progress: watch::Sender<Progress>,
) -> Result<Outcome, DriveError> {
    let plan = Plan::draw(scenario, seed, Mode::Real, options)?;
    let builder = Environment::builder(binary).timeout(span(plan.timeout));
    let builder = plan.variables.iter().fold(builder, |builder, (name, value)| builder.env(name, value));
    let launcher = Launcher::Binary(builder);
    let progress = |now| _ = progress.send_replace(now);
    let finished = drive::run(plan, launcher, Controls { stop, progress: &progress }).await?;
    Ok(Outcome::of(finished))
}
