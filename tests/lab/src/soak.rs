//! Many simulated runs, added up.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde::Serialize;

use crate::{
    evidence::Table,
    report::{Report, units},
    run::{
        drive::DriveError,
        invariants::{Causes, Status},
    },
    scenario::{Options, Scenario},
    simulation::simulate,
};

/// The results of many runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Soak {
    /// The runs of each scenario, added up.
    pub rows: Vec<Row>,
    /// The runs that broke an invariant.
    pub failures: Vec<Failure>,
    /// The invariants that no run exercised.
    pub not_exercised: BTreeSet<&'static str>,
}

/// The runs of one scenario, added up.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// The scenario's name.
    pub scenario: &'static str,
    /// Runs, each with its own seed.
    pub seeds: u64,
    /// Invocations.
    pub invocations: u64,
    /// Messages sent.
    pub messages: u64,
    /// Requests that reached Perseus.
    pub requests: u64,
    /// Messages that were deleted and never committed.
    pub lost: u64,
    /// Messages committed again, by cause.
    pub duplicates: Causes,
    /// Dead letters that were not poison: outages, crashes or their group used up all their receives.
    pub healthy_dead_letters: u64,
    /// The least time between an answer and its deadline, in milliseconds.
    pub worst_headroom_ms: Option<u32>,
    /// The simulated time, in hours.
    pub hours: f64,
}

/// A run that broke an invariant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// What it broke, in words.
    pub violations: Vec<String>,
    /// The command that repeats the run.
    pub replay: String,
}

/// Simulates every scenario with `seeds` seeds from `first` on, on `threads` threads, and calls `done` after each run.
///
/// # Errors
///
/// When a run cannot be made.
pub fn soak(
    scenarios: &[Scenario],
    first: u64,
    seeds: u64,
    options: &Options,
    threads: usize,
    done: impl Fn() + Sync,
) -> Result<Soak, DriveError> {
    let jobs: Vec<(Scenario, u64)> = (first..first.saturating_add(seeds))
        .flat_map(|seed| scenarios.iter().map(move |scenario| (*scenario, seed)))
        .collect();
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::with_capacity(jobs.len()));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, job)) = claim(&next, &jobs) {
                    let outcome = simulate(job.0, job.1, options);
                    let outcome = outcome.map(|outcome| (outcome.report, outcome.violations));
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((index, outcome));
                    done();
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Threads finish in any order: the result must be the same for the same seeds.
    outcomes.sort_by_key(|(index, _)| *index);
    let mut soak = Soak::default();
    for (_, outcome) in outcomes {
        let (report, violations) = outcome?;
        soak.add(&report, violations);
    }
    Ok(soak)
}

fn claim<'a>(next: &AtomicUsize, jobs: &'a [(Scenario, u64)]) -> Option<(usize, &'a (Scenario, u64))> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    jobs.get(index).map(|job| (index, job))
}

impl Soak {
    /// All rows in one.
    pub fn total(&self) -> Row {
        let mut total = Row { scenario: "all", ..Row::default() };
        self.rows.iter().for_each(|row| total.add(row));
        total
    }

    /// The rows and their total.
    pub fn table(&self) -> Table {
        let total = self.total();
        let about = format!(
            "{}, each with a seed of its own, {}: {:.0} simulated hours, {} requests. The four columns from \
             `queue` to `other` are duplicates for each million messages, by cause.",
            units::counted(total.seeds, "run"),
            if total.lost == 0 { "and none lost a message" } else { "and some lost messages" },
            total.hours,
            units::count(total.requests)
        );
        let rows = self.rows.iter().chain([&total]).map(Row::cells).collect();
        Table { about, head: HEAD.to_vec(), rows, violations: Vec::new() }
    }

    fn add(&mut self, report: &Report, violations: Vec<String>) {
        let of_run = report.invariants.iter().filter(|one| one.status == Status::NotExercised);
        let of_run: BTreeSet<&str> = of_run.map(|one| one.name).collect();
        match self.rows.is_empty() {
            true => self.not_exercised = of_run,
            false => self.not_exercised.retain(|name| of_run.contains(name)),
        }
        let row = Row::of(report);
        match self.rows.iter_mut().find(|known| known.scenario == row.scenario) {
            Some(known) => known.add(&row),
            None => self.rows.push(row),
        }
        if !violations.is_empty() {
            self.failures.push(Failure { violations, replay: report.replay.clone() });
        }
    }
}

