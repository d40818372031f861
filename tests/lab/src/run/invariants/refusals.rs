//! Whether the function notices that Perseus refuses everything.

use std::collections::HashMap;

use super::{Finding, finding, streaks::requests_after_streak};
use crate::{
    report::units::counted,
    run::history::{History, MessageHistory, ReplyKind},
};

/// After this many refusals in a row the records are no longer blamed.
const NOTICED: u32 = 50;

/// After `NOTICED` refusals in a row an environment only probes. It sends no more good messages to the dead-letter
/// queue than these refusals cost.
pub fn refusals_noticed(history: &History) -> Finding {
    let (probes, longest_streak) = requests_after_streak(history, ReplyKind::Refused, NOTICED, 0);
    let longest = longest_probe(history);
    let mut breaches: Vec<String> = probes
        .iter()
        .filter(|(_, requests)| **requests > longest)
        .map(|(invocation, requests)| {
            format!("invocation {invocation} sent {requests} requests to a Perseus that refuses everything")
        })
        .collect();
    let dead = dead_letters(history);
    breaches.extend(dead.iter().filter(|(_, (dead, most))| dead > most).map(
        |(environment, (dead, most))| {
            format!(
                "environment {environment} sent {dead} good messages to the dead-letter queue, and not {most} at most"
            )
        },
    ));
    // The order of a map is random.
    breaches.sort_unstable();
    finding(
        "refusals are noticed",
        "after 50 refusals in a row at the latest, an environment sends one probe in each invocation, and no more good \
         messages to the dead-letter queue",
        format!(
            "at most {} in a row in an environment, {} after 50 of them, {} sent to the dead-letter queue",
            counted(longest_streak.into(), "refusal"),
            counted(probes.len() as u64, "invocation"),
            counted(dead.values().map(|(dead, _)| u64::from(*dead)).sum(), "good message")
        ),
        breaches,
    )
    .exercised_by(probes.len() + dead.len())
}

/// Whether the function sent this good message to the dead-letter queue while Perseus refused everything.
pub(super) fn is_excused(history: &History, message: &MessageHistory) -> bool {
    let invocation = message.dead_lettered_in.and_then(|number| history.invocations.get(number as usize));
    invocation.is_some_and(|invocation| {
        let end = invocation.started + invocation.took;
        history.refusing.iter().any(|(from, until)| *from <= end && invocation.started < *until)
    })
}

/// The most requests of a probe: a batch, halved along one path down to a single record. On a FIFO queue batches are split
/// where a group ends, so the path may be twice as long.
fn longest_probe(history: &History) -> u32 {
    let halvings = history.rules.most_records.max(1).next_power_of_two().ilog2();
    2 * (halvings + 1)
}

/// The good messages that each environment sent to the dead-letter queue, and the most it may send: those refused before it
/// could know, and those in flight at that moment.
fn dead_letters(history: &History) -> HashMap<u32, (u32, u32)> {
    let mut dead: HashMap<u32, (u32, u32)> = HashMap::new();
    let good = history.messages.iter().filter(|message| message.is_dead() && !message.is_poison);
    for number in good.filter_map(|message| message.dead_lettered_in) {
        let Some(invocation) = history.invocations.get(number as usize) else { continue };
        dead.entry(invocation.environment).or_default().0 += 1;
    }
    let at_a_time = NOTICED + history.rules.max_in_flight;
    let times = u32::try_from(history.refusing.len()).unwrap_or(u32::MAX);
    dead.values_mut().for_each(|(_, most)| *most = at_a_time.saturating_mul(times));
    dead
}
