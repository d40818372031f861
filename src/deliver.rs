//! A batch's way to its outcome: attempt by attempt, split by split.

use std::{mem::replace, sync::atomic::Ordering::Relaxed, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, join},
};
use reqwest::{StatusCode, header::HeaderValue};
use tokio::{
    select,
    time::{Instant, sleep},
};
use tracing::error;

use crate::{
    access::Access,
    batch::Batch,
    config::{BatchFormat, Config},
    deadline::Deadline,
    governor::{Signal, Turn},
    halt::Halt,
    ledger::Ledger,
    outstanding::Outstanding,
    pace::Pace,
    perseus::{Connection, Failure, Perseus, Reply},
    refusal::Refusal,
    reply::{Verdict, verdict},
    request::Request,
    retry::{Action, Backoff, Misconfigured, action},
    tally::Tally,
    trace::TraceContext,
};

/// Delivers the batches of one invocation.
#[derive(Debug)]
pub struct Courier<'a> {
    /// Where to.
    pub perseus: &'a Perseus,
    /// With what right.
    pub access: Access<'a>,
    /// How many at once.
    pub turn: Turn<'a>,
    /// How long an attempt takes.
    pub pace: &'a Pace,
    /// In what form, and how often.
    pub config: &'a Config,
    /// Where outcomes are noted.
    pub ledger: &'a Ledger<'a>,
    /// Until when.
    pub deadline: Deadline,
    /// The trace that the requests are part of.
    pub trace: TraceContext,
    /// The invocation's id, for the log.
    pub request_id: &'a str,
    /// What it took.
    pub tally: Tally,
    /// Whether the set-up turned out to be wrong.
    pub halt: Halt,
}

/// How to go on with the records that an attempt left outstanding.
enum Next {
    /// Not at all, in this invocation.
    Never,
    /// Send them again: after this delay at least, or at once.
    Again { at_least: Option<Duration>, at_once: bool },
    /// Find those at fault by halves.
    Split { refusal: Refusal },
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
}

impl Attempts {
    fn none() -> Self {
        Attempts { counted: 0, connection: Connection::Any, authorization: None, renewed: false }
    }
}

