//! Messages that Perseus will never take: what they cost themselves, and those that travel with them.

use super::{Means, SECOND, Table, plan, run, table};
use crate::{
    clock::Ms,
    drive::DriveError,
    page,
    scenario::dead_letter_queue,
    simulation::Outcome,
    weather::{Climate, Poison},
};

const MESSAGES: u32 = 300_000;

/// How Perseus refuses poison, and where it then goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// By name; or else with the whole request.
    pub by_name: bool,
    /// Straight to the dead-letter queue; or else there by its receives.
    pub direct: bool,
}

/// What poison has cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Price {
    /// How many messages were poison.
    pub poison: usize,
    /// Requests beyond those of a run without poison.
    pub more_requests: u64,
    /// How much later than at their first chance good messages were delivered, shortest first.
    pub delays: Vec<Ms>,
    /// What broke an invariant, in words.
    pub violations: Vec<String>,
}

/// The table.
///
/// # Errors
///
/// When a run cannot be made.
pub fn poison() -> Result<Table, DriveError> {
    let mut rows = Vec::new();
    let mut violations = Vec::new();
    for by_name in [false, true] {
        for direct in [false, true] {
            let price = price(MESSAGES, Refusal { by_name, direct })?;
            rows.push(row(by_name, direct, &price));
            violations.extend(price.violations);
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

/// What one poisonous message in a thousand costs among so many.
///
/// # Errors
///
/// When a run cannot be made.
pub fn price(messages: u32, refusal: Refusal) -> Result<Price, DriveError> {
    let without = posted(messages, 0.0, refusal)?.report.totals.requests;
    let outcome = posted(messages, 0.001, refusal)?;
    let mut delays = outcome.history.neighbours.clone();
    delays.sort_unstable();
    Ok(Price {
        poison: outcome.history.messages.iter().filter(|life| life.is_poison).count(),
        more_requests: outcome.report.totals.requests.saturating_sub(without),
        delays,
        violations: outcome.violations,
    })
}

fn posted(messages: u32, share: f64, refusal: Refusal) -> Result<Outcome, DriveError> {
    let poison = if refusal.by_name { Poison::ByName } else { Poison::WithItsRequest };
    let climate = Climate { latency: (50, 50), poison, ..Climate::default() };
    let mut plan = plan(messages, messages / 1_000 * SECOND, climate);
    plan.kind.poison = share;
    if refusal.direct {
        plan.set("REJECTED_QUEUE_URL", dead_letter_queue(false));
    }
    run(plan, Means::Both)
}

fn row(by_name: bool, direct: bool, price: &Price) -> Vec<String> {
    let how = if by_name { "by name" } else { "with its whole request" };
    let name = format!("{how}, {}", if direct { "set" } else { "not set" });
    #[expect(clippy::cast_precision_loss, reason = "a rounded figure is what is wanted")]
    let each = format!("{:.1}", price.more_requests as f64 / price.poison.max(1) as f64);
    let at = |share| table::time(table::quantile(&price.delays, share));
    let count = |number: usize| page::count(number as u64);
    vec![name, count(price.poison), each, count(price.delays.len()), at(0.5), at(0.99), at(1.0)]
}
