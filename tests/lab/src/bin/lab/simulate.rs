//! `lab simulate`.

use std::process::ExitCode;

use lab::{run::Progress, simulation};

use crate::{
    commands::Simulate,
    progress,
    summary::{self, Files},
    verdict,
};

/// Simulates one run with a progress line, and prints its result.
pub(crate) fn run(arguments: &Simulate) -> anyhow::Result<ExitCode> {
    let files = Files::open(&arguments.run)?;
    let bar = progress::bar()?;
    let show = |progress: Progress| {
        bar.set_length(progress.planned.into());
        bar.set_position((progress.deleted + progress.dead).into());
    };
    let options = arguments.run.options();
    let outcome = simulation::observed(arguments.scenario, arguments.run.seed(), &options, &show)?;
    bar.finish_and_clear();
    summary::tell(&outcome, files).map(verdict)
}
