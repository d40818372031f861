//! `lab simulate`.

use std::process::ExitCode;

use lab::simulation::simulate;

use crate::{commands::Simulate, summary, verdict};

/// Simulates one run and prints its result.
pub(crate) fn run(arguments: &Simulate) -> anyhow::Result<ExitCode> {
    let outcome = simulate(arguments.scenario, arguments.run.seed(), &arguments.run.options())?;
    summary::tell(&outcome, &arguments.run).map(verdict)
}