impl Courier<'_> {
    /// Delivers a batch, with all that it takes. Every outcome is in the ledger as soon as it is known.
    pub fn deliver(&self, batch: Batch) -> BoxFuture<'_, ()> {
        async move {
            let Some((left, right)) = self.settle(batch).await else {
                return;
            };
            if left.shares_a_group_with(&right) {
                self.deliver(left).await;
                self.deliver(right).await;
            } else {
                join(self.deliver(left), self.deliver(right)).await;
            }
        }
        .boxed()
    }

    /// Attempts a batch until all its records are settled; returns the halves to go on with, if it is
    /// to be split.
    async fn settle(&self, batch: Batch) -> Option<(Batch, Batch)> {
        let mut outstanding = Outstanding::new(self.ledger, self.request_id, batch);
        let mut attempts = Attempts::none();
        while outstanding.withhold() {
            let result = self.attempt(&mut outstanding, &mut attempts).await?;
            if self.is_renewed(&result, &mut attempts).await {
                outstanding.failed("its token was refused".to_owned());
                self.tally.retries.fetch_add(1, Relaxed);
                continue;
            }
            let next = match result {
                Ok(reply) => self.read(&reply, &mut outstanding),
                Err(failure) => {
                    outstanding.failed(failure.to_string());
                    // A connection that died while the environment was frozen says nothing of Perseus.
                    let at_once = matches!(failure, Failure::Lost { pooled: true, .. });
                    Next::Again { at_least: None, at_once }
                }
            };
            match next {
                Next::Never => break,
                Next::Again { .. } if outstanding.batch().records.is_empty() => break,
                Next::Again { at_least, at_once } => self.wait(&mut attempts, at_least, at_once).await?,
                Next::Split { refusal } => {
                    let halves = outstanding.split(&refusal)?;
                    self.tally.splits.fetch_add(1, Relaxed);
                    return Some(halves);
                }
            }
        }
        None
    }

    /// Whether there is what it takes to post anything. If not, nothing more is sent in this invocation.
    pub async fn has_access(&self) -> bool {
        let is_given = self.access.is_given(self.deadline.cutoff()).await;
        if !is_given {
            self.halt.set("there is no token");
        }
        is_given
    }

    /// Whether an attempt failed for its token, and there is another by now. That is no fault of the records,
    /// and costs no attempt; but a batch has only one such chance.
    async fn is_renewed(&self, result: &Result<Reply, Failure>, attempts: &mut Attempts) -> bool {
        let is_refused = matches!(result, Ok(reply) if reply.status == StatusCode::UNAUTHORIZED);
        is_refused
            && !self.halt.is_set()
            && !replace(&mut attempts.renewed, true)
            && self.access.is_renewed(attempts.authorization.as_ref(), self.deadline.cutoff()).await
    }

    /// Whether an attempt that begins now makes sense: it would end in time, and might succeed.
    pub fn may_attempt(&self) -> bool {
        let takes = self.turn.pause() + self.pace.expected();
        !self.halt.is_set() && self.deadline.allows(takes) && self.turn.allows()
    }

    /// One attempt; none if it makes no sense.
    async fn attempt(
        &self,
        outstanding: &mut Outstanding<'_>,
        attempts: &mut Attempts,
    ) -> Option<Result<Reply, Failure>> {
        let mut permit = self.turn.acquire().await?;
        if !self.may_attempt() {
            return None;
        }
        permit.pause().await;
        attempts.authorization = self.access.header().await;
        if !self.may_attempt() {
            return None;
        }
        let Config { format, compression, .. } = *self.config;
        let request = Request::new(outstanding.batch(), &outstanding.ids(), format, compression);
        outstanding.attempt();
        self.tally.attempt(request.body.len());
        let start = Instant::now();
        let begun = self.pace.begin();
        let cutoff = self.deadline.cutoff();
        let Attempts { connection, ref authorization, .. } = *attempts;
        let sending = self.perseus.attempt(request, authorization.as_ref(), &self.trace, connection, cutoff);
        let result = sending.await;
        let took = start.elapsed();
        match &result {
            Ok(_) => self.pace.learn(begun, took),
            Err(Failure::Timeout) => self.pace.learn_at_least(begun, took),
            // A refused connection is no measure of a reply.
            Err(_) => {}
        }
        if matches!(result, Ok(_) | Err(Failure::Timeout)) {
            self.tally.took(took);
        }
        permit.settle(signal(&result));
        Some(result)
    }

    /// Settles what a reply settles.
    fn read(&self, reply: &Reply, outstanding: &mut Outstanding<'_>) -> Next {
        let again = Next::Again { at_least: reply.retry_after, at_once: false };
        self.tally.retry_at.note(reply.retry_after);
        let status = reply.status.as_u16();
        match action(reply.status) {
            Action::Again => {
                outstanding.failed(format!("status {status}"));
                again
            }
            Action::Split => {
                // Only of a single record is the reason ever logged.
                let is_single = outstanding.batch().records.len() == 1;
                let said = is_single.then(|| self.excerpt(reply, outstanding));
                Next::Split { refusal: Refusal::Alone(status, said.unwrap_or_default()) }
            }
            Action::Stop(misconfigured) => {
                outstanding.failed(misconfigured.to_string());
                self.stop(misconfigured, &self.excerpt(reply, outstanding));
                Next::Never
            }
            Action::Accept | Action::Read => {
                match self.verdict(reply, outstanding) {
                    Verdict::Accepted => outstanding.accept(&self.tally),
                    Verdict::Refused(refused) => {
                        outstanding.accept_but(&refused, status, &self.tally);
                        outstanding.failed("refused by name".to_owned());
                    }
                    Verdict::Unknown(what) => outstanding.failed(format!("status {status} with {what}")),
                }
                again
            }
        }
    }

    fn verdict(&self, reply: &Reply, outstanding: &Outstanding<'_>) -> Verdict {
        let ids = match self.config.format {
            BatchFormat::Records => outstanding.ids(),
            // These carry no ids, so Perseus cannot mean any of them.
            BatchFormat::Array | BatchFormat::Ndjson => Vec::new(),
        };
        verdict(&reply.body, &ids, action(reply.status) == Action::Read)
    }

    /// Waits until it is time for the next attempt; none if there will be none.
    async fn wait(&self, attempts: &mut Attempts, at_least: Option<Duration>, at_once: bool) -> Option<()> {
        if at_once && attempts.connection == Connection::Any {
            attempts.connection = Connection::New;
        } else {
            let backoff = Backoff { base: self.config.retry_base, cap: self.config.retry_cap };
            let delay = backoff.delay(attempts.counted, at_least);
            attempts.counted += 1;
            let in_time = self.deadline.allows(delay.saturating_add(self.pace.expected()));
            if attempts.counted >= self.config.max_attempts || !in_time || !self.turn.allows() {
                return None;
            }
            select! {
                () = sleep(delay) => {}
                () = self.halt.wait() => return None,
            }
        }
        self.tally.retries.fetch_add(1, Relaxed);
        Some(())
    }

    /// Ends all sending in this invocation.
    fn stop(&self, misconfigured: Misconfigured, said: &str) {
        if self.halt.set("the set-up is wrong") {
            error!(
                requestId = self.request_id,
                status = misconfigured.to_string(),
                reply = said,
                lookAt = misconfigured.look_at(&self.config.credentials()),
                "Perseus does not take what this set-up sends; nothing more is sent in this invocation"
            );
        }
    }

    /// The beginning of a refusal, for the log.
    fn excerpt(&self, reply: &Reply, outstanding: &Outstanding<'_>) -> String {
        let tokens = self.access.headers();
        let headers = tokens.iter().chain(self.config.headers.values()).map(HeaderValue::as_bytes);
        let query = self.config.url.query().unwrap_or_default().as_bytes();
        outstanding.excerpt(&reply.body, &headers.chain([query]).collect::<Vec<_>>())
    }
}

/// What an attempt tells of how hard Perseus may be pushed.
fn signal(result: &Result<Reply, Failure>) -> Signal {
    match result {
        Ok(reply) => match reply.status.as_u16() {
            429 | 502 | 503 | 504 => Signal::Overloaded,
            500.. => Signal::Unclear,
            _ => Signal::Answered,
        },
        Err(Failure::Timeout | Failure::Connect(_)) => Signal::Overloaded,
        Err(_) => Signal::Unclear,
    }
}
