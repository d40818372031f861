//! The figures of a whole run.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::run::{
    drive::FinishedRun,
    history::{End, MessageHistory, MessageState},
    invariants::{self, Causes},
    series::by_name,
};

/// The figures of a whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// From the first message to the last answer, in seconds of the run's own clock.
    pub seconds: f64,
    /// Messages sent to the queue.
    pub messages: u64,
    /// Messages Perseus committed at least once.
    pub delivered: u64,
    /// Messages deleted and not committed. There must be none.
    pub lost: u64,
    /// Messages still in the queue when the run ended.
    pub left: u64,
    /// Messages in the dead-letter queue.
    pub dead_letters: u64,
    /// Those of them that Perseus would have accepted.
    pub healthy_dead_letters: u64,
    /// Dead letters that the function sent itself.
    pub sent_as_dead: u64,
    /// Visibility timeouts that the function has changed.
    pub visibility_changes: u64,
    /// Invocations.
    pub invocations: u64,
    /// Invocations whose environment the lab killed or stalled.
    pub sabotaged: u64,
    /// Environments started.
    pub environments: u64,
    /// Messages handed to the function, redeliveries included.
    pub received: u64,
    /// Messages the function left in the queue.
    pub reported: u64,
    /// Requests that reached Perseus.
    pub requests: u64,
    /// Those requests by how they ended: a status, `connection lost`, `hung up`.
    pub requests_by_end: BTreeMap<String, u32>,
    /// Repeated attempts by how the attempt before ended.
    pub retries_by_end: BTreeMap<String, u32>,
    /// The most requests that Perseus had at once.
    pub requests_at_once: u32,
    /// Messages committed again, by cause.
    pub duplicates: Causes,
    /// The least time between an answer and its deadline, in milliseconds.
    pub worst_headroom_ms: Option<u32>,
    /// The age of messages at their first commit, in milliseconds: half were younger.
    pub age_p50_ms: Option<f64>,
    /// 95 in 100 were younger.
    pub age_p95_ms: Option<f64>,
    /// 99 in 100 were younger.
    pub age_p99_ms: Option<f64>,
}

impl Totals {
    pub(super) fn of(run: &FinishedRun) -> Self {
        let history = &run.history;
        let counters = &run.counters;
        let messages = |wanted: &dyn Fn(&MessageHistory) -> bool| {
            history.messages.iter().filter(|message| wanted(message)).count() as u64
        };
        let invocations = &history.invocations;
        let survived = invocations.iter().filter(|invocation| !invocation.end.is_injected());
        Self {
            seconds: run.seconds,
            messages: history.messages.len() as u64,
            delivered: messages(&|message| message.committed.is_some()),
            lost: messages(&MessageHistory::is_lost),
            left: messages(&|message| {
                matches!(message.state, MessageState::Visible | MessageState::InFlight)
            }),
            dead_letters: messages(&MessageHistory::is_dead),
            healthy_dead_letters: messages(&|message| message.is_dead() && !message.is_poison),
            sent_as_dead: messages(&|message| message.is_dead() && message.dead_lettered),
            visibility_changes: run.visibility_changes.into(),
            invocations: invocations.len() as u64,
            sabotaged: invocations.iter().filter(|invocation| invocation.end.is_injected()).count() as u64,
            environments: run.environments.into(),
            received: invocations.iter().map(|invocation| u64::from(invocation.messages)).sum(),
            reported: invocations.iter().map(|invocation| u64::from(invocation.kept)).sum(),
            requests: history.exchanges.len() as u64,
            requests_by_end: by_name(&counters.ended),
            retries_by_end: by_name(&counters.retried),
            requests_at_once: counters.load,
            duplicates: invariants::causes(history),
            worst_headroom_ms: survived.filter(|one| one.end != End::Failed).map(|one| one.headroom).min(),
            age_p50_ms: counters.ages.at(0.5),
            age_p95_ms: counters.ages.at(0.95),
            age_p99_ms: counters.ages.at(0.99),
        }
    }
}
