//! What the circuit breaker promises: whose pauses it makes and ends, when, and what its probes do.

use super::{Finding, finding};
use crate::{
    clock::Ms,
    report::units::{counted, time},
    run::history::{
        Caller, Change, ChangeKind, ClientView, Exchange, History, Number, Probe, ProbeEnd, ReplyKind, State,
    },
};

const MINUTE: Ms = 60_000;
/// Once Perseus is back, messages are received again within this time.
const RESUMED: Ms = 4 * MINUTE;
/// A pause begins at most so long after the last request of an outage.
const AFTERMATH: Ms = 2 * MINUTE;
/// The most messages of a run of the prober: after an outage, and after refusals or a wrong set-up.
const PROBES: (usize, usize) = (1, 5);
/// The mark of a pause for an outage.
const OUTAGE: &str = "outage";
/// The mark of a pause because Perseus refuses everything.
const REFUSALS: &str = "refusals";

/// The forwarder pauses its mapping only in outages, and marks it first.
pub fn pauses_are_marked(history: &History) -> Finding {
    let pauses = || history.changes.iter().filter(|change| is_pause(change));
    let has_poison = history.messages.iter().any(|message| message.is_poison);
    // A queue in which nothing but poison is left looks like a Perseus that refuses everything.
    let is_of_poison = |pause: &Change| has_poison && pause.mark.as_deref() == Some(REFUSALS);
    let breaches = pauses().filter_map(|pause| match pause {
        Change { mark: None, at, .. } => Some(format!("the pause at {at} ms has no mark")),
        Change { at, .. }
            if !is_of_poison(pause) && !meets_outage(history, at.saturating_sub(AFTERMATH), *at) =>
        {
            Some(format!("the pause at {at} ms began while Perseus was up"))
        }
        _ => None,
    });
    let breaches = breaches.collect();
    finding(
        "pauses are marked",
        "the function pauses its mapping only in an outage, and marks it first",
        counted(pauses().count() as u64, "pause"),
        breaches,
    )
    .exercised_by(pauses().count())
}

/// What an operator paused is not enabled by the prober.
pub fn operators_pause_is_kept(history: &History) -> Finding {
    let (mut is_operators, mut pauses, mut state) = (false, 0_usize, State::Enabled);
    let mut breaches = Vec::new();
    for change in &history.changes {
        let was = is_operators;
        match (change.kind, change.by) {
            (ChangeKind::Reached(reached), _) => state = reached,
            (ChangeKind::Disable, by) => {
                state = State::Disabling;
                is_operators = by == Caller::Operator && change.mark.is_none();
            }
            (ChangeKind::Untag, Caller::Operator) => {
                is_operators = matches!(state, State::Disabling | State::Disabled);
            }
            (ChangeKind::Enable, by) => {
                if is_operators && by != Caller::Operator {
                    breaches.push(format!("an operator's pause was ended at {} ms", change.at));
                }
                state = State::Enabling;
                is_operators = false;
            }
            _ => {}
        }
        pauses += usize::from(is_operators && !was);
    }
    finding(
        "operator's pause kept",
        "only an operator ends an operator's pause",
        format!("{} by an operator", counted(pauses as u64, "pause")),
        breaches,
    )
    .exercised_by(pauses)
}

/// The prober receives only while the mapping is disabled and marked, and no more messages than it may.
pub fn probes_in_turn(history: &History) -> Finding {
    let breaches = history.probes.iter().filter_map(|probe| {
        let most = if probe.mark.as_deref() == Some(OUTAGE) { PROBES.0 } else { PROBES.1 };
        if let Some(state) = probe.out_of_turn {
            Some(format!("the prober received at {} ms from a mapping that is {state:?}", probe.started))
        } else if probe.messages.len() > most && !probe.hindered {
            Some(format!("the prober received {} messages at {} ms", probe.messages.len(), probe.started))
        } else {
            None
        }
    });
    let breaches = breaches.collect();
    let probed = history.probes.iter().map(|probe| probe.messages.len()).sum();
    finding(
        "probes in turn",
        "the prober receives only while the mapping is marked and disabled: in each run one message, or up to five if the \
         mark does not say outage. It may be more if one of its AWS calls fails",
        format!("{} received by the prober", counted(probed as u64, "message")),
        breaches,
    )
    .exercised_by(probed)
}

