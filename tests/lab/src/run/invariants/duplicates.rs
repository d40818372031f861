//! Why messages were committed more than once.

use serde::Serialize;

use crate::{
    clock::Ms,
    report::units::count,
    run::history::{End, History, Number, Probe, ProbeEnd},
    simulated_perseus::{ClientView, Exchange, Repeat},
};

/// Why a message was committed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The queue delivered it although it was deleted or in flight.
    Redelivered,
    /// The reply to the first commit was lost, or did not say what was committed.
    ReplyLost,
    /// The function stopped waiting for the reply (a time-out, the cutoff), or its environment died.
    CutOff,
    /// The prober had sent it to find out whether Perseus is up, without receiving it, so it could not delete it.
    Trial,
    /// None of these: the function knew of the commit and sent it again.
    Other,
}

/// How many messages were committed again, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Causes {
    /// See [`Cause::Redelivered`].
    pub redelivered: u64,
    /// See [`Cause::ReplyLost`].
    pub reply_lost: u64,
    /// See [`Cause::CutOff`].
    pub cut_off: u64,
    /// See [`Cause::Trial`].
    pub trial: u64,
    /// See [`Cause::Other`].
    pub other: u64,
}

impl Causes {
    /// All of them.
    pub fn total(&self) -> u64 {
        let Self { redelivered, reply_lost, cut_off, trial, other } = *self;
        redelivered + reply_lost + cut_off + trial + other
    }

    /// The causes that there were, in words.
    pub fn in_words(&self) -> String {
        let causes = [
            (self.redelivered, "handed out twice by the queue"),
            (self.reply_lost, "reply lost or unclear"),
            (self.cut_off, "timed out or crashed"),
            (self.trial, "posted by the prober"),
            (self.other, "without a cause"),
        ];
        let causes = causes.iter().filter(|(number, _)| *number > 0);
        causes.map(|(number, cause)| format!("{} {cause}", count(*number))).collect::<Vec<_>>().join(", ")
    }
}

/// Counts the repeated commits of a run by cause.
pub fn causes(history: &History) -> Causes {
    let mut causes = Causes::default();
    for repeat in &history.repeats {
        *match cause(history, repeat) {
            Cause::Redelivered => &mut causes.redelivered,
            Cause::ReplyLost => &mut causes.reply_lost,
            Cause::CutOff => &mut causes.cut_off,
            Cause::Trial => &mut causes.trial,
            Cause::Other => &mut causes.other,
        } += 1;
    }
    causes
}

/// Why a message was committed again: what kept the function from knowing of the earlier commit.
pub fn cause(history: &History, repeat: &Repeat) -> Cause {
    let earlier = history.exchanges[repeat.exchanges.0 as usize];
    match earlier.client_view {
        ClientView::Uninformed => Cause::ReplyLost,
        ClientView::HungUp | ClientView::Waiting => Cause::CutOff,
        ClientView::Informed if was_cut_off(history, &earlier) => Cause::CutOff,
        ClientView::Informed if history.messages[repeat.message as usize].redelivered => Cause::Redelivered,
        ClientView::Informed if is_trial(history, &earlier, repeat.message) => Cause::Trial,
        ClientView::Informed => Cause::Other,
    }
}

/// Whether the reply may have come too late, or to an environment that died before it answered.
fn was_cut_off(history: &History, exchange: &Exchange) -> bool {
    let rules = history.rules;
    let took: Ms = exchange.ended - exchange.arrived;
    let Some(invocation) = history.invocations.get(exchange.invocation as usize) else {
        return was_probe_cut_off(history, exchange);
    };
    let cutoff = invocation.started + rules.timeout.saturating_sub(rules.reserve);
    let has_died = matches!(invocation.end, End::Crashed | End::Stalled | End::TimedOut);
    has_died || took + rules.slack >= rules.request_timeout || exchange.ended + rules.slack >= cutoff
}

/// Whether a run of the prober sent a message that it had not received by then: it remembers some that must not be received
/// again.
fn is_trial(history: &History, exchange: &Exchange, message: Number) -> bool {
    let probe = history.probes.iter().find(|probe| probe.number == exchange.invocation);
    let has_received = |probe: &Probe| {
        probe.messages.iter().any(|(number, at)| *number == message && *at <= exchange.arrived)
    };
    probe.is_some_and(|probe| !has_received(probe))
}

/// The same of a probe, or it could not be deleted.
fn was_probe_cut_off(history: &History, exchange: &Exchange) -> bool {
    let took = exchange.ended - exchange.arrived;
    let probe = history.probes.iter().find(|probe| probe.number == exchange.invocation);
    probe.is_some_and(|probe| {
        let has_died = matches!(probe.end, ProbeEnd::Crashed | ProbeEnd::TimedOut);
        has_died || probe.hindered || took + history.rules.slack >= history.rules.request_timeout
    })
}
