//! The report of a run, for people.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use lab::{
    report::{
        Outcome, Report, Totals, page,
        units::{count, seconds, time},
    },
    run::invariants::{Finding, Status},
};
use owo_colors::OwoColorize;

use crate::{commands::RunOptions, output_file::OutputFile, text::wrapped};

/// The columns before the settings of a part, before a note, and before the evidence of an invariant.
const SETTINGS: usize = 12;
const NOTE: usize = 28;
const EVIDENCE: usize = 40;

/// The files that a run writes at its end.
pub(crate) struct Files {
    json: Option<OutputFile>,
    page: Option<OutputFile>,
}

impl Files {
    /// Opens them before the run, which may be long.
    pub(crate) fn open(options: &RunOptions) -> anyhow::Result<Self> {
        let open = |path: &Option<_>| path.as_deref().map(OutputFile::open).transpose();
        Ok(Self { json: open(&options.json)?, page: open(&options.report)? })
    }

    fn write(self, report: &Report) -> anyhow::Result<()> {
        if let Some(json) = self.json {
            json.write(&serde_json::to_vec(report)?)?;
        }
        if let Some(page) = self.page {
            page.write(page::render(report).as_bytes())?;
        }
        Ok(())
    }
}

/// Writes the report of a run and prints its result. Returns whether the run is clean.
pub(crate) fn tell(outcome: &Outcome, files: Files) -> anyhow::Result<bool> {
    let report = &outcome.report;
    // Before anything is printed: a reader like `head` may end the lab.
    files.write(report)?;
    let mut out = anstream::stdout().lock();
    writeln!(out, "{}: {}", report.scenario.bold(), wrapped(report.about, report.scenario.len() + 2, 2))?;
    writeln!(out, "  seed      {}", report.seed.dimmed())?;
    configuration(&mut out, report)?;
    totals(&mut out, &report.totals)?;
    invariants(&mut out, report)?;
    if !report.is_clean() {
        writeln!(out, "\n{}\n{}", "to repeat it:".red().bold(), report.replay)?;
    }
    Ok(report.is_clean())
}

fn configuration(out: &mut impl Write, report: &Report) -> io::Result<()> {
    for part in report.configuration.chunk_by(|one, next| one.part == next.part) {
        let settings: Vec<String> =
            part.iter().map(|setting| format!("{} {}", setting.name, setting.value)).collect();
        let settings = wrapped(&settings.join(", "), SETTINGS, SETTINGS);
        writeln!(out, "  {:<10}{}", part[0].part, settings.dimmed())?;
    }
    Ok(())
}

fn totals(out: &mut impl Write, totals: &Totals) -> io::Result<()> {
    writeln!(out)?;
    let age = |age: Option<f64>| age.map_or_else(|| "-".to_owned(), time);
    let retries: u32 = totals.retries_by_end.values().sum();
    let dead = format!("{} of them good", count(totals.healthy_dead_letters));
    let invoked = format!(
        "in {} environments; {} crashed or stalled on purpose",
        count(totals.environments),
        count(totals.sabotaged)
    );
    let ages = format!(
        "median; 95th percentile {}, 99th percentile {}",
        age(totals.age_p95_ms),
        age(totals.age_p99_ms)
    );
    for (name, figure, note) in [
        ("time", seconds(totals.seconds), String::new()),
        ("messages", count(totals.messages), format!("{} still in the queue", count(totals.left))),
        ("delivered", count(totals.delivered), String::new()),
        ("dead letters", count(totals.dead_letters), dead),
        ("invocations", count(totals.invocations), invoked),
        ("received", count(totals.received), format!("{} returned to the queue", count(totals.reported))),
        ("requests", count(totals.requests), by_end(&totals.requests_by_end)),
        ("at once", count(totals.requests_at_once.into()), String::new()),
        ("retries", count(retries.into()), by_end(&totals.retries_by_end)),
        ("age", age(totals.age_p50_ms), ages),
    ] {
        let line = format!("  {name:<14}{figure:>10}  {}", wrapped(&note, NOTE, NOTE).dimmed());
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn by_end(counts: &BTreeMap<String, u32>) -> String {
    let counts: Vec<String> =
        counts.iter().map(|(end, number)| format!("{end}: {}", count((*number).into()))).collect();
    counts.join("; ")
}

fn invariants(out: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(out)?;
    for Finding { name, status, evidence, breaches, .. } in &report.invariants {
        let status = match status {
            Status::Holds => format!("{:<14}", "holds").green().to_string(),
            Status::Broken => format!("{:<14}", "BROKEN").red().bold().to_string(),
            Status::NotExercised => format!("{:<14}", "not exercised").dimmed().to_string(),
        };
        writeln!(out, "  {status}{name:<24}{}", wrapped(evidence, EVIDENCE, EVIDENCE).dimmed())?;
        for breach in breaches {
            writeln!(out, "    {}", wrapped(breach, 4, 6).red())?;
        }
    }
    Ok(())
}
