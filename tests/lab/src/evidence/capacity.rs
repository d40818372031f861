//! A Perseus of limited capacity, shared by environments that cannot see each other.

use std::collections::HashMap;

use super::{SECOND, Table, Variant, Work, plan, run, table};
use crate::{
    clock::Ms,
    faults::FaultSchedule,
    report::{Outcome, units},
    run::{drive::DriveError, history::History},
};

/// The most requests that Perseus accepts at once.
const CAPACITY: usize = 30;
/// Messages in each request.
const RECORDS: u32 = 10;
/// Messages sent per second: as many as Perseus accepts at 100 ms for a request.
const RATE: u32 = 300 * RECORDS;
/// How long is measured, once all environments run.
const WINDOW: Ms = 30 * SECOND;

/// Who uses that capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapacityCase {
    /// How many environments.
    pub environments: usize,
    /// The `MAX_IN_FLIGHT` of each.
    pub limit: usize,
    /// The variant of the function.
    pub variant: Variant,
    /// How long Perseus takes for a request, on average.
    pub latency: Ms,
}

/// How the capacity was used.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    /// Messages that it commits in a second.
    pub throughput: f64,
    /// Requests that reach it in a second.
    pub offered: f64,
    /// Requests that it refuses in a second.
    pub refused: f64,
    /// The most requests that reached it in any second.
    pub most: usize,
    /// Jain's index of the environments' shares: 1 if they are equal, one nth if one of n has all.
    pub fairness: f64,
    /// What broke an invariant, in words.
    pub violations: Vec<String>,
}

/// The table for these numbers of environments and this latency.
///
/// # Errors
///
/// When a run cannot be made.
pub fn capacity(
    environments: &[usize],
    limits: &[usize],
    latency: Ms,
    work: &Work<'_>,
) -> Result<Table, DriveError> {
    // Each limit, and the adaptive one.
    let runs = limits.len() as u64 + 1;
    work.plan(environments.iter().map(|environments| runs * u64::from(messages(ready(*environments)))).sum());
    let mut rows = Vec::new();
    let mut violations = Vec::new();
    for &environments in environments {
        let mut best: Option<(usize, Usage)> = None;
        for &limit in limits {
            let fixed = usage(CapacityCase { environments, limit, variant: Variant::Plain, latency }, work)?;
            if best.as_ref().is_none_or(|(_, best)| fixed.throughput > best.throughput) {
                best = Some((limit, fixed));
            }
        }
        let adaptive =
            usage(CapacityCase { environments, limit: 10, variant: Variant::AdaptiveLimit, latency }, work)?;
        let count = units::count(environments as u64);
        if let Some((limit, fixed)) = best {
            rows.push(row(format!("{count}, the best fixed limit: {limit}"), &fixed));
        }
        rows.push(row(format!("{count}, adaptive limit"), &adaptive));
        violations.extend(adaptive.violations);
    }
    Ok(Table {
        about: format!(
            "Perseus takes {CAPACITY} requests of {} at once, and answers 429 to more",
            table::time(latency.into())
        ),
        head: vec![
            "environments",
            "messages/s",
            "requests/s",
            "of them refused",
            "most in a second",
            "Jain's index",
        ],
        rows,
        violations,
    })
}

fn row(name: String, usage: &Usage) -> Vec<String> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is not negative")]
    let figures =
        [usage.throughput, usage.offered, usage.refused].map(|figure| units::count(figure.round() as u64));
    let most = units::count(usage.most as u64);
    [vec![name], figures.to_vec(), vec![most, format!("{:.2}", usage.fairness)]].concat()
}

/// How the capacity is used in one case.
///
/// # Errors
///
/// When the run cannot be made.
pub fn usage(case: CapacityCase, work: &Work<'_>) -> Result<Usage, DriveError> {
    let CapacityCase { environments, limit, variant, latency } = case;
    let faults = FaultSchedule {
        latency: (latency / 2, latency / 2),
        capacity: Some(CAPACITY),
        omits_retry_after: true,
        ..FaultSchedule::default()
    };
    let ready = ready(environments);
    // All are sent at once, so that every environment always has work.
    let mut plan = plan(messages(ready), SECOND, faults);
    plan.mapping.max_concurrency = environments;
    plan.mapping.batch_size = 100;
    plan.queue.max_receives = 1_000;
    plan.give_up = ready + WINDOW;
    plan.set("BATCH_MAX_RECORDS", RECORDS);
    plan.set("MAX_IN_FLIGHT", limit);
    Ok(measure(run(plan, variant, work)?, environments, ready))
}

/// When this many environments run: Lambda adds five in a second.
fn ready(environments: usize) -> Ms {
    Ms::try_from(environments).unwrap_or(Ms::MAX) / 5 * SECOND + 20 * SECOND
}

/// As many messages as Perseus accepts until the end of the window.
fn messages(ready: Ms) -> u32 {
    RATE * (ready + WINDOW) / SECOND
}

fn measure(outcome: Outcome, environments: usize, from: Ms) -> Usage {
    let history = &outcome.history;
    let during = |time: Ms| (from..from + WINDOW).contains(&time);
    let mut shares: HashMap<u32, u32> = HashMap::new();
    for committed in history.messages.iter().filter_map(|message| message.committed) {
        if during(committed.first) {
            let invocation = history.exchanges[committed.exchange as usize].invocation;
            *shares.entry(history.invocations[invocation as usize].environment).or_default() += 1;
        }
    }
    let committed: u32 = shares.values().sum();
    let offered = history.exchanges.iter().filter(|exchange| during(exchange.arrived)).count();
    let (committed, offered) = (f64::from(committed), f64::from(u32::try_from(offered).unwrap_or(u32::MAX)));
    let squares: f64 = shares.values().map(|share| f64::from(*share).powi(2)).sum();
    let seconds = f64::from(WINDOW) / 1_000.0;
    let environments = f64::from(u32::try_from(environments).unwrap_or(u32::MAX));
    Usage {
        throughput: committed / seconds,
        offered: offered / seconds,
        // At the start of the window, requests are committed that arrived before it: hence the lower bound of 0.
        refused: (offered - committed / f64::from(RECORDS)).max(0.0) / seconds,
        most: busiest(history),
        fairness: committed.powi(2) / (environments * squares).max(1.0),
        violations: outcome.violations,
    }
}

/// The requests of the second in which most arrived.
fn busiest(history: &History) -> usize {
    let mut seconds: HashMap<Ms, usize> = HashMap::new();
    history.exchanges.iter().for_each(|exchange| *seconds.entry(exchange.arrived / SECOND).or_default() += 1);
    seconds.into_values().max().unwrap_or_default()
}
