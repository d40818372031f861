//! The invariants: what must hold at the end of every run.

mod breaker;
mod duplicates;
mod finding;
mod outages;
mod refusals;
mod retries;
mod streaks;

use std::collections::HashMap;

use self::finding::finding;
pub use self::{
    breaker::{
        delivery_resumes, operators_pause_is_kept, pauses_are_marked, probes_in_turn, probes_kill_nothing,
        resumed_after_an_answer,
    },
    duplicates::{Cause, Causes, cause, causes},
    finding::{Finding, Status},
    outages::outages_noticed,
    refusals::refusals_noticed,
    retries::tried_before_returned,
};
use crate::{
    report::units::count,
    run::history::{End, History, MessageHistory},
    sqs::queue::MessageState,
};

/// A good message must arrive within this many receives without an excuse.
const ENOUGH_CHANCES: u16 = 3;

/// All invariants.
pub const INVARIANTS: [fn(&History) -> Finding; 18] = [
    deleted_is_committed,
    accounted_for,
    answers_name_their_own,
    answers_in_time,
    order_within_groups,
    duplicates_explained,
    only_poison_is_dead,
    outages_noticed,
    refusals_noticed,
    tried_before_returned,
    one_key_one_body,
    contract_kept,
    pauses_are_marked,
    operators_pause_is_kept,
    probes_in_turn,
    resumed_after_an_answer,
    delivery_resumes,
    probes_kill_nothing,
];

/// Checks all invariants.
pub fn check(history: &History) -> Vec<Finding> {
    INVARIANTS.iter().map(|invariant| invariant(history)).collect()
}

/// A message leaves the queue only after Perseus has it, or the dead-letter queue.
pub fn deleted_is_committed(history: &History) -> Finding {
    let deleted = history.numbered().filter(|(_, message)| message.state == MessageState::Deleted);
    let mut checked = 0;
    let breaches = deleted.inspect(|_| checked += 1).filter_map(|(number, message)| match message {
        message if message.is_lost() => Some(format!("message {number} was deleted and never committed")),
        MessageHistory { deleted_too_early: true, .. } => {
            Some(format!("message {number} was deleted before it was committed"))
        }
        _ => None,
    });
    let breaches = breaches.collect();
    finding(
        "deleted is committed",
        "a message is deleted only after Perseus committed it, or it is in the dead-letter queue",
        format!("{} deleted", count(checked as u64)),
        breaches,
    )
    .exercised_by(checked)
}

/// No message is anywhere else than committed, in the queue, or in the dead-letter queue.
pub fn accounted_for(history: &History) -> Finding {
    let (mut committed, mut queued, mut dead) = (0, 0, 0);
    let mut breaches = Vec::new();
    for (number, message) in history.numbered() {
        match (message.committed, message.state) {
            (Some(_), _) => committed += 1,
            (None, MessageState::Visible | MessageState::InFlight) => queued += 1,
            (None, MessageState::Dead) => dead += 1,
            (None, MessageState::Deleted) if message.dead_lettered => dead += 1,
            (None, MessageState::Deleted) => breaches.push(format!("message {number} is nowhere")),
        }
    }
    finding(
        "accounted for",
        "every message is committed, in the queue, or in the dead-letter queue",
        format!(
            "{} sent: {} committed, {} in the queue, {} dead",
            count(history.messages.len() as u64),
            count(committed),
            count(queued),
            count(dead)
        ),
        breaches,
    )
    .exercised_by(history.messages.len())
}

/// An answer names ids of its event, none empty, none twice.
pub fn answers_name_their_own(history: &History) -> Finding {
    let answers = history.invocations.iter().enumerate();
    let breaches = answers.filter_map(|(number, invocation)| {
        let unexpected_ids = invocation.unexpected_ids;
        let refused = invocation.end == End::Refused;
        (refused || !unexpected_ids.is_empty()).then(|| {
            format!(
                "invocation {number} names {} empty, {} unknown, {} repeated ids{}",
                unexpected_ids.empty,
                unexpected_ids.unknown,
                unexpected_ids.twice,
                if refused { "; its whole batch returned" } else { "" }
            )
        })
    });
    let kept = kept(history);
    finding(
        "answers name their own",
        "reported ids are ids of the event, none empty, none twice",
        format!("{} reported in {} invocations", count(kept as u64), count(history.invocations.len() as u64)),
        breaches.collect(),
    )
    .exercised_by(kept)
}

/// Every invocation without an injected fault is answered before its deadline.
pub fn answers_in_time(history: &History) -> Finding {
    let lived = || history.invocations.iter().enumerate().filter(|(_, one)| !one.end.is_injected());
    let breaches = lived().filter_map(|(number, invocation)| match invocation {
        crate::run::history::Invocation { end: End::TimedOut, .. } => {
            Some(format!("invocation {number} was killed at its deadline"))
        }
        crate::run::history::Invocation { end: End::Failed, .. } => {
            Some(format!("invocation {number} ended with an error"))
        }
        crate::run::history::Invocation { headroom: 0, .. } => {
            Some(format!("invocation {number} was answered at its deadline or later"))
        }
        _ => None,
    });
    let breaches = breaches.collect();
    let worst = lived().map(|(_, invocation)| invocation.headroom).min();
    let worst =
        worst.map_or_else(String::new, |worst| format!(", worst headroom {} ms", count(worst.into())));
    finding(
        "answers in time",
        "every answer comes before its deadline",
        format!("{} answers{worst}", count(lived().count() as u64)),
        breaches,
    )
    .exercised_by(lived().count())
}

