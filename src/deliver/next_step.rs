//! What an answer means for the records of its batch, and how to go on with those that are left.

use std::time::Duration;

use crate::{
    deliver::{answer::Answer, context::DeliveryContext, outstanding::Outstanding},
    perseus::{client::Reply, failure::Failure, reply::is_page},
    settle::rejection::Rejection,
    telemetry::reasons,
};

/// How to go on with the records that are still outstanding after an attempt.
pub(super) enum NextStep {
    /// No further attempt in this invocation.
    Finish,
    /// Send them again.
    Retry {
        /// The shortest wait.
        at_least: Option<Duration>,
        /// Whether to try once without a wait.
        at_once: bool,
    },
    /// Bisect them to find the records at fault. A record that is alone is rejected, for this reason.
    Split(Rejection),
}

impl DeliveryContext<'_> {
    /// Notes the outcomes that an answer decides. Returns how to go on with the other records.
    pub(super) fn apply(
        &self,
        answer: &Answer<'_>,
        reply: Option<&Reply>,
        outstanding: &mut Outstanding<'_>,
        is_probe: bool,
    ) -> NextStep {
        let retry = NextStep::Retry { at_least: reply.and_then(|reply| reply.retry_after), at_once: false };
        match answer {
            Answer::Accepted => {
                outstanding.accept(&self.counters);
                NextStep::Finish
            }
            Answer::AcceptedExcept { status, refused } => {
                outstanding.failed(Some(*status), reasons::REFUSED_BY_NAME);
                if self.refusals.refuses_all() {
                    self.advise_refuses_all(*status, reasons::REFUSED_BY_NAME, false);
                    return NextStep::Finish;
                }
                outstanding.accept_except(refused, *status, &self.counters);
                if outstanding.batch().records.is_empty() { NextStep::Finish } else { retry }
            }
            Answer::Again(status) => {
                outstanding.failed(Some(*status), format!("status {status}"));
                retry
            }
            Answer::Refused(status) => self.apply_refusal(*status, reply, outstanding, is_probe),
            Answer::Misconfigured(wrong, reason) => {
                outstanding.failed(wrong.status(), reason.clone());
                let said = reply.map(|reply| self.excerpt(reply, outstanding)).unwrap_or_default();
                self.stop_misconfigured(*wrong, &said);
                NextStep::Finish
            }
            Answer::Unknown(status, what) => {
                outstanding.failed(Some(*status), format!("status {status} with {what}"));
                self.advise_not_perseus(*status, what);
                retry
            }
            Answer::Failed(failure) => {
                outstanding.failed(None, failure.to_string());
                // A connection that died while the environment was frozen says nothing about Perseus.
                let at_once = matches!(failure, Failure::Lost { pooled: true, .. });
                NextStep::Retry { at_least: None, at_once }
            }
        }
    }

    /// The whole batch was refused: it is split, unless Perseus refuses everything.
    fn apply_refusal(
        &self,
        status: u16,
        reply: Option<&Reply>,
        outstanding: &mut Outstanding<'_>,
        is_probe: bool,
    ) -> NextStep {
        let is_single = outstanding.batch().records.len() == 1;
        let refuses_all = self.refusals.refuses_all();
        let said = match reply {
            // The refusal of many records is never logged, and an excerpt would compare it with all of them.
            Some(reply) if is_single || refuses_all => self.excerpt(reply, outstanding),
            _ => String::new(),
        };
        let rejection = Rejection::Alone(status, said);
        if !refuses_all || is_probe && !is_single {
            return NextStep::Split(rejection);
        }
        let reason = rejection.to_string();
        let is_page = reply.is_some_and(|reply| is_page(reply.is_html, &reply.body));
        self.advise_refuses_all(status, &reason, is_page);
        outstanding.failed(Some(status), reason);
        NextStep::Finish
    }
}
