//! Whether messages are returned that could have been tried again.

use std::collections::HashMap;

use super::{Finding, finding, kept};
use crate::{
    clock::Ms,
    report::units::count,
    run::history::{History, Invocation, ReplyKind},
};

/// After failures alone for this long an environment may assume an outage.
const SHORTEST_OUTAGE: Ms = 2_000;

/// One message in this many may be returned early without a reason that is visible from outside, and a few more.
const TOLERATED_IN: u64 = 500;
const TOLERATED: u64 = 10;

/// While there is time and Perseus is up, a message is returned only after all allowed attempts.
pub fn tried_before_returned(history: &History) -> Finding {
    let failing_since = failing_since(history);
    let is_free = |(number, one): &(usize, &Invocation)| {
        let end = one.started + one.took;
        let since = failing_since[*number];
        one.given_up > 0 && since.is_none_or(|since| end < since + SHORTEST_OUTAGE)
    };
    let given_up: Vec<(usize, &Invocation)> =
        history.invocations.iter().enumerate().filter(is_free).collect();
    let all: u64 = given_up.iter().map(|(_, one)| u64::from(one.given_up)).sum();
    let received: u64 = history.invocations.iter().map(|one| u64::from(one.messages)).sum();
    let tolerated = received / TOLERATED_IN + TOLERATED;
    let told = given_up.iter().map(|(number, one)| {
        format!("invocation {number} returned {} messages early, with {} ms left", one.given_up, one.headroom)
    });
    let breaches = if all > tolerated { told.collect() } else { Vec::new() };
    finding(
        "tried before returned",
        "a message is returned only after all allowed attempts, unless Perseus is in an outage or the time is up. Some \
         exceptions are allowed, because not every reason can be seen from outside",
        format!(
            "{} of {} received messages returned early; allowed: {} (1 in {TOLERATED_IN}, and {TOLERATED})",
            count(all),
            count(received),
            count(tolerated)
        ),
        breaches,
    )
    .exercised_by(kept(history))
}

/// For each invocation: since when its environment had seen only failures at its end. None if it had not.
fn failing_since(history: &History) -> Vec<Option<Ms>> {
    let mut events: Vec<(Ms, bool, usize)> = Vec::new();
    for (number, one) in history.invocations.iter().enumerate() {
        events.push((one.started + one.took, true, number));
    }
    for (index, exchange) in history.exchanges.iter().enumerate() {
        events.push((exchange.ended, false, index));
    }
    events.sort_unstable();
    let mut since: HashMap<u32, Ms> = HashMap::new();
    let mut of_invocations = vec![None; history.invocations.len()];
    for (now, is_invocation, index) in events {
        if is_invocation {
            of_invocations[index] = since.get(&history.invocations[index].environment).copied();
            continue;
        }
        let exchange = &history.exchanges[index];
        let Some(invocation) = history.invocations.get(exchange.invocation as usize) else { continue };
        match exchange.reply_kind {
            // A 429 does not mean an outage, but it is not a success either.
            ReplyKind::Unusable | ReplyKind::Other => _ = since.entry(invocation.environment).or_insert(now),
            ReplyKind::Accepted | ReplyKind::Refused => _ = since.remove(&invocation.environment),
        }
    }
    of_invocations
}
