//! `lab evidence`.

use std::process::ExitCode;

use anyhow::ensure;
use clap::{Args, ValueEnum};
use lab::evidence::{Table, Variant, Work, capacity, kinds, outages, poison, slow};

use crate::{progress, tables};

/// What to measure.
#[derive(Args, Debug)]
pub(crate) struct Evidence {
    /// What to simulate
    #[arg(value_enum, default_value_t = Day::Outage)]
    day: Day,
    /// Outages: how long each lasts, in minutes [default: 5,60,360; kinds: 5]
    #[arg(long, value_delimiter = ',')]
    minutes: Vec<u32>,
    /// Outages and kinds: messages a second
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
    /// Outages and kinds: only these functions, by their position in the table, from 1 [default: all]
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=Variant::ALL.len() as i64))]
    only: Vec<u8>,
    /// Outages: the queue delivers the oldest message first, even if it has just come back
    #[arg(long)]
    oldest_first: bool,
    /// Capacity: how many environments
    #[arg(long, value_delimiter = ',', default_values_t = [5, 10, 30])]
    environments: Vec<usize>,
    /// Capacity: the fixed limits to compare with
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 3, 6])]
    limits: Vec<usize>,
    /// Capacity: how long Perseus takes for a request, in milliseconds
    #[arg(long, default_value_t = 100)]
    latency: u32,
    /// Print the table as Markdown, for a document
    #[arg(long)]
    markdown: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Day {
    /// Perseus answers 503 to everything, for each of several lengths
    Outage,
    /// Perseus accepts nothing, for every kind of outage
    Kinds,
    /// Perseus is so slow that part of each event does not fit before the cutoff
    Slow,
    /// One message in a thousand is never accepted
    Poison,
    /// Environments that cannot see each other share a Perseus of limited capacity
    Capacity,
}

/// Simulates a case and prints what it costs.
pub(crate) fn run(evidence: &Evidence) -> anyhow::Result<ExitCode> {
    let bar = progress::bar()?;
    let show = |done, planned| {
        bar.set_length(planned);
        bar.set_position(done);
    };
    let table = measure(evidence, &Work::new(&show))?;
    bar.finish_and_clear();
    tables::print(&table, evidence.markdown);
    ensure!(table.violations.is_empty(), "broken promises: {:?}", table.violations);
    Ok(ExitCode::SUCCESS)
}

fn measure(evidence: &Evidence, work: &Work<'_>) -> anyhow::Result<Table> {
    let variants = variants(&evidence.only);
    Ok(match evidence.day {
        Day::Outage => outages(
            &lengths(&evidence.minutes, &[5, 60, 360]),
            evidence.rate,
            &variants,
            evidence.oldest_first,
            work,
        )?,
        Day::Kinds => kinds(lengths(&evidence.minutes, &[5])[0], evidence.rate, &variants, work)?,
        Day::Slow => slow(work)?,
        Day::Poison => poison(work)?,
        Day::Capacity => capacity(&evidence.environments, &evidence.limits, evidence.latency, work)?,
    })
}

/// The variants at these positions, from 1; all of them if there are none.
fn variants(positions: &[u8]) -> Vec<Variant> {
    let is_wanted =
        |position: usize| positions.is_empty() || positions.iter().any(|only| usize::from(*only) == position);
    Variant::ALL
        .into_iter()
        .enumerate()
        .filter(|(index, _)| is_wanted(index + 1))
        .map(|(_, one)| one)
        .collect()
}

/// These minutes in milliseconds, or the default ones if there are none.
fn lengths(minutes: &[u32], usual: &[u32]) -> Vec<u32> {
    let minutes = if minutes.is_empty() { usual } else { minutes };
    minutes.iter().map(|minutes| minutes * 60_000).collect()
}
