//! One attempt: a permit, a token, a request, a reply. And the wait before the next one.

use std::{mem::replace, sync::atomic::Ordering::Relaxed, time::Duration};

use reqwest::header::HeaderValue;
use tokio::{
    select,
    time::{Instant, sleep},
};

use crate::{
    batch::request::Request,
    deliver::{
        answer::Answer, backoff::Backoff, concurrency::permit::Permit, context::DeliveryContext,
        outstanding::Outstanding,
    },
    perseus::{client::Reply, clients::Connection, failure::Failure},
};

/// The attempts that a batch has had so far, and how the next one is made.
pub(super) struct Attempts {
    /// Attempts that count against `MAX_ATTEMPTS`: all except one that found a dead connection in the
    /// pool, and one that was repeated with a new token.
    counted: u32,
    /// Which connection the next attempt uses.
    connection: Connection,
    /// The `authorization` header of the last one.
    authorization: Option<HeaderValue>,
    /// Whether one was repeated with a new token.
    has_new_token: bool,
    /// Whether these attempts are the probe that finds out if Perseus still refuses everything.
    is_probe: bool,
}

/// An attempt that has ended.
pub(super) struct EndedAttempt<'a> {
    pub(super) result: Result<Reply, Failure>,
    pub(super) permit: Permit<'a>,
    /// Whether it lasted at least as long as attempts are expected to take.
    pub(super) had_expected_time: bool,
}

impl Attempts {
    pub(super) fn new(is_probe: bool) -> Self {
        let connection = Connection::Any;
        Attempts { counted: 0, connection, authorization: None, has_new_token: false, is_probe }
    }

    /// Makes the next attempts on new connections.
    pub(super) fn use_new_connection(&mut self) {
        self.connection = Connection::New;
    }
}

impl DeliveryContext<'_> {
    /// Makes one attempt. None if none may be made.
    pub(super) async fn attempt(
        &self,
        outstanding: &mut Outstanding<'_>,
        attempts: &mut Attempts,
    ) -> Option<EndedAttempt<'_>> {
        let mut permit = self.limit.acquire().await?;
        if !self.may_attempt_soon(attempts.is_probe).await {
            return None;
        }
        let request = self.request(outstanding).await;
        loop {
            permit.pause().await;
            attempts.authorization = self.authentication.header().await;
            // All of that takes time, and other requests were answered in it.
            if !self.may_attempt_soon(attempts.is_probe).await || !self.limit.admits(&mut permit) {
                return None;
            }
            if self.limit.pause().is_zero() {
                break;
            }
        }
        permit.begin();
        outstanding.attempt();
        let (result, had_expected_time) = self.send(request, attempts).await;
        Some(EndedAttempt { result, permit, had_expected_time })
    }

    async fn request(&self, outstanding: &Outstanding<'_>) -> Request {
        let (ids, config, budget) = (outstanding.ids(), self.config, &self.yield_budget);
        let mut request =
            Request::new(outstanding.batch(), &ids, config.format, config.compression, budget).await;
        if self.perseus.signs_bodies() {
            request.hash_payload(budget).await;
        }
        request
    }

    /// Posts a request and measures how long that takes. Also returns whether it took at least as long as expected.
    async fn send(&self, request: Request, attempts: &Attempts) -> (Result<Reply, Failure>, bool) {
        self.counters.attempt(request.body.len());
        let start = Instant::now();
        let begun = self.latency.begin();
        let Attempts { connection, authorization, .. } = attempts;
        let cutoff = self.deadline.cutoff();
        let sending = self.perseus.attempt(request, authorization.as_ref(), &self.trace, *connection, cutoff);
        let result = sending.await;
        let took = start.elapsed();
        // Compared before `latency` learns from this attempt.
        let had_expected_time = took >= self.latency.expected();
        match &result {
            Ok(_) => self.latency.record(begun, took),
            Err(Failure::Timeout) => self.latency.record_timeout(begun, took),
            // How fast a connection fails says nothing about how long a reply takes.
            Err(_) => {}
        }
        if matches!(result, Ok(_) | Err(Failure::Timeout)) {
            self.counters.took(took);
        }
        (result, had_expected_time)
    }

    /// Whether the attempt failed for its token, and there is another token by now. The records are not at fault, so that
    /// costs no attempt. A batch has only one such chance.
    pub(super) async fn has_new_token(&self, answer: &Answer<'_>, attempts: &mut Attempts) -> bool {
        let is_refused = matches!(answer, Answer::Misconfigured(wrong, _) if wrong.status() == 401);
        is_refused
            && !self.stop.is_set()
            && !replace(&mut attempts.has_new_token, true)
            && self.authentication.is_renewed(attempts.authorization.as_ref(), self.deadline.cutoff()).await
    }

    /// Waits until the next attempt may be made. None if none may be made.
    ///
    /// `at_once`: the connection was dead, so the first time there is no wait.
    pub(super) async fn backoff(
        &self,
        attempts: &mut Attempts,
        at_least: Option<Duration>,
        at_once: bool,
    ) -> Option<()> {
        if !at_once || attempts.connection == Connection::New {
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
}