/// The prober enables the mapping only after Perseus has answered, and deletes what was acknowledged.
pub fn resumed_after_a_reply(history: &History) -> Finding {
    let mut breaches = Vec::new();
    let mut resumed = 0;
    for change in history.changes.iter().filter(|change| change.kind == ChangeKind::Enable) {
        let Caller::Prober(number) = change.by else { continue };
        resumed += 1;
        let probe = history.probes.iter().find(|probe| probe.number == number);
        if probe.is_none_or(|probe| !may_resume(history, probe, change)) {
            breaches.push(format!("the mapping was enabled at {} ms without a reply", change.at));
        }
    }
    let whole = history.probes.iter().filter(|probe| probe.end == ProbeEnd::Done && !probe.hindered);
    let undeleted =
        whole.filter(|probe| probe.messages.iter().any(|(number, _)| is_undeleted(history, probe, *number)));
    breaches.extend(undeleted.map(|probe| format!("the probe at {} ms was not deleted", probe.started)));
    finding(
        "resumed after a reply",
        "the prober ends a pause only after Perseus accepted a message, or if the queue is empty; after an outage a \
         refusal is enough. It deletes what it delivered",
        format!("{} ended by the prober", counted(resumed as u64, "pause")),
        breaches,
    )
    .exercised_by(resumed)
}

/// Messages are received again soon after Perseus is back.
pub fn delivery_resumes(history: &History) -> Finding {
    let mut breaches = Vec::new();
    let mut longest = None;
    for (since, until) in pauses(history) {
        let back =
            history.outages.iter().filter(|(from, to)| *from < until && since < *to).map(|(_, to)| *to);
        let back = back.fold(since, Ms::max);
        // It may also end in the outage, if nothing was there to receive.
        let Some(took) = until.checked_sub(back) else { continue };
        longest = longest.max(Some(took));
        let lost = history.probes.iter().filter(|probe| {
            (back.saturating_sub(MINUTE)..until).contains(&probe.started) && is_hindered(history, probe)
        });
        let lost = Ms::try_from(lost.count()).unwrap_or(Ms::MAX);
        let most = RESUMED.saturating_add(lost.saturating_mul(MINUTE)).saturating_add(history.rules.late);
        if took > most {
            breaches.push(format!(
                "Perseus was back at {back} ms, and the mapping enabled at {until} ms: {took} ms later, and not {most}"
            ));
        }
    }
    finding(
        "delivery resumes",
        "a pause ends within four minutes after Perseus is back, plus one minute for each run of the prober that the lab \
         or Perseus makes fail",
        longest.map_or_else(|| "no pause".to_owned(), |longest| format!("after at most {}", time(longest.into()))),
        breaches,
    )
    .exercised_by(usize::from(longest.is_some()))
}

/// No good message is dead because it was received by the prober again and again.
pub fn probes_cost_no_message(history: &History) -> Finding {
    let dead = history.numbered().filter(|(_, message)| message.is_dead() && !message.is_poison);
    let killed = dead.filter(|(_, message)| message.probed * 2 > message.receives);
    let breaches = killed.filter(|(number, message)| {
        // A prober that dies, or whose call fails, cannot know what it has received.
        let is_lost = |probe: &&Probe| probe.end == ProbeEnd::Crashed || probe.hindered;
        let received = |probe: &&Probe| probe.messages.iter().any(|(received, _)| received == number);
        let lost = history.probes.iter().filter(is_lost).filter(received).count();
        (usize::from(message.probed) - lost.min(message.probed.into())) * 2 > message.receives.into()
    });
    let breaches = breaches
        .map(|(number, message)| {
            format!(
                "message {number} is a dead letter: {} of {} receives were the prober's",
                message.probed, message.receives
            )
        })
        .collect();
    let most = history.messages.iter().map(|message| message.probed).max().unwrap_or_default();
    finding(
        "probes cost no message",
        "no good message is in the dead-letter queue because the prober received it too often",
        match most {
            0 => "no message received by the prober".to_owned(),
            _ => format!("no message received by the prober more than {}", counted(most.into(), "time")),
        },
        breaches,
    )
    .exercised_by(most.into())
}

