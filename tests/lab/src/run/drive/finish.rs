//! The end of a run: everything that happened, in one value.

use super::Drive;
use crate::{
    run::{
        history::{History, MessageHistory},
        series::Series,
    },
    scenario::Plan,
    simulated_perseus::{Counters, Findings},
};

/// A run that is over.
#[derive(Debug)]
pub(crate) struct FinishedRun {
    pub(crate) plan: Plan,
    pub(crate) history: History,
    pub(crate) series: Series,
    /// What the simulated Perseus counted.
    pub(crate) counters: Counters,
    pub(crate) seconds: f64,
    /// How many environments were started.
    pub(crate) environments: u32,
    pub(crate) visibility_changes: u32,
}

impl Drive {
    pub(super) fn finish(mut self) -> FinishedRun {
        let now = self.clock.now();
        self.record(now);
        let messages = self.message_histories();
        let findings = self.perseus.close();
        let history = History {
            messages: with_commits(messages, &findings),
            invocations: self.invocations,
            exchanges: findings.exchanges,
            waits: self.waits,
            neighbours: findings.neighbours,
            repeats: findings.ledger.repeats,
            violation_count: findings.violation_count
                + u32::try_from(self.violations.len()).unwrap_or(u32::MAX),
            violations: [findings.violations, self.violations].concat(),
            key_faults: findings.key_faults,
            key_fault_count: findings.key_fault_count,
            refusing: self.plan.faults.refusing(),
            changes: self.breaker.switch.into_changes(),
            probes: self.breaker.probes,
            outages: self.plan.faults.outages.iter().map(|outage| (outage.from, outage.until)).collect(),
            ended: now,
            rules: self.plan.rules,
        };
        FinishedRun {
            history,
            counters: self.recorder.total.clone(),
            series: self.recorder.series(),
            seconds: f64::from(now) / 1_000.0,
            environments: self.fleet.started(),
            visibility_changes: self.queue.counts().changes,
            plan: self.plan,
        }
    }

    /// Joins what the queue knows of each message with the run's own notes.
    fn message_histories(&self) -> Vec<MessageHistory> {
        let messages = self.queue.states().zip(0..).zip(&self.notes);
        messages
            .map(|(((state, receives, sent), number), notes)| MessageHistory {
                sent,
                group: self.messages.group(number),
                is_poison: self.messages.is_poison(number),
                state,
                deleted_too_early: notes.deleted_too_early,
                receives,
                excused_receives: notes.excused_receives,
                probed: notes.probed,
                redelivered: notes.redelivered,
                dead_lettered: notes.dead_lettered,
                dead_lettered_in: notes.dead_lettered_in,
                committed: None,
            })
            .collect()
    }
}

fn with_commits(messages: Vec<MessageHistory>, findings: &Findings) -> Vec<MessageHistory> {
    let committed = |number| findings.ledger.committed(number);
    messages
        .into_iter()
        .zip(0..)
        .map(|(message, number)| MessageHistory { committed: committed(number), ..message })
        .collect()
}
