//! Messages that Perseus will never take: what they cost themselves, and those that travel with them.

use super::{Means, SECOND, Table, plan, run, table};
use crate::{
    drive::DriveError,
    page,
    scenario::dead_letter_queue,
    simulation::Outcome,
    weather::{Climate, Poison},
};

const MESSAGES: u32 = 300_000;

/// The table.
///
/// # Errors
///
/// When a run cannot be made.
pub fn poison() -> Result<Table, DriveError> {
    let none = posted(0.0, Poison::WithItsRequest, false)?.report.totals.requests;
    let mut rows = Vec::new();
    let mut violations = Vec::new();
    for (how, poison) in [("with its whole request", Poison::WithItsRequest), ("by name", Poison::ByName)] {
        for direct in [false, true] {
            let outcome = posted(0.001, poison, direct)?;
            rows.push(row(&format!("{how}, {}", if direct { "set" } else { "not set" }), &outcome, none));
            violations.extend(outcome.violations);
        }
    }
    Ok(Table {
        about: "One message in a thousand is poison, at 1,000 messages/s".to_owned(),
        head: vec![
            "poison is refused, `REJECTED_QUEUE_URL` is",
            "poison",
            "more requests for each",
            "good neighbours delayed",
            "delay: median",
            "99 %",
            "longest",
        ],
        rows,
        violations,
    })
}

fn posted(share: f64, poison: Poison, direct: bool) -> Result<Outcome, DriveError> {
    let climate = Climate { latency: (50, 50), poison, ..Climate::default() };
    let mut plan = plan(MESSAGES, MESSAGES / 1_000 * SECOND, climate);
    plan.kind.poison = share;
    if direct {
        plan.set("REJECTED_QUEUE_URL", dead_letter_queue(false));
    }
    run(plan, Means::Both)
}

fn row(name: &str, outcome: &Outcome, without: u64) -> Vec<String> {
    let poison = outcome.history.messages.iter().filter(|life| life.is_poison).count();
    let more = outcome.report.totals.requests.saturating_sub(without);
    #[expect(clippy::cast_precision_loss, reason = "a rounded figure is what is wanted")]
    let each = format!("{:.1}", more as f64 / poison.max(1) as f64);
    let mut delays = outcome.history.neighbours.clone();
    delays.sort_unstable();
    let at = |share| table::time(table::quantile(&delays, share));
    let count = |number: usize| page::count(number as u64);
    let delayed = count(delays.len());
    vec![name.to_owned(), count(poison), each, delayed, at(0.5), at(0.99), at(1.0)]
}
