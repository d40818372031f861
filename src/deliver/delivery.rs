//! A batch's way to its outcome: attempt by attempt, split by split.

use std::{
    collections::HashMap,
    mem::replace,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, join},
};
use reqwest::header::HeaderValue;
use tokio::{
    select,
    time::{Instant, sleep},
};
use tracing::error;

use crate::{
    batch::{batcher::Batch, request::Request},
    config::Config,
    core_time::CoreTime,
    deadline::Deadline,
    deliver::{
        backoff::Backoff,
        concurrency::{InvocationLimit, Permit, Signal},
        latency::LatencyEstimate,
        outstanding::Outstanding,
        refusals::Refusals,
        stop::StopSignal,
    },
    perseus::{
        auth::Authentication,
        client::{Connection, Failure, Perseus, Reply},
        reply::{Verdict, WITHOUT_FAILURES, is_page, verdict},
        status::{Action, Misconfigured, action},
    },
    settle::{ledger::Ledger, rejection::Rejection},
    telemetry::{counters::Counters, trace::TraceContext},
    value::format::{Ack, BatchFormat},
};

/// Delivers the batches of one invocation.
#[derive(Debug)]
pub struct DeliveryContext<'a> {
    /// Where to.
    pub perseus: &'a Perseus,
    /// With what right.
    pub authentication: Authentication<'a>,
    /// How many at once.
    pub limit: InvocationLimit<'a>,
    /// Whether Perseus refuses everything.
    pub refusals: &'a Refusals,
    /// How long an attempt takes.
    pub latency: &'a LatencyEstimate,
    /// In what form, and how often.
    pub config: &'a Config,
    /// What long work shares.
    pub core_time: CoreTime,
    /// Where outcomes are noted.
    pub ledger: &'a Ledger<'a>,
    /// Until when.
    pub deadline: Deadline,
    /// The trace that the requests are part of.
    pub trace: TraceContext,
    /// The invocation's id, for the log.
    pub request_id: &'a str,
    /// What it took.
    pub counters: Counters,
    /// Whether the set-up turned out to be wrong.
    pub stop: StopSignal,
    /// Whether the log has told that what answers is not Perseus.
    pub told_of_stranger: AtomicBool,
    /// Whether the log has told that Perseus refuses everything.
    pub told_of_refusals: AtomicBool,
}

/// What came of an attempt.
enum Answer<'a> {
    /// Perseus has all records.
    Accepted,
    /// Perseus has all but these: their ids, and whether it is worth sending them again.
    AcceptedBut(HashMap<String, bool>),
    /// A status that asks for another attempt.
    Again(u16),
    /// Something in the batch is at fault, or it is too large.
    Refused(u16),
    /// The set-up is wrong.
    Misconfigured(Misconfigured),
    /// A reply from which nothing can be told.
    Unknown(u16, &'static str),
    /// No reply.
    Failed(&'a Failure),
}

/// Shorter replies take no time that would matter. All that are longer say of records that Perseus has them.
const LONG_REPLY: usize = 16 << 10;

/// What an unknown reply was, if it was a page.
const PAGE: &str = "an HTML page";

/// An attempt that has ended.
struct Attempted<'a> {
    result: Result<Reply, Failure>,
    permit: Permit<'a>,
    /// Whether it had as long as attempts are expected to take.
    had_fair_time: bool,
}

/// How to go on with the records that an attempt left outstanding.
enum Next {
    /// Not at all, in this invocation.
    Never,
    /// Send them again: after this delay at least, or at once.
    Again { at_least: Option<Duration>, at_once: bool },
    /// Find those at fault by halves.
    Split { refusal: Rejection },
}

/// The attempts that a batch has had.
struct Attempts {
    /// Those that count against the budget: all but one that only found a dead connection in the pool.
    counted: u32,
    /// What the next one uses.
    connection: Connection,
    /// The `authorization` header of the last one.
    authorization: Option<HeaderValue>,
    /// Whether one was refused for its token, and another token looked for.
    renewed: bool,
    /// Whether they find out if Perseus still refuses everything.
    is_probe: bool,
}