fn is_pause(change: &Change) -> bool {
    change.kind == ChangeKind::Disable && matches!(change.by, Caller::Forwarder(_))
}

fn meets_outage(history: &History, from: Ms, until: Ms) -> bool {
    history.outages.iter().any(|(began, ended)| *began <= until && from < *ended)
}

/// The requests of a run of the prober.
fn requests<'a>(history: &'a History, probe: &Probe) -> impl Iterator<Item = &'a Exchange> {
    let number = probe.number;
    history.exchanges.iter().filter(move |exchange| exchange.invocation == number)
}

fn is_accepted(exchange: &Exchange) -> bool {
    exchange.reply_kind == ReplyKind::Accepted
}

/// Whether a run knew that Perseus had committed a message, and did not delete it.
fn is_undeleted(history: &History, probe: &Probe, number: Number) -> bool {
    let committed = history.messages.get(number as usize).and_then(|message| message.committed);
    let repeats = history.repeats.iter().filter(|repeat| repeat.message == number);
    let again = repeats.flat_map(|repeat| <[u32; 2]>::from(repeat.exchanges));
    let mut commits = committed.map(|committed| committed.exchange).into_iter().chain(again);
    let is_known = |exchange: &Exchange| {
        exchange.invocation == probe.number && exchange.client_view == ClientView::Informed
    };
    commits.any(|commit| history.exchanges.get(commit as usize).is_some_and(is_known))
        && !probe.deleted.contains(&number)
}

fn may_resume(history: &History, probe: &Probe, change: &Change) -> bool {
    let is_answer = |exchange: &Exchange| match exchange.reply_kind {
        ReplyKind::Accepted => true,
        ReplyKind::Refused => change.mark.as_deref() == Some(OUTAGE),
        // A refusal by name.
        ReplyKind::Other => {
            change.mark.as_deref() == Some(OUTAGE) && !meets_outage(history, exchange.arrived, exchange.ended)
        }
        ReplyKind::Unusable => false,
    };
    change.mark.is_some()
        && (probe.found_none || requests(history, probe).any(|one| one.ended <= change.at && is_answer(one)))
}

/// Whether a run could not do its work: the lab has prevented it, or Perseus did not accept the probe although it was up.
fn is_hindered(history: &History, probe: &Probe) -> bool {
    let is_refused = || {
        let mut requests = requests(history, probe).peekable();
        requests.peek().is_some() && !requests.any(is_accepted)
    };
    let is_injected = matches!(probe.end, ProbeEnd::Missing | ProbeEnd::Crashed);
    let end = probe.started + probe.took;
    is_injected || probe.hindered || is_refused() && !meets_outage(history, probe.started, end)
}

/// The pauses of the breaker: from their beginning until the mapping is enabled. Not those that an operator took part in.
fn pauses(history: &History) -> Vec<(Ms, Ms)> {
    let mut pauses = Vec::new();
    let mut since = None;
    for change in &history.changes {
        match (change.kind, change.by) {
            (ChangeKind::Disable, Caller::Forwarder(_)) => since = Some(change.at),
            (ChangeKind::Reached(State::Enabled), _) => {
                pauses.extend(since.take().map(|since| (since, change.at)));
            }
            (_, Caller::Operator) => since = None,
            _ => {}
        }
    }
    pauses.extend(since.map(|since| (since, history.ended)));
    pauses
}
