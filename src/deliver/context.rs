//! What all deliveries of one invocation share.

use std::{sync::atomic::AtomicBool, time::Duration};

use crate::{
    config::Config,
    deadline::Deadline,
    deliver::{
        concurrency::invocation::InvocationLimit, latency::LatencyEstimate, refusal_streak::RefusalStreak,
        stop::StopSignal,
    },
    perseus::{auth::Authentication, client::Perseus},
    settle::ledger::Ledger,
    telemetry::{counters::Counters, trace::TraceContext},
    yield_budget::YieldBudget,
};

/// What all deliveries of one invocation share.
#[derive(Debug)]
pub(crate) struct DeliveryContext<'a> {
    /// The HTTP client.
    pub(crate) perseus: &'a Perseus,
    /// The credentials.
    pub(crate) authentication: Authentication<'a>,
    /// How many requests may be in flight.
    pub(crate) limit: InvocationLimit<'a>,
    /// Whether Perseus refuses everything.
    pub(crate) refusals: &'a RefusalStreak,
    /// How long an attempt takes.
    pub(crate) latency: &'a LatencyEstimate,
    /// The configuration.
    pub(crate) config: &'a Config,
    /// How much work all deliveries of this invocation may do before the task yields.
    pub(crate) yield_budget: YieldBudget,
    /// The outcome of each record.
    pub(crate) ledger: &'a Ledger<'a>,
    /// When sending ends.
    pub(crate) deadline: Deadline,
    /// The trace that the requests belong to.
    pub(crate) trace: TraceContext,
    /// The invocation's id, for the log.
    pub(crate) request_id: &'a str,
    /// Counters of this invocation.
    pub(crate) counters: Counters,
    /// Ends all sending once the set-up is known to be wrong.
    pub(crate) stop: StopSignal,
    /// The error lines that say where to look.
    pub(crate) advice: Advice,
}

/// Which error lines that say where to look this invocation has logged.
#[derive(Debug, Default)]
pub(crate) struct Advice {
    pub(super) not_perseus: AtomicBool,
    pub(super) refuses_all: AtomicBool,
}

impl DeliveryContext<'_> {
    /// Whether each credential is known that is configured. If not, nothing is sent in this invocation.
    pub(super) async fn has_credentials(&self) -> bool {
        let known = self.authentication.make_known(self.deadline.cutoff()).await;
        if let Err(reason) = known {
            self.stop.set(reason);
        }
        known.is_ok()
    }

    /// Whether an attempt may begin: it would end before the cutoff, and might succeed. If Perseus refuses everything, only
    /// a probe may.
    pub(super) fn may_attempt(&self, is_probe: bool) -> bool {
        self.allows(self.limit.pause(), is_probe)
    }

    /// Like [`may_attempt`](Self::may_attempt). But if a `Retry-After` is too long, this waits for the requests in flight,
    /// because a success ends it.
    pub(super) async fn may_attempt_soon(&self, is_probe: bool) -> bool {
        loop {
            let settled = self.limit.settled();
            if self.may_attempt(is_probe) {
                return true;
            }
            if !self.allows(self.limit.least_pause(), is_probe) {
                return false;
            }
            settled.await;
        }
    }

    fn allows(&self, pause: Duration, is_probe: bool) -> bool {
        !self.stop.is_set()
            && (is_probe || !self.refusals.refuses_all())
            && self.deadline.allows(pause.saturating_add(self.latency.expected()))
            && self.limit.allows()
    }
}
