//! Outages: what they cost while they last, and how long after.

use super::{MINUTE, Means, Table, plan, run, table};
use crate::{
    clock::Ms,
    drive::DriveError,
    history::{History, Life},
    page,
    simulation::Outcome,
    weather::{Climate, Outage, OutageKind},
};

/// Messages flow for this long before an outage, and go on for as long after it.
const MARGIN: Ms = 2 * MINUTE;

/// What an outage has cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// Messages in the dead-letter queue, all of them good.
    pub dead: u64,
    /// Requests sent into the outage.
    pub requests: u64,
    /// Invocations begun in it.
    pub invocations: u64,
    /// How long these took together, in milliseconds.
    pub billed: u64,
    /// How long after the outage each share of what was sent before its end was delivered: half, 99 %, all.
    pub drained: [Ms; 3],
    /// What broke an invariant, in words.
    pub violations: Vec<String>,
}

/// The table of outages of these lengths.
///
/// # Errors
///
/// When a run cannot be made.
pub fn outages(lengths: &[Ms], rate: u32) -> Result<Table, DriveError> {
    let mut rows = Vec::new();
    let mut violations = Vec::new();
    for &length in lengths {
        for means in Means::ALL {
            let cost = outage(length, rate, means)?;
            let drained = cost.drained.map(|ms| table::time(ms.into()));
            let first = format!("{}, {}", table::time(length.into()), means.name());
            let figures = [page::count(cost.dead), page::count(cost.requests), page::count(cost.invocations)];
            let billed = page::count(cost.billed / 1_000);
            rows.push([vec![first], figures.to_vec(), vec![billed], drained.to_vec()].concat());
            violations.extend(cost.violations);
        }
    }
    Ok(Table {
        about: format!("Perseus answers 503 for a while, at {} messages/s", page::count(rate.into())),
        head: vec![
            "outage",
            "good messages dead",
            "requests into it",
            "invocations in it",
            "billed s in it",
            "half delivered after",
            "99 %",
            "all",
        ],
        rows,
        violations,
    })
}

/// An outage of this length, met with these means.
///
/// # Errors
///
/// When the run cannot be made.
pub fn outage(length: Ms, rate: u32, means: Means) -> Result<Cost, DriveError> {
    let (from, until) = (MARGIN, MARGIN + length);
    let over = until + MARGIN;
    let climate = Climate {
        latency: (50, 50),
        outages: vec![Outage { from, until, kind: OutageKind::Unavailable }],
        ..Climate::default()
    };
    let outcome = run(plan(over / 1_000 * rate, over, climate), means)?;
    Ok(cost(outcome, from, until))
}

fn cost(outcome: Outcome, from: Ms, until: Ms) -> Cost {
    let History { messages, invocations, exchanges, .. } = &outcome.history;
    let during = |time: Ms| (from..until).contains(&time);
    let met = || invocations.iter().filter(|invocation| during(invocation.started));
    Cost {
        dead: outcome.report.totals.healthy_dead_letters,
        requests: exchanges.iter().filter(|exchange| during(exchange.arrived)).count() as u64,
        invocations: met().count() as u64,
        billed: met().map(|invocation| u64::from(invocation.took)).sum(),
        drained: drained(messages, until),
        violations: outcome.violations,
    }
}

fn drained(messages: &[Life], until: Ms) -> [Ms; 3] {
    let waiting = messages.iter().filter(|life| life.sent < until);
    let delivered = waiting.filter_map(|life| Some(life.committed?.first)).filter(|first| *first >= until);
    let mut delays: Vec<Ms> = delivered.map(|first| first - until).collect();
    delays.sort_unstable();
    let last = delays.len().saturating_sub(1);
    [last / 2, last - last / 100, last].map(|place| delays.get(place).copied().unwrap_or_default())
}
