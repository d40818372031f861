//! What a run has come to, once it is over.

use super::Drive;
use crate::{
    history::{History, Life},
    ingest::{Findings, Tally},
    invariants,
    report::{Report, Totals, named},
};

impl Drive {
    /// Ends the run: its history, and the report of it.
    pub(super) fn finish(mut self) -> (History, Report) {
        let now = self.clock.now();
        self.record(now);
        let lives = self.lives();
        let findings = self.ingest.close();
        let history = History {
            messages: with_commits(lives, &findings),
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
            refusing: self.plan.climate.refusing(),
            rules: self.plan.rules,
        };
        let changes = self.queue.counts().changes;
        let totals = Totals::of(&history, self.fleet.started().into(), f64::from(now) / 1_000.0);
        let totals = Totals { visibility_changes: changes.into(), ..totals };
        let report = Report {
            scenario: self.plan.scenario.name(),
            about: self.plan.scenario.about(),
            mode: self.plan.mode,
            seed: self.plan.seed,
            replay: self.plan.replay.clone(),
            configuration: self.plan.settings(),
            totals: with_tally(totals, &self.recorder.total),
            series: self.recorder.series(),
            invariants: invariants::check(&history),
        };
        (history, report)
    }

    /// Every message as the queue and the notes have it.
    fn lives(&self) -> Vec<Life> {
        let messages = self.queue.places().zip(0..).zip(&self.notes);
        messages
            .map(|(((place, receives, sent), number), note)| Life {
                sent,
                group: self.messages.group(number),
                is_poison: self.messages.is_poison(number),
                place,
                deleted_too_early: note.deleted_too_early,
                receives,
                hindered: note.hindered,
                copied: note.copied,
                dead_lettered: note.dead_lettered,
                dead_lettered_in: note.dead_lettered_in,
                committed: None,
            })
            .collect()
    }
}

fn with_commits(lives: Vec<Life>, findings: &Findings) -> Vec<Life> {
    let committed = |number| findings.ledger.committed(number);
    lives.into_iter().zip(0..).map(|(life, number)| Life { committed: committed(number), ..life }).collect()
}

fn with_tally(totals: Totals, tally: &Tally) -> Totals {
    Totals {
        requests_by_end: named(&tally.ended),
        retries_by_end: named(&tally.retried),
        requests_at_once: tally.load,
        age_p50_ms: tally.ages.at(0.5),
        age_p95_ms: tally.ages.at(0.95),
        age_p99_ms: tally.ages.at(0.99),
        ..totals
    }
}