impl Row {
    fn of(report: &Report) -> Self {
        let totals = &report.totals;
        Self {
            scenario: report.scenario,
            seeds: 1,
            invocations: totals.invocations,
            messages: totals.messages,
            requests: totals.requests,
            lost: totals.lost,
            duplicates: totals.duplicates,
            healthy_dead_letters: totals.healthy_dead_letters,
            worst_headroom_ms: totals.worst_headroom_ms,
            hours: totals.seconds / 3_600.0,
        }
    }

    fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.invocations += other.invocations;
        self.messages += other.messages;
        self.requests += other.requests;
        self.lost += other.lost;
        self.duplicates.redelivered += other.duplicates.redelivered;
        self.duplicates.reply_lost += other.duplicates.reply_lost;
        self.duplicates.cut_off += other.duplicates.cut_off;
        self.duplicates.trial += other.duplicates.trial;
        self.duplicates.other += other.duplicates.other;
        self.healthy_dead_letters += other.healthy_dead_letters;
        self.worst_headroom_ms =
            [self.worst_headroom_ms, other.worst_headroom_ms].into_iter().flatten().min();
        self.hours += other.hours;
    }

    fn per_million(&self, duplicates: u64) -> u64 {
        let messages = self.messages.max(1);
        // Rounded.
        (duplicates * 1_000_000 + messages / 2) / messages
    }

    fn cells(&self) -> Vec<String> {
        let counts = [self.seeds, self.invocations, self.messages, self.lost].map(units::count);
        let Causes { redelivered, reply_lost, cut_off, trial, other } = self.duplicates;
        let duplicates = [redelivered, reply_lost, cut_off, trial, other]
            .map(|cause| units::count(self.per_million(cause)));
        let headroom = self.worst_headroom_ms;
        let headroom =
            headroom.map_or_else(|| "-".to_owned(), |ms| format!("{} ms", units::count(ms.into())));
        [vec![self.scenario.to_owned()], counts.to_vec(), duplicates.to_vec(), vec![headroom]].concat()
    }
}

const HEAD: [&str; 11] = [
    "scenario",
    "runs",
    "invoked",
    "messages",
    "lost",
    "queue",
    "reply lost",
    "cut off",
    "trial",
    "other",
    "worst headroom",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invariant_that_one_run_exercises_is_exercised() {
        let options = Options { messages: Some(30), ..Options::default() };
        let calm = soak(&[Scenario::Calm], 1, 1, &options, 1, || {}).expect("a run");
        assert!(calm.not_exercised.contains("order within groups"), "{:?}", calm.not_exercised);
        let both = soak(&[Scenario::Calm, Scenario::Fifo], 1, 1, &options, 1, || {}).expect("two runs");
        assert!(!both.not_exercised.contains("order within groups"), "{:?}", both.not_exercised);
        assert!(!both.not_exercised.is_empty());
    }

    #[test]
    fn the_table_adds_up() {
        let row = |scenario, messages, lost, headroom| Row {
            scenario,
            seeds: 1,
            messages,
            lost,
            duplicates: Causes { reply_lost: 5, ..Causes::default() },
            worst_headroom_ms: Some(headroom),
            ..Row::default()
        };
        let soak = Soak {
            rows: vec![row("calm", 1_000_000, 0, 700), row("flaky", 500_000, 1, 900)],
            ..Soak::default()
        };
        let total = soak.total();
        assert_eq!((total.messages, total.lost, total.worst_headroom_ms), (1_500_000, 1, Some(700)));
        let table = soak.table().to_string();
        assert!(table.contains("| calm | 1 | 0 | 1,000,000 | 0 | 0 | 5 | 0 | 0 | 0 | 700 ms |"), "{table}");
        assert!(table.contains("| flaky | 1 | 0 | 500,000 | 1 | 0 | 10 | 0 | 0 | 0 | 900 ms |"), "{table}");
        assert!(
            table.contains("2\u{a0}runs, each with a seed of its own, and some lost messages"),
            "{table}"
        );
    }
}
