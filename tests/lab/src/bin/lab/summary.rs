//! The report of a run, for people.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufWriter, Write},
};

use anyhow::Context;
use lab::report::{Outcome, Report, Totals, page};
use owo_colors::OwoColorize;

use crate::commands::RunOptions;

/// Prints the result of a run and writes its report. Returns whether the run is clean.
pub(crate) fn tell(outcome: &Outcome, options: &RunOptions) -> anyhow::Result<bool> {
    let report = &outcome.report;
    let mut out = anstream::stdout().lock();
    writeln!(out, "{}: {}, seed {}", report.scenario.bold(), report.about, report.seed)?;
    configuration(&mut out, report)?;
    totals(&mut out, &report.totals)?;
    invariants(&mut out, report)?;
    if !report.is_clean() {
        writeln!(out, "\n{} {}", "to see it again:".red().bold(), report.replay)?;
    }
    if let Some(path) = &options.json {
        let cannot = || format!("cannot write {}", path.display());
        let mut file = BufWriter::new(File::create(path).with_context(cannot)?);
        serde_json::to_writer(&mut file, report).with_context(cannot)?;
        file.flush().with_context(cannot)?;
    }
    if let Some(path) = &options.report {
        fs::write(path, page::render(report)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(report.is_clean())
}

fn configuration(out: &mut impl Write, report: &Report) -> io::Result<()> {
    for part in report.configuration.chunk_by(|one, next| one.part == next.part) {
        let settings: Vec<String> =
            part.iter().map(|setting| format!("{} {}", setting.name, setting.value)).collect();
        writeln!(out, "  {:<10}{}", part[0].part, settings.join(", ").dimmed())?;
    }
    Ok(())
}

fn totals(out: &mut impl Write, totals: &Totals) -> io::Result<()> {
    writeln!(out)?;
    let count = |number: u64| number.to_string();
    let millis = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0} ms"));
    let retries: u32 = totals.retries_by_end.values().sum();
    for (name, figure, note) in [
        ("time", format!("{:.0} s", totals.seconds), String::new()),
        ("messages", count(totals.messages), format!("{} still in the queue", totals.left)),
        ("delivered", count(totals.delivered), String::new()),
        (
            "dead letters",
            count(totals.dead_letters),
            format!("{} of them not poison", totals.healthy_dead_letters),
        ),
        (
            "invocations",
            count(totals.invocations),
            format!("in {} environments, {} ended by injected faults", totals.environments, totals.sabotaged),
        ),
        ("received", count(totals.received), format!("{} left in the queue", totals.reported)),
        ("requests", count(totals.requests), by_end(&totals.requests_by_end)),
        ("at once", totals.requests_at_once.to_string(), String::new()),
        ("retries", count(retries.into()), by_end(&totals.retries_by_end)),
        (
            "age",
            millis(totals.age_p50_ms),
            format!("95 %: {}, 99 %: {}", millis(totals.age_p95_ms), millis(totals.age_p99_ms)),
        ),
    ] {
        writeln!(out, "  {name:<14}{figure:>10}  {}", note.dimmed())?;
    }
    Ok(())
}

fn by_end(counts: &BTreeMap<String, u32>) -> String {
    let counts: Vec<String> = counts.iter().map(|(end, count)| format!("{end}: {count}")).collect();
    counts.join(", ")
}

fn invariants(out: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(out)?;
    for invariant in &report.invariants {
        let mark =
            if invariant.holds { "holds".green().to_string() } else { "BROKEN".red().bold().to_string() };
        writeln!(out, "  {mark:<6}  {:<24}{}", invariant.name, invariant.evidence.dimmed())?;
        for breach in &invariant.breaches {
            writeln!(out, "          {}", breach.red())?;
        }
    }
    Ok(())
}
