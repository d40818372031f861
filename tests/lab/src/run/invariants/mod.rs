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
        delivery_resumes, operators_pause_is_kept, pauses_are_marked, probes_cost_no_message, probes_in_turn,
        resumed_after_a_reply,
    },
    duplicates::{Cause, Causes, cause, causes},
    finding::{Finding, Status},
    outages::outages_noticed,
    refusals::refusals_noticed,
    retries::tried_before_returned,
};
use crate::{
    report::units::{count, counted, time},
    run::history::{End, History, MessageHistory},
    sqs::queue::MessageState,
};

/// A good message must arrive within this many receives without an excuse.
const ENOUGH_CHANCES: u16 = 3;

/// All invariants.
pub const INVARIANTS: [fn(&History) -> Finding; 18] = [
    deleted_is_delivered,
    accounted_for,
    returned_ids_are_valid,
    invocations_end_in_time,
    order_within_groups,
    duplicates_explained,
    dead_letters_explained,
    outages_noticed,
    refusals_noticed,
    tried_before_returned,
    one_key_one_body,
    contract_kept,
    pauses_are_marked,
    operators_pause_is_kept,
    probes_in_turn,
    resumed_after_a_reply,
    delivery_resumes,
    probes_cost_no_message,
];

/// Checks all invariants.
pub fn check(history: &History) -> Vec<Finding> {
    INVARIANTS.iter().map(|invariant| invariant(history)).collect()
}

/// A message leaves the queue only after Perseus has it, or the dead-letter queue.
pub fn deleted_is_delivered(history: &History) -> Finding {
    let deleted = history.numbered().filter(|(_, message)| message.state == MessageState::Deleted);
    let mut checked = 0;
    let breaches = deleted.inspect(|_| checked += 1).filter_map(|(number, message)| match message {
        message if message.is_lost() => Some(format!("message {number} was deleted and never delivered")),
        MessageHistory { deleted_too_early: true, .. } => {
            Some(format!("message {number} was deleted before it was delivered"))
        }
        _ => None,
    });
    let breaches = breaches.collect();
    finding(
        "deleted is delivered",
        "a message is deleted only after it was delivered, or sent to the dead-letter queue",
        format!("{} deleted", counted(checked as u64, "message")),
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
        "every message is delivered, in the queue, or in the dead-letter queue",
        format!(
            "{} sent: {} delivered, {} in the queue, {}",
            count(history.messages.len() as u64),
            count(committed),
            count(queued),
            counted(dead, "dead letter")
        ),
        breaches,
    )
    .exercised_by(history.messages.len())
}

/// An answer names ids of its event, none empty, none twice.
pub fn returned_ids_are_valid(history: &History) -> Finding {
    let answers = history.invocations.iter().enumerate();
    let breaches = answers.filter_map(|(number, invocation)| {
        let unexpected_ids = invocation.unexpected_ids;
        let refused = invocation.end == End::Refused;
        (refused || !unexpected_ids.is_empty()).then(|| {
            format!(
                "invocation {number} returned {} empty, {} unknown, {} repeated ids{}",
                unexpected_ids.empty,
                unexpected_ids.unknown,
                unexpected_ids.twice,
                if refused { ", so its whole batch was returned" } else { "" }
            )
        })
    });
    let kept = kept(history);
    finding(
        "returned ids are valid",
        "the ids that the function returns (batchItemFailures) are of its batch, none empty, none twice",
        format!(
            "{} returned in {}",
            counted(kept as u64, "message"),
            counted(history.invocations.len() as u64, "invocation")
        ),
        breaches.collect(),
    )
    .exercised_by(kept)
}

/// Every invocation without an injected fault is answered before its deadline.
pub fn invocations_end_in_time(history: &History) -> Finding {
    let lived = || history.invocations.iter().enumerate().filter(|(_, one)| !one.end.is_injected());
    let breaches = lived().filter_map(|(number, invocation)| match invocation {
        crate::run::history::Invocation { end: End::TimedOut, .. } => {
            Some(format!("invocation {number} was killed at its deadline"))
        }
        crate::run::history::Invocation { end: End::Failed, .. } => {
            Some(format!("invocation {number} ended with an error"))
        }
        crate::run::history::Invocation { headroom: 0, .. } => {
            Some(format!("invocation {number} ended at its deadline or later"))
        }
        _ => None,
    });
    let breaches = breaches.collect();
    let worst = lived().map(|(_, invocation)| invocation.headroom).min();
    let worst = worst.map_or_else(String::new, |worst| format!(", worst headroom {}", time(worst.into())));
    finding(
        "invocations end in time",
        "every invocation that the lab does not crash or stall ends before Lambda's timeout, without an error",
        format!("{}{worst}", counted(lived().count() as u64, "invocation")),
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
                .push(format!("message {number} of group {group} was delivered before message {before}")),
            _ => _ = latest.insert(group, (committed.order, number)),
        }
    }
    finding(
        "order within groups",
        "within a FIFO group, first deliveries are in the order of sending",
        match latest.len() {
            0 => "no FIFO queue".to_owned(),
            groups => counted(groups as u64, "group"),
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
    finding(
        "duplicates explained",
        "a message is delivered again only if the queue handed it out twice, its reply was lost or unclear, the function \
         timed out or crashed, or the prober had posted it without receiving it",
        match history.repeats.len() {
            0 => "no duplicates".to_owned(),
            _ => causes(history).in_words(),
        },
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
pub fn dead_letters_explained(history: &History) -> Finding {
    let dead = || history.numbered().filter(|(_, message)| message.is_dead());
    let good = || dead().filter(|(_, message)| !message.is_poison);
    let is_wronged = |message: &MessageHistory| match message.dead_lettered {
        true => !refusals::is_excused(history, message),
        false => chances(message) >= ENOUGH_CHANCES,
    };
    let breaches = good().filter(|(_, message)| is_wronged(message)).map(|(number, message)| {
        let free = chances(message);
        if message.dead_lettered {
            return format!("message {number} was sent to the dead-letter queue, and is good");
        }
        format!(
            "message {number} is a dead letter after {} receives, {free} of them with Perseus reachable",
            message.receives
        )
    });
    let most = history.messages.iter().map(|message| message.receives).max().unwrap_or_default();
    let good = match good().count() as u64 {
        0 => String::new(),
        number => format!(", {} of them good", count(number)),
    };
    finding(
        "dead letters explained",
        "only poison goes to the dead-letter queue. Good messages may if they used up their receives in outages, crashes or \
         failures, or behind a message of their group, or if Perseus refused everything",
        format!(
            "{} returned, none received more than {}, {}{good}",
            counted(kept(history) as u64, "message"),
            counted(most.into(), "time"),
            counted(dead().count() as u64, "dead letter"),
        ),
        breaches.collect(),
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
        counted(history.exchanges.len() as u64, "request"),
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
        "every request has the format, the headers and the records that Perseus expects (docs/perseus.md)",
        counted(history.exchanges.len() as u64, "request"),
        breaches,
    )
    .exercised_by(history.exchanges.len())
}

#[cfg(test)]
mod tests;
