//! One attempt: a permit, a token, a request, a reply. And the wait before the next one.

use std::{mem::replace, sync::atomic::Ordering::Relaxed, time::Duration};

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
    perseus::{auth::Identity, client::Reply, clients::Connection, failure::Failure},
    telemetry::reasons,
};

/// The attempts that a batch has had so far, and how the next one is made.
pub(super) struct Attempts {
    /// Attempts that count against `MAX_ATTEMPTS`: all except one that found a dead connection in the
    /// pool, and one that was repeated with a new credential.
    counted: u32,
    /// Which connection the next attempt uses.
    connection: Connection,
    /// The credentials of the last one.
    identity: Identity,
    /// Whether one was repeated with a new token.
    has_new_token: bool,
    /// Whether one was repeated with a new client certificate.
    has_new_certificate: bool,
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
        Attempts {
            counted: 0,
            connection: Connection::Any,
            identity: Identity::default(),
            has_new_token: false,
            has_new_certificate: false,
            is_probe,
        }
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
            attempts.identity = self.authentication.identity().await;
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
        let Attempts { connection, identity, .. } = attempts;
        let cutoff = self.deadline.cutoff();
        let sending = self.perseus.attempt(request, identity, &self.trace, *connection, cutoff);
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

    /// Whether the attempt failed for a credential, and there is another one by now: the reason that is logged if so. The records are
    /// not at fault, so that costs no attempt. A batch has only one such chance for each credential.
    pub(super) async fn has_new_credential(
        &self,
        answer: &Answer<'_>,
        attempts: &mut Attempts,
    ) -> Option<&'static str> {
        if self.stop.is_set() {
            return None;
        }
        let (authentication, cutoff) = (&self.authentication, self.deadline.cutoff());
        if answer.refuses_token()
            && !replace(&mut attempts.has_new_token, true)
            && authentication.has_new_token(&attempts.identity, cutoff).await
        {
            return Some(reasons::TOKEN_REFUSED);
        }
        // In an outage connections are lost too. The store is not asked for each of them.
        let may_refuse = || answer.may_refuse_certificate() && !authentication.has_fresh_certificate();
        let is_renewed = authentication.has_stored_certificate()
            && (answer.refuses_certificate() || may_refuse())
            && !replace(&mut attempts.has_new_certificate, true)
            && authentication.has_new_certificate(&attempts.identity, cutoff).await;
        is_renewed.then_some(reasons::CERTIFICATE_REFUSED)
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
