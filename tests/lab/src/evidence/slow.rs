//! A Perseus so slow that some of each batch meets the cutoff unsent: how long that then waits.

use super::{MINUTE, Means, SECOND, Table, plan, run, table};
use crate::{clock::Ms, drive::DriveError, history::History, page, weather::Climate};

/// The table.
///
/// # Errors
///
/// When a run cannot be made.
pub fn slow() -> Result<Table, DriveError> {
    let mut rows = Vec::new();
    let mut violations = Vec::new();
    for means in [Means::Governor, Means::Both] {
        // Three of five rounds of ten requests fit into 60 s.
        let climate = Climate { latency: (14 * SECOND, SECOND), ..Climate::default() };
        let mut plan = plan(60_000, 20 * MINUTE, climate);
        plan.set("REQUEST_TIMEOUT", "30s");
        plan.set("BATCH_MAX_RECORDS", 20);
        let outcome = run(plan, means)?;
        let waits = waits(&outcome.history);
        let at = |share| table::time(table::quantile(&waits, share));
        let count = page::count(waits.len() as u64);
        rows.push(vec![means.name().to_owned(), count, at(0.5), at(0.99), at(1.0)]);
        violations.extend(outcome.violations);
    }
    Ok(Table {
        about: "Perseus takes 15 s for a request, so that three rounds of requests fit into an invocation of five"
            .to_owned(),
        head: vec!["function", "messages that met the cutoff", "extra wait: median", "99 %", "longest"],
        rows,
        violations,
    })
}

/// How long after the answer that returned them for the first time messages were received again, shortest first.
fn waits(history: &History) -> Vec<Ms> {
    let mut waits: Vec<Ms> =
        history.waits.iter().filter(|(receive, _)| *receive == 1).map(|(_, wait)| *wait).collect();
    waits.sort_unstable();
    waits
}
