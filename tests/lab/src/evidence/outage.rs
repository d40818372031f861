//! What outages cost, during and after.

use super::{MINUTE, Table, Variant, Work, plan, run, table};
use crate::{
    clock::Ms,
    faults::{FaultSchedule, Outage, OutageKind},
    report::{Outcome, units},
    run::{
        drive::DriveError,
        history::{History, MessageHistory, ProbeEnd},
    },
    sqs::names::dead_letter_queue,
};

/// Messages are sent for this long before the outage and after it.
const MARGIN: Ms = 2 * MINUTE;

/// An outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutageCase {
    /// Its kind.
    pub kind: OutageKind,
    /// How long it lasts.
    pub length: Ms,
    /// Messages sent in a second.
    pub rate: u32,
    /// Whether the queue delivers the oldest message first, even if it has just come back.
    pub oldest_first: bool,
}

impl OutageCase {
    /// How long messages are sent.
    fn over(self) -> Ms {
        self.length + 2 * MARGIN
    }

    fn messages(self) -> u32 {
        self.over() / 1_000 * self.rate
    }
}

/// After this time of the outage the cost of noticing it is paid.
const NOTICED: Ms = 3 * MINUTE;

const HEAD: [&str; 10] = [
    "outage",
    "good messages dead",
    "requests in it",
    "after 3 min",
    "invocations in it",
    "billed s in it",
    "after 3 min",
    "half delivered after",
    "99 %",
    "all",
];

/// What an outage cost.
#[derive(Clone, Debug, PartialEq)]
pub struct OutageCost {
    /// Messages in the dead-letter queue, all of them good.
    pub dead: u64,
    /// Requests sent during the outage.
    pub requests: u64,
    /// Those after its first three minutes.
    pub late_requests: u64,
    /// Invocations started during it, the prober's too.
    pub invocations: u64,
    /// The sum of their durations, in milliseconds.
    pub billed: u64,
    /// Of those after its first three minutes.
    pub late_billed: u64,
    /// How long after the outage the messages sent before its end were delivered: half of them, 99 %, all.
    pub drained: [Ms; 3],
    /// What broke an invariant, in words.
    pub violations: Vec<String>,
}

/// The table of outages of these lengths: 503.
///
/// # Errors
///
/// When a run cannot be made.
pub fn outages(
    lengths: &[Ms],
    rate: u32,
    variants: &[Variant],
    oldest_first: bool,
    work: &Work<'_>,
) -> Result<Table, DriveError> {
    let about = format!("Perseus answers 503 for a while, at {} messages/s", units::count(rate.into()));
    let case = |&length| {
        (
            table::time(f64::from(length)),
            OutageCase { kind: OutageKind::Unavailable, length, rate, oldest_first },
        )
    };
    costs(about, lengths.iter().map(case), variants, work)
}

/// The table of all kinds of outages, of this length each. Refused connections are no requests.
///
/// # Errors
///
/// When a run cannot be made.
pub fn kinds(length: Ms, rate: u32, variants: &[Variant], work: &Work<'_>) -> Result<Table, DriveError> {
    let about = format!(
        "Perseus accepts nothing for {}, at {} messages/s; rejected records go to the dead-letter queue",
        table::time(length.into()),
        units::count(rate.into())
    );
    let case =
        |&kind: &OutageKind| (kind.name().to_owned(), OutageCase { kind, length, rate, oldest_first: false });
    costs(about, OutageKind::OF_PERSEUS.iter().map(case), variants, work)
}

fn costs(
    about: String,
    cases: impl Iterator<Item = (String, OutageCase)> + Clone,
    variants: &[Variant],
    work: &Work<'_>,
) -> Result<Table, DriveError> {
    let messages: u64 = cases.clone().map(|(_, case)| u64::from(case.messages())).sum();
    work.plan(messages * variants.len() as u64);
    let mut rows = Vec::new();
    let mut violations = Vec::new();
    for (name, case) in cases {
        for &variant in variants {
            let cost = outage(case, variant, work)?;
            rows.push(row(format!("{name}, {}", variant.name()), &cost));
            // The plain variant breaks invariants in outages. The adaptive limit is there to prevent that.
            violations.extend(cost.violations.into_iter().filter(|_| variant != Variant::Plain));
        }
    }
    Ok(Table { about, head: HEAD.to_vec(), rows, violations })
}

fn row(name: String, cost: &OutageCost) -> Vec<String> {
    let figures = [
        cost.dead,
        cost.requests,
        cost.late_requests,
        cost.invocations,
        cost.billed / 1_000,
        cost.late_billed / 1_000,
    ];
    let figures = figures.map(units::count);
    let drained = cost.drained.map(|ms| table::time(ms.into()));
    [vec![name], figures.to_vec(), drained.to_vec()].concat()
}

/// What an outage costs this variant.
///
/// # Errors
///
/// When the run cannot be made.
pub fn outage(case: OutageCase, variant: Variant, work: &Work<'_>) -> Result<OutageCost, DriveError> {
    let OutageCase { kind, length, oldest_first, .. } = case;
    let (from, until) = (MARGIN, MARGIN + length);
    let over = case.over();
    let faults = FaultSchedule {
        latency: (50, 50),
        outages: vec![Outage { from, until, kind }],
        ..FaultSchedule::default()
    };
    let mut plan = plan(case.messages(), over, faults);
    plan.queue.oldest_first = oldest_first;
    if kind.refuses() {
        plan.set("REJECTED_QUEUE_URL", dead_letter_queue(false));
    }
    Ok(cost(run(plan, variant, work)?, from, until))
}

fn cost(outcome: Outcome, from: Ms, until: Ms) -> OutageCost {
    let History { messages, invocations, probes, exchanges, .. } = &outcome.history;
    let during = |time: &Ms| (from..until).contains(time);
    let is_late = |time: Ms| time >= from + NOTICED;
    let requests = || exchanges.iter().map(|exchange| exchange.arrived).filter(during);
    let probed = probes.iter().filter(|probe| probe.end != ProbeEnd::Missing);
    let probed = probed.map(|probe| (probe.started, probe.took));
    let met = invocations.iter().map(|invocation| (invocation.started, invocation.took)).chain(probed);
    let met: Vec<(Ms, Ms)> = met.filter(|(started, _)| during(started)).collect();
    let billed = |met: &(Ms, Ms)| u64::from(met.1);
    OutageCost {
        dead: outcome.report.totals.healthy_dead_letters,
        requests: requests().count() as u64,
        late_requests: requests().filter(|arrived| is_late(*arrived)).count() as u64,
        invocations: met.len() as u64,
        billed: met.iter().map(billed).sum(),
        late_billed: met.iter().filter(|(started, _)| is_late(*started)).map(billed).sum(),
        drained: drained(messages, until),
        violations: outcome.violations,
    }
}

fn drained(messages: &[MessageHistory], until: Ms) -> [Ms; 3] {
    let waiting = messages.iter().filter(|message| message.sent < until);
    let delivered =
        waiting.filter_map(|message| Some(message.committed?.first)).filter(|first| *first >= until);
    let mut delays: Vec<Ms> = delivered.map(|first| first - until).collect();
    delays.sort_unstable();
    let last = delays.len().saturating_sub(1);
    [last / 2, last - last / 100, last].map(|index| delays.get(index).copied().unwrap_or_default())
}
