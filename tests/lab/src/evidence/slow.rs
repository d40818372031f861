//! A Perseus so slow that part of each event is unsent at the cutoff: how long those messages wait.

use super::{SECOND, Table, Variant, Work, plan, run, table};
use crate::{
    clock::Ms,
    faults::FaultSchedule,
    report::units,
    run::{drive::DriveError, history::History},
};

const MESSAGES: u32 = 10_000;

/// How long messages wait that were unsent at the cutoff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    /// The time from their first return until they were received again, shortest first.
    pub sorted: Vec<Ms>,
    /// What broke an invariant, in words.
    pub violations: Vec<String>,
}

/// The table.
///
/// # Errors
///
/// When a run cannot be made.
pub fn slow(work: &Work<'_>) -> Result<Table, DriveError> {
    let mut rows = Vec::new();
    let mut violations = Vec::new();
    let variants = [Variant::AdaptiveLimit, Variant::AdaptiveLimitAndVisibility];
    work.plan(variants.len() as u64 * u64::from(MESSAGES));
    for variant in variants {
        let waits = waits(variant, work)?;
        let at = |share| table::time(table::quantile(&waits.sorted, share));
        let count = units::count(waits.sorted.len() as u64);
        rows.push(vec![variant.name().to_owned(), count, at(0.5), at(0.99), at(1.0)]);
        violations.extend(waits.violations);
    }
    Ok(Table {
        about: "Perseus takes 15 s for a request: of the thousand messages of an invocation six hundred fit"
            .to_owned(),
        head: vec!["function", "messages that met the cutoff", "extra wait: median", "99 %", "longest"],
        rows,
        violations,
    })
}

/// How long messages wait with this variant if they were unsent at the cutoff.
///
/// # Errors
///
/// When the run cannot be made.
pub fn waits(variant: Variant, work: &Work<'_>) -> Result<Waits, DriveError> {
    let faults = FaultSchedule { latency: (14 * SECOND, SECOND), ..FaultSchedule::default() };
    // As many as ten environments receive at once, so that a message waits for its visibility timeout alone.
    let mut plan = plan(MESSAGES, 5 * SECOND, faults);
    plan.set("REQUEST_TIMEOUT", "30s");
    plan.set("BATCH_MAX_RECORDS", 20);
    let outcome = run(plan, variant, work)?;
    Ok(Waits { sorted: first_waits(&outcome.history), violations: outcome.violations })
}

fn first_waits(history: &History) -> Vec<Ms> {
    let first = history.waits.iter().filter(|(receive, _)| *receive == 1);
    let mut waits: Vec<Ms> = first.map(|(_, wait)| *wait).collect();
    waits.sort_unstable();
    waits
}