impl Attempts {
    fn none(is_probe: bool) -> Self {
        Attempts { counted: 0, connection: Connection::Any, authorization: None, renewed: false, is_probe }
    }
}

/// What to look at if Perseus refuses everything.
const REFUSES_ALL: &str =
    "what Perseus expects (a new version or schema?), BATCH_FORMAT, PERSEUS_COMPRESSION and PERSEUS_HEADERS";

/// And if it is not Perseus that refuses.
const REFUSED_BY_STRANGER: &str =
    "PERSEUS_URL (a proxy or web server answers with a page of HTML, before Perseus has seen anything)";

impl DeliveryContext<'_> {
    /// Delivers a batch, with all that it takes. Every outcome is in the ledger as soon as it is known.
    pub fn deliver(&self, batch: Batch) -> BoxFuture<'_, ()> {
        async move {
            if self.refusals.are_many() {
                let right = self.refusals.search().await;
                let rest = self.search(batch, false).await;
                drop(right);
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
    pub async fn deliver_in_order(&self, batches: impl IntoIterator<Item = Batch>) {
        for batch in batches {
            self.deliver(batch).await;
        }
    }

    /// Finds out with this batch whether Perseus still refuses everything. If not, delivers what is left of it.
    pub async fn probe(&self, batch: Batch) {
        let rest = self.search(batch, true).await;
        self.deliver_in_order(rest).await;
    }

    /// Searches a batch for a record that is accepted, the smallest part first, for as long as many are refused. So a
    /// bad record in each batch does not keep up the belief that all are bad. A probe goes down one path alone.
    ///
    /// Returns what of the batch is left to deliver, in its order.
    async fn search(&self, batch: Batch, is_probe: bool) -> Vec<Batch> {
        // The next part is the last one.
        let mut parts = vec![batch];
        while self.refusals.are_many()
            && let Some(part) = parts.pop()
        {
            // On a FIFO queue the first half goes first. Elsewhere the same bad record must not decide each time.
            let keeps_order = part.has_groups();
            match self.settle(part, is_probe).await {
                Some((left, right)) if keeps_order || fastrand::bool() => parts.extend([right, left]),
                Some((left, right)) => parts.extend([left, right]),
                None if is_probe => break,
                None => {}
            }
        }
        parts.reverse();
        parts
    }

    /// Attempts a batch until all its records are settled; returns the halves to go on with, if it is
    /// to be split.
    async fn settle(&self, batch: Batch, is_probe: bool) -> Option<(Batch, Batch)> {
        let mut outstanding = Outstanding::new(self.ledger, self.request_id, batch);
        let mut attempts = Attempts::none(is_probe);
        while outstanding.withhold() {
            let attempted = self.attempt(&mut outstanding, &mut attempts).await?;
            let Attempted { result, permit, had_fair_time } = attempted;
            if let Ok(reply) = &result
                && reply.body.len() > LONG_REPLY
            {
                self.core_time.for_bytes(reply.body.len()).await;
            }
            let answer = self.understand(&result, &outstanding);
            // Without a pause from here on: the next request must know what came of this one.
            self.learn(&answer, &result, &outstanding);
            permit.settle(signal(&answer, had_fair_time));
            if self.is_renewed(&answer, &mut attempts).await {
                outstanding.failed(Some(401), "its token was refused");
                self.counters.retries.fetch_add(1, Relaxed);
                continue;
            }
            match self.apply(answer, &result, &mut outstanding, is_probe) {
                Next::Never => break,
                Next::Again { .. } if outstanding.batch().records.is_empty() => break,
                Next::Again { at_least, at_once } => self.wait(&mut attempts, at_least, at_once).await?,
                Next::Split { refusal } => {
                    let halves = outstanding.split(&refusal)?;
                    self.counters.splits.fetch_add(1, Relaxed);
                    return Some(halves);
                }
            }
        }
        None
    }

    /// Whether there is what it takes to post anything. If not, nothing more is sent in this invocation.
    pub async fn has_access(&self) -> bool {
        let is_given = self.authentication.is_given(self.deadline.cutoff()).await;
        if !is_given {
            self.stop.set("there is no token");
        }
        is_given
    }

    /// Whether an attempt failed for its token, and there is another by now. That is no fault of the records,
    /// and costs no attempt; but a batch has only one such chance.
    async fn is_renewed(&self, answer: &Answer<'_>, attempts: &mut Attempts) -> bool {
        let is_refused = matches!(answer, Answer::Misconfigured(wrong) if wrong.status() == 401);
        is_refused
            && !self.stop.is_set()
            && !replace(&mut attempts.renewed, true)
            && self.authentication.is_renewed(attempts.authorization.as_ref(), self.deadline.cutoff()).await
    }

    /// Whether a batch may be sent now: an attempt would end in time, and might succeed.
    pub fn may_deliver(&self) -> bool {
        self.may_attempt(false)
    }

    /// Whether an attempt that begins now makes sense. A probe does even if Perseus refuses everything.
    pub fn may_attempt(&self, is_probe: bool) -> bool {
        let takes = self.limit.pause().saturating_add(self.latency.expected());
        !self.stop.is_set()
            && (is_probe || !self.refusals.are_all())
            && self.deadline.allows(takes)
            && self.limit.allows()
    }

    /// One attempt; none if it makes no sense.
    async fn attempt(
        &self,
        outstanding: &mut Outstanding<'_>,
        attempts: &mut Attempts,
    ) -> Option<Attempted<'_>> {
        let mut permit = self.limit.acquire().await?;
        if !self.may_attempt(attempts.is_probe) {
            return None;
        }
        permit.pause().await;
        attempts.authorization = self.authentication.header().await;
        if !self.may_attempt(attempts.is_probe) {
            return None;
        }
        let Config { format, compression, .. } = *self.config;
        let ids = outstanding.ids();
        let request = Request::new(outstanding.batch(), &ids, format, compression, &self.core_time).await;
        outstanding.attempt();
        self.counters.attempt(request.body.len());
        let start = Instant::now();
        let begun = self.latency.begin();
        let cutoff = self.deadline.cutoff();
        let Attempts { connection, ref authorization, .. } = *attempts;
        let sending = self.perseus.attempt(request, authorization.as_ref(), &self.trace, connection, cutoff);
        let result = sending.await;
        let took = start.elapsed();
        let had_fair_time = took >= self.latency.expected();
        match &result {
            Ok(_) => self.latency.record(begun, took),
            Err(Failure::Timeout) => self.latency.record_timeout(begun, took),
            // A refused connection is no measure of a reply.
            Err(_) => {}
        }
        if matches!(result, Ok(_) | Err(Failure::Timeout)) {
            self.counters.took(took);
        }
        Some(Attempted { result, permit, had_fair_time })
    }

    /// What came of an attempt.
    fn understand<'r>(
        &self,
        result: &'r Result<Reply, Failure>,
        outstanding: &Outstanding<'_>,
    ) -> Answer<'r> {
        let reply = match result {
            Ok(reply) => reply,
            Err(failure) => return Answer::Failed(failure),
        };
        let status = reply.status.as_u16();
        match action(reply.status) {
            Action::Again => Answer::Again(status),
            Action::Split => Answer::Refused(status),
            Action::Stop(misconfigured) => Answer::Misconfigured(misconfigured),
            Action::Accept | Action::Read if is_page(reply.is_html, &reply.body) => {
                Answer::Unknown(status, PAGE)
            }
            Action::Accept | Action::Read => match self.verdict(reply, outstanding) {
                Verdict::Accepted => Answer::Accepted,
                Verdict::Refused(refused) => Answer::AcceptedBut(refused),
                Verdict::Unknown(what) => Answer::Unknown(status, what),
            },
        }
    }

    fn verdict(&self, reply: &Reply, outstanding: &Outstanding<'_>) -> Verdict {
        let ids = match self.config.format {
            BatchFormat::Records => outstanding.ids(),
            // These carry no ids, so Perseus cannot mean any of them.
            BatchFormat::Array | BatchFormat::Ndjson => Vec::new(),
        };
        let must_tell = self.config.ack == Ack::Body || action(reply.status) == Action::Read;
        verdict(&reply.body, &ids, must_tell)
    }

    /// Remembers what an answer tells of Perseus, for all requests of the process.
    fn learn(&self, answer: &Answer<'_>, result: &Result<Reply, Failure>, outstanding: &Outstanding<'_>) {
        if let Some(delay) = result.as_ref().ok().and_then(|reply| reply.retry_after) {
            self.limit.retry_after(delay);
        }
        let is_accepted = match answer {
            Answer::Accepted => true,
            Answer::AcceptedBut(refused) => outstanding.has_any_but(refused),
            _ => false,
        };
        if is_accepted {
            self.limit.succeeded();
            self.refusals.accepted();
            return;
        }
        let single = match answer {
            Answer::AcceptedBut(refused) if refused.values().all(|is_retryable| !is_retryable) => {
                refused.len()
            }
            Answer::Refused(_) => usize::from(outstanding.batch().records.len() == 1),
            _ => return,
        };
        self.refusals.refused(single);
        self.counters.has_refused.store(true, Relaxed);
    }

    /// Settles what an answer settles.
    fn apply(
        &self,
        answer: Answer<'_>,
        result: &Result<Reply, Failure>,
        outstanding: &mut Outstanding<'_>,
        is_probe: bool,
    ) -> Next {
        let reply = result.as_ref().ok();
        let again = Next::Again { at_least: reply.and_then(|reply| reply.retry_after), at_once: false };
        let excerpt = |outstanding: &Outstanding<'_>| {
            reply.map(|reply| self.excerpt(reply, outstanding)).unwrap_or_default()
        };
        match answer {
            Answer::Accepted => outstanding.accept(&self.counters),
            Answer::AcceptedBut(refused) => {
                let status = reply.map_or(0, |reply| reply.status.as_u16());
                if self.refusals.are_all() {
                    self.tell_of_refusals(status, "refused by name", REFUSES_ALL);
                    outstanding.failed(Some(status), "refused by name");
                    return Next::Never;
                }
                outstanding.accept_but(&refused, status, &self.counters);
                outstanding.failed(Some(status), "refused by name");
            }
            Answer::Again(status) => outstanding.failed(Some(status), format!("status {status}")),
            Answer::Refused(status) => {
                return self.refused(status, reply, outstanding, is_probe);
            }
            Answer::Misconfigured(misconfigured) => {
                outstanding.failed(Some(misconfigured.status()), misconfigured.to_string());
                self.stop(misconfigured, &excerpt(outstanding));
                return Next::Never;
            }
            Answer::Unknown(status, what) => {
                outstanding.failed(Some(status), format!("status {status} with {what}"));
                self.tell_of_stranger(status, what);
            }
            Answer::Failed(failure) => {
                outstanding.failed(None, failure.to_string());
                // A connection that died while the environment was frozen says nothing of Perseus.
                let at_once = matches!(failure, Failure::Lost { pooled: true, .. });
                return Next::Again { at_least: None, at_once };
            }
        }
        again
    }

    /// How to go on with a batch that was refused as a whole.
    fn refused(
        &self,
        status: u16,
        reply: Option<&Reply>,
        outstanding: &mut Outstanding<'_>,
        is_probe: bool,
    ) -> Next {
        let is_single = outstanding.batch().records.len() == 1;
        let is_everything = self.refusals.are_all();
        let said = match reply {
            // Of many records the reason is never logged, and an excerpt looks at all of them.
            Some(reply) if is_single || is_everything => self.excerpt(reply, outstanding),
            _ => String::new(),
        };
        let refusal = Rejection::Alone(status, said);
        if !is_everything || is_probe && !is_single {
            return Next::Split { refusal };
        }
        let is_page = reply.is_some_and(|reply| is_page(reply.is_html, &reply.body));
        let look_at = match status {
            _ if is_page => REFUSED_BY_STRANGER,
            413 => "BATCH_MAX_BYTES, and the largest body that Perseus and the proxies before it take",
            _ => REFUSES_ALL,
        };
        let reason = refusal.to_string();
        self.tell_of_refusals(status, &reason, look_at);
        outstanding.failed(Some(status), reason);
        Next::Never
    }

    /// Waits until it is time for the next attempt; none if there will be none.
    async fn wait(&self, attempts: &mut Attempts, at_least: Option<Duration>, at_once: bool) -> Option<()> {
        if at_once && attempts.connection == Connection::Any {
            attempts.connection = Connection::New;
        } else {
            let backoff = Backoff { base: self.config.retry_base, cap: self.config.retry_cap };
            let delay = backoff.delay(attempts.counted, at_least);
            attempts.counted += 1;
            let in_time = self.deadline.allows(delay.saturating_add(self.latency.expected()));
            if attempts.counted >= self.config.max_attempts || !in_time || !self.limit.allows() {
                return None;
            }
            select! {
                () = sleep(delay) => {}
                () = self.stop.wait() => return None,
            }
        }
        self.counters.retries.fetch_add(1, Relaxed);
        Some(())
    }

    /// Ends all sending in this invocation.
    fn stop(&self, misconfigured: Misconfigured, said: &str) {
        if self.stop.set("the set-up is wrong") {
            error!(
                requestId = self.request_id,
                status = misconfigured.status(),
                reply = said,
                lookAt = misconfigured.look_at(&self.config.credentials()),
                "Perseus does not take what this set-up sends; nothing more is sent in this invocation"
            );
        }
    }

    /// Tells, once in an invocation, of replies that no Perseus sends.
    fn tell_of_stranger(&self, status: u16, what: &str) {
        let look_at = match what {
            PAGE => "PERSEUS_URL (what answers there is a sign-in page, a gateway or a web server)",
            WITHOUT_FAILURES if self.config.ack == Ack::Body => {
                "PERSEUS_URL (does Perseus answer there?), and PERSEUS_ACK, which asks for batchItemFailures in each reply"
            }
            _ => return,
        };
        if !self.told_of_stranger.swap(true, Relaxed) {
            error!(
                requestId = self.request_id,
                status,
                reason = what,
                lookAt = look_at,
                "a reply that is not Perseus': nothing in it counts as acknowledged"
            );
        }
    }

    /// Tells, once in an invocation, that Perseus refuses everything.
    fn tell_of_refusals(&self, status: u16, reason: &str, look_at: &str) {
        if !self.told_of_refusals.swap(true, Relaxed) {
            error!(
                requestId = self.request_id,
                status,
                reason,
                lookAt = look_at,
                "Perseus refuses everything: no record is rejected, and one batch is tried in each invocation"
            );
        }
    }

    /// The beginning of a refusal, for the log.
    fn excerpt(&self, reply: &Reply, outstanding: &Outstanding<'_>) -> String {
        let tokens = self.authentication.headers();
        let headers = tokens.iter().chain(self.config.headers.values()).map(HeaderValue::as_bytes);
        let query = self.config.url.query().unwrap_or_default().as_bytes();
        outstanding.excerpt(&reply.body, &headers.chain([query]).collect::<Vec<_>>())
    }
}

/// What an answer tells of how hard Perseus may be pushed.
fn signal(answer: &Answer<'_>, had_fair_time: bool) -> Signal {
    match answer {
        Answer::Again(429) => Signal::Busy,
        Answer::Again(502..=504) => Signal::Overloaded,
        Answer::Again(400..500) => Signal::Answered,
        Answer::Again(_) | Answer::Unknown(..) => Signal::Failed,
        Answer::Accepted | Answer::AcceptedBut(_) | Answer::Refused(_) | Answer::Misconfigured(_) => {
            Signal::Answered
        }
        Answer::Failed(failure) => match failure {
            // Cut off by the deadline before Perseus could be expected to answer.
            Failure::Timeout if !had_fair_time => Signal::Unclear,
            Failure::Timeout | Failure::Connect(_) => Signal::Overloaded,
            Failure::Lost { pooled: true, .. } => Signal::Unclear,
            Failure::Lost { .. } | Failure::CutShort | Failure::TooLong | Failure::Compressed => {
                Signal::Failed
            }
        },
    }
}
