//! A Perseus of known capacity, and environments that cannot see each other.

use std::collections::HashMap;

use super::{MINUTE, Means, SECOND, Table, plan, run};
use crate::{clock::Ms, drive::DriveError, page, simulation::Outcome, weather::Climate};

/// Requests that Perseus takes at once.
const CAPACITY: usize = 30;
/// Each takes about 100 ms and carries ten messages.
const RECORDS: u32 = 10;
const RATE: u32 = 300 * RECORDS;
/// What is measured, once all environments are there.
const WINDOW: Ms = MINUTE;

/// How a Perseus of known capacity is used.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// Messages that it commits in a second.
    pub throughput: f64,
    /// Requests that reach it in a second.
    pub offered: f64,
    /// Requests that it turns away in a second.
    pub refused: f64,
    /// Jain's index of the environments' shares: 1 if they are equal, one nth if one of n has all.
    pub fairness: f64,
    /// What broke an invariant, in words.
    pub violations: Vec<String>,
}

/// The table for these numbers of environments.
///
/// # Errors
///
/// When a run cannot be made.
pub fn capacity(environments: &[usize], limits: &[usize]) -> Result<Table, DriveError> {
    let mut rows = Vec::new();
    let mut violations = Vec::new();
    for &environments in environments {
        let mut best: Option<(usize, Use)> = None;
        for &limit in limits {
            let fixed = usage(environments, limit, Means::Plain)?;
            if best.as_ref().is_none_or(|(_, best)| fixed.throughput > best.throughput) {
                best = Some((limit, fixed));
            }
        }
        let governed = usage(environments, 10, Means::Governor)?;
        let count = page::count(environments as u64);
        if let Some((limit, fixed)) = best {
            rows.push(row(format!("{count}, the best fixed limit: {limit}"), &fixed));
        }
        rows.push(row(format!("{count}, governor"), &governed));
        violations.extend(governed.violations);
    }
    Ok(Table {
        about: format!("Perseus takes {CAPACITY} requests of 100 ms at once, and answers 429 to more"),
        head: vec!["environments", "messages/s", "requests/s", "of them refused", "Jain's index"],
        rows,
        violations,
    })
}

fn row(name: String, usage: &Use) -> Vec<String> {
    let figures = [usage.throughput, usage.offered, usage.refused].map(|figure| format!("{figure:.0}"));
    [vec![name], figures.to_vec(), vec![format!("{:.2}", usage.fairness)]].concat()
}

/// How so many environments use it, each with this limit.
///
/// # Errors
///
/// When the run cannot be made.
pub fn usage(environments: usize, limit: usize, means: Means) -> Result<Use, DriveError> {
    let climate =
        Climate { latency: (50, 50), capacity: Some(CAPACITY), is_curt: true, ..Climate::default() };
    // Lambda adds five in a second.
    let ready = Ms::try_from(environments).unwrap_or(Ms::MAX) / 5 * SECOND + 20 * SECOND;
    let messages = RATE * (ready + WINDOW) / SECOND;
    let mut plan = plan(messages, SECOND, climate);
    plan.mapping.max_concurrency = environments;
    plan.mapping.batch_size = 100;
    plan.queue.max_receives = 1_000;
    plan.give_up = ready + WINDOW;
    plan.set("BATCH_MAX_RECORDS", RECORDS);
    plan.set("MAX_IN_FLIGHT", limit);
    Ok(measure(run(plan, means)?, environments, ready))
}

fn measure(outcome: Outcome, environments: usize, from: Ms) -> Use {
    let history = &outcome.history;
    let during = |time: Ms| (from..from + WINDOW).contains(&time);
    let mut shares: HashMap<u32, u32> = HashMap::new();
    for committed in history.messages.iter().filter_map(|life| life.committed) {
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
    Use {
        throughput: committed / seconds,
        offered: offered / seconds,
        refused: (offered - committed / f64::from(RECORDS)) / seconds,
        fairness: committed.powi(2) / (environments * squares).max(1.0),
        violations: outcome.violations,
    }
}
