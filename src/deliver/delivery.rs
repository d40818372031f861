//! The delivery of a batch: attempts until every record is settled, and halves if Perseus refuses it.

use std::sync::atomic::Ordering::Relaxed;

use futures_util::{
    FutureExt,
    future::{BoxFuture, join},
};

use crate::{
    batch::batcher::Batch,
    deliver::{
        answer::Answer,
        attempt::{Attempts, EndedAttempt},
        context::DeliveryContext,
        next_step::NextStep,
        outstanding::Outstanding,
    },
    perseus::client::Reply,
};

/// Longer replies count as work. A reply is only this long if it names many records.
const LONG_REPLY: usize = 16 << 10;

impl DeliveryContext<'_> {
    /// Delivers a batch. Every outcome is in the ledger as soon as it is known.
    pub(super) fn deliver(&self, batch: Batch) -> BoxFuture<'_, ()> {
        async move {
            if self.refusals.may_refuse_all() {
                let guard = self.refusals.begin_search().await;
                let rest = self.search(batch, false).await;
                drop(guard);
                return self.deliver_in_order(rest).await;
            }
            let Some((left, right)) = self.settle(batch, false).await else {
                return;
            };
            if left.shares_a_group_with(&right) {
                self.deliver_in_order([left, right]).await;
            } else {
                join(self.deliver(left), self.deliver(right)).await;
            }
        }
        .boxed()
    }

    /// Delivers batches one after the other.
    pub(super) async fn deliver_in_order(&self, batches: impl IntoIterator<Item = Batch>) {
        for batch in batches {
            self.deliver(batch).await;
        }
    }

    /// Finds out with this batch whether Perseus still refuses everything. If not, delivers what is left of it.
    pub(super) async fn probe(&self, batch: Batch) {
        let rest = self.search(batch, true).await;
        self.deliver_in_order(rest).await;
    }

    /// Attempts a batch until all its records are settled. Returns its halves if it has to be split.
    async fn settle(&self, batch: Batch, is_probe: bool) -> Option<(Batch, Batch)> {
        let mut outstanding = Outstanding::new(self.ledger, self.request_id, batch);
        let mut attempts = Attempts::new(is_probe);
        while outstanding.withhold() {
            let ended = self.attempt(&mut outstanding, &mut attempts).await?;
            let EndedAttempt { result, permit, had_expected_time } = ended;
            let reply = result.as_ref().ok();
            if let Some(long) = reply.filter(|reply| reply.body.len() > LONG_REPLY) {
                self.yield_budget.spend(long.body.len()).await;
            }
            let answer = Answer::read(&result, &outstanding, self.config);
            // No `.await` until the permit is given back: the next request must know this answer.
            self.learn(&answer, reply, &outstanding);
            permit.settle(answer.signal(had_expected_time));
            if let Some(refused) = self.has_new_credential(&answer, &mut attempts).await {
                outstanding.failed(reply.map(|reply| reply.status.as_u16()), refused);
                self.counters.retries.fetch_add(1, Relaxed);
                continue;
            }
            match self.apply(&answer, reply, &mut outstanding, is_probe) {
                NextStep::Finish => break,
                NextStep::Retry { at_least, at_once } => {
                    self.backoff(&mut attempts, at_least, at_once).await?;
                    if result.is_err() {
                        // The pool may hold more connections that are as dead as this one was.
                        attempts.use_new_connection();
                    }
                }
                NextStep::Split(rejection) => {
                    let halves = outstanding.split(&rejection)?;
                    self.counters.splits.fetch_add(1, Relaxed);
                    return Some(halves);
                }
            }
        }
        None
    }

    /// Remembers what an answer says about Perseus, for all requests of the process.
    fn learn(&self, answer: &Answer<'_>, reply: Option<&Reply>, outstanding: &Outstanding<'_>) {
        if let Some(delay) = reply.and_then(|reply| reply.retry_after) {
            self.limit.retry_after(delay);
        }
        if answer.accepts_any(outstanding) {
            self.limit.end_retry_after();
            self.refusals.accepted();
        } else if let Some(on_their_own) = answer.refused_on_their_own(outstanding) {
            self.refusals.refused(on_their_own);
            self.counters.has_refused.store(true, Relaxed);
        }
    }

    /// While Perseus seems to refuse everything: searches a batch for a record that it accepts. The smallest part goes first, so
    /// a bad record in each batch does not hide that others are good. A probe goes down one path only.
    ///
    /// Returns the parts of the batch that are left to deliver, in order.
    async fn search(&self, batch: Batch, is_probe: bool) -> Vec<Batch> {
        // A stack: the last part is the next one.
        let mut parts = vec![batch];
        while self.refusals.may_refuse_all()
            && let Some(part) = parts.pop()
        {
            match self.settle(part, is_probe).await {
                // The order within a message group must be kept. Otherwise a random half goes first: else the same bad
                // record could decide the search each time.
                Some((left, right)) if left.shares_a_group_with(&right) || fastrand::bool() => {
                    parts.extend([right, left]);
                }
                Some((left, right)) => parts.extend([left, right]),
                None if is_probe => break,
                None => {}
            }
        }
        parts.reverse();
        parts
    }
}
