//! `lab soak`.

use std::{process::ExitCode, thread};

use indicatif::{ProgressBar, ProgressStyle};
use lab::{scenario::Scenario, soak::soak};
use owo_colors::OwoColorize;

use crate::{commands::Soak, verdict};

const STYLE: &str = "{bar:40} {pos} of {len} runs, {eta} left";

/// Simulates many runs and prints the table.
pub(crate) fn run(arguments: &Soak) -> anyhow::Result<ExitCode> {
    let scenarios = match &arguments.scenarios[..] {
        [] => Scenario::ALL,
        some => some,
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let bar = ProgressBar::new(arguments.seeds * scenarios.len() as u64)
        .with_style(ProgressStyle::with_template(STYLE)?);
    let options = arguments.options.options();
    let result = soak(scenarios, arguments.from, arguments.seeds, &options, threads, || bar.inc(1))?;
    bar.finish_and_clear();
    anstream::print!("{result}");
    for failure in &result.failures {
        anstream::println!("\n{} {}", "broken:".red().bold(), failure.replay);
        failure.violations.iter().for_each(|violation| anstream::println!("  {violation}"));
    }
    Ok(verdict(result.failures.is_empty()))
}