/// Within a group, Perseus commits messages for the first time in the order in which they were sent.
pub fn order_within_groups(history: &History) -> Finding {
    let mut latest: HashMap<u32, (u32, u32)> = HashMap::new();
    let mut compared = 0;
    let mut breaches = Vec::new();
    for (number, message) in history.numbered() {
        let (Some(group), Some(committed)) = (message.group, message.committed) else { continue };
        compared += usize::from(latest.contains_key(&group));
        match latest.get(&group) {
            Some((order, before)) if *order > committed.order => breaches
                .push(format!("message {number} of group {group} was committed before message {before}")),
            _ => _ = latest.insert(group, (committed.order, number)),
        }
    }
    finding(
        "order within groups",
        "within a FIFO group, first commits are in the order of sending",
        match latest.len() {
            0 => "no FIFO queue".to_owned(),
            groups => format!("{} groups", count(groups as u64)),
        },
        breaches,
    )
    .exercised_by(compared)
}

/// Every repeated commit has a cause outside the function.
pub fn duplicates_explained(history: &History) -> Finding {
    let breaches = history.repeats.iter().filter(|repeat| cause(history, repeat) == Cause::Other);
    let breaches = breaches.map(|repeat| {
        let (before, after) = repeat.exchanges;
        format!(
            "message {} was posted by request {before} and again, without a cause, by request {after}",
            repeat.message
        )
    });
    let causes = causes(history);
    finding(
        "duplicates explained",
        "a message is committed again only if the queue redelivered it, its reply was lost or cut off, or it was on trial",
        format!(
            "{} redelivered, {} replies lost, {} cut off, {} trials, {} other",
            count(causes.redelivered),
            count(causes.reply_lost),
            count(causes.cut_off),
            count(causes.trial),
            count(causes.other)
        ),
        breaches.collect(),
    )
    .exercised_by(history.repeats.len())
}

/// While Perseus can be reached, only poison goes to the dead-letter queue.
///
/// A good message may use up its receives in outages, in environments that died, behind a message of its group, or with a
/// Perseus that failed every attempt. One or two further receives can fail by bad luck, for example when the time is up
/// before the attempts are. Three must be enough. While Perseus refuses everything, the first refusals look like any
/// others: [`refusals_noticed`] bounds their cost.
pub fn only_poison_is_dead(history: &History) -> Finding {
    let dead = || history.numbered().filter(|(_, message)| message.is_dead());
    let healthy = || dead().filter(|(_, message)| !message.is_poison);
    let is_wronged = |message: &MessageHistory| match message.dead_lettered {
        true => !refusals::is_excused(history, message),
        false => chances(message) >= ENOUGH_CHANCES,
    };
    let breaches = healthy().filter(|(_, message)| is_wronged(message)).map(|(number, message)| {
        let free = chances(message);
        if message.dead_lettered {
            return format!("message {number} was sent to the dead-letter queue and is no poison");
        }
        format!(
            "message {number} is dead after {} receives, {free} of them with Perseus reachable",
            message.receives
        )
    });
    let breaches: Vec<String> = breaches.collect();
    finding(
        "only poison is dead",
        "while Perseus can be reached, only poison goes to the dead-letter queue",
        format!(
            "{} dead, {} of them healthy: spent on outages, crashes, failures or their group, or refused with everything",
            count(dead().count() as u64),
            count((healthy().count() - breaches.len()) as u64)
        ),
        breaches,
    )
    .exercised_by(dead().count() + kept(history))
}

/// How often a message was left in the queue.
fn kept(history: &History) -> usize {
    history.invocations.iter().map(|invocation| invocation.kept as usize).sum()
}

fn chances(message: &MessageHistory) -> u16 {
    message.receives.saturating_sub(message.excused_receives)
}

/// An idempotency key belongs to one body, and a body has one key.
pub fn one_key_one_body(history: &History) -> Finding {
    let unnamed = (history.key_fault_count as usize).saturating_sub(history.key_faults.len());
    let mut breaches = history.key_faults.clone();
    breaches.extend((unnamed > 0).then(|| format!("and {unnamed} more")));
    finding(
        "one key, one body",
        "no idempotency key comes with two bodies, and no body with two keys",
        format!("{} requests", count(history.exchanges.len() as u64)),
        breaches,
    )
    .exercised_by(history.exchanges.len())
}

/// Every request keeps the contract.
pub fn contract_kept(history: &History) -> Finding {
    let unnamed = (history.violation_count as usize).saturating_sub(history.violations.len());
    let mut breaches = history.violations.clone();
    breaches.extend((unnamed > 0).then(|| format!("and {unnamed} more")));
    finding(
        "contract kept",
        "every request has the format, the headers and the records of the contract",
        format!("{} requests", count(history.exchanges.len() as u64)),
        breaches,
    )
    .exercised_by(history.exchanges.len())
}

#[cfg(test)]
mod tests;
