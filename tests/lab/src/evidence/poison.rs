//! What poison costs: messages that Perseus never accepts, and the good messages that travel with them.

use super::{SECOND, Table, Variant, Work, plan, run, table};
use crate::{
    clock::Ms,
    faults::{FaultSchedule, Poison},
    report::{Outcome, units},
    run::drive::DriveError,
    sqs::names::dead_letter_queue,
};

const MESSAGES: u32 = 300_000;

/// How Perseus refuses poison, and how it gets to the dead-letter queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoisonCase {
    /// By its id, instead of the whole request.
    pub by_name: bool,
    /// The function sends it there, instead of the queue's redrive policy.
    pub direct: bool,
}

/// What poison cost.
#[derive(Clone, Debug, PartialEq)]
pub struct PoisonCost {
    /// The number of poison messages.
    pub poison: usize,
    /// Requests in addition to those of a run without poison.
    pub more_requests: u64,
    /// How much later good messages were delivered because of poison in their request, shortest first.
    pub delays: Vec<Ms>,
    /// What broke an invariant, in words.
    pub violations: Vec<String>,
}

/// The table.
///
/// # Errors
///
/// When a run cannot be made.
pub fn poison(work: &Work<'_>) -> Result<Table, DriveError> {
    // Four cases, each with poison and without.
    work.plan(8 * u64::from(MESSAGES));
    let mut rows = Vec::new();
    let mut violations = Vec::new();
    for by_name in [false, true] {
        for direct in [false, true] {
            let poison_cost = poison_cost(MESSAGES, PoisonCase { by_name, direct }, work)?;
            rows.push(row(by_name, direct, &poison_cost));
            violations.extend(poison_cost.violations);
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

/// What poison costs if it is one message in a thousand.
///
/// # Errors
///
/// When a run cannot be made.
pub fn poison_cost(messages: u32, case: PoisonCase, work: &Work<'_>) -> Result<PoisonCost, DriveError> {
    let without = posted(messages, 0.0, case, work)?.report.totals.requests;
    let outcome = posted(messages, 0.001, case, work)?;
    let mut delays = outcome.history.neighbours.clone();
    delays.sort_unstable();
    Ok(PoisonCost {
        poison: outcome.history.messages.iter().filter(|message| message.is_poison).count(),
        more_requests: outcome.report.totals.requests.saturating_sub(without),
        delays,
        violations: outcome.violations,
    })
}

fn posted(messages: u32, share: f64, case: PoisonCase, work: &Work<'_>) -> Result<Outcome, DriveError> {
    let poison = if case.by_name { Poison::ByName } else { Poison::WholeRequest };
    let faults = FaultSchedule { latency: (50, 50), poison, ..FaultSchedule::default() };
    let mut plan = plan(messages, messages / 1_000 * SECOND, faults);
    plan.message.poison = share;
    if case.direct {
        plan.set("REJECTED_QUEUE_URL", dead_letter_queue(false));
    }
    run(plan, Variant::AdaptiveLimitAndVisibility, work)
}

fn row(by_name: bool, direct: bool, poison_cost: &PoisonCost) -> Vec<String> {
    let how = if by_name { "by name" } else { "with its whole request" };
    let name = format!("{how}, {}", if direct { "set" } else { "not set" });
    #[expect(clippy::cast_precision_loss, reason = "a rounded figure is what is wanted")]
    let each = format!("{:.1}", poison_cost.more_requests as f64 / poison_cost.poison.max(1) as f64);
    let at = |share| table::time(table::quantile(&poison_cost.delays, share));
    let count = |number: usize| units::count(number as u64);
    vec![name, count(poison_cost.poison), each, count(poison_cost.delays.len()), at(0.5), at(0.99), at(1.0)]
}
