//! `lab soak`.

use std::{process::ExitCode, thread};

use lab::{scenario::Scenario, soak::soak};
use owo_colors::OwoColorize;

use crate::{commands::Soak, progress, tables, text::wrapped, verdict};

/// Simulates many runs and prints the table.
pub(crate) fn run(arguments: &Soak) -> anyhow::Result<ExitCode> {
    let scenarios = match &arguments.scenarios[..] {
        [] => Scenario::ALL,
        some => some,
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let bar = progress::bar()?;
    bar.set_length(arguments.seeds * scenarios.len() as u64);
    let options = arguments.options.options();
    let result = soak(scenarios, arguments.from, arguments.seeds, &options, threads, || bar.inc(1))?;
    bar.finish_and_clear();
    tables::print(&result.table(), arguments.markdown);
    if !result.not_exercised.is_empty() {
        let names: Vec<&str> = result.not_exercised.iter().copied().collect();
        let told = format!("Not exercised by any of these runs: {}.", names.join(", "));
        anstream::println!("\n{}", wrapped(&told, 0, 0));
    }
    for failure in &result.failures {
        anstream::println!("\n{} {}", "broken:".red().bold(), failure.replay);
        failure.violations.iter().for_each(|violation| anstream::println!("  {}", wrapped(violation, 2, 4)));
    }
    Ok(verdict(result.failures.is_empty()))
}
