//! The client for SQS: batch calls of its JSON protocol
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html>).
//!
//! It exists only if a setting needs it, and its HTTP client is built at the first call. Each caller passes the time
//! at which calls must end, so that SQS cannot delay the function's answer.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream::iter};
use reqwest::{Client, Response, Url, header::USER_AGENT};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use crate::{
    deadline::Deadline,
    http::{NAME_AND_VERSION, POOL_IDLE, client_builder},
    sqs::{
        action::Action,
        queue::Queue,
        reply::{Confirmed, Failure, read},
        sigv4::{Scope, authorization, timestamp},
    },
    value::{aws::Settings, text::sensitive},
    yield_budget::{AT_A_TIME, YieldBudget},
};

/// Each use of SQS may take the time left before the deadline, divided by this.
const SHARE: u32 = 2;

/// The most time for one use of SQS. SQS normally answers in milliseconds; waiting longer does not help.
const PATIENCE: Duration = Duration::from_secs(5);

/// Calls in flight at once, and connections kept for them.
pub(crate) const AT_ONCE: usize = 8;

/// When the next use of SQS must end, so that time remains for the answer.
pub(crate) fn until(deadline: &Deadline) -> Instant {
    Instant::now() + (deadline.remaining() / SHARE).min(PATIENCE)
}

/// The body of a batch call.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Call<'a, E> {
    queue_url: &'a str,
    entries: Vec<Entry<E>>,
}

/// An entry. Its id is its index in the call.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<E> {
    id: String,
    #[serde(flatten)]
    entry: E,
}

fn encode<E: Serialize>(queue_url: &str, entries: impl Iterator<Item = E>) -> Bytes {
    let entries = entries.enumerate().map(|(index, entry)| Entry { id: index.to_string(), entry });
    let call = Call { queue_url, entries: entries.collect() };
    serde_json::to_vec(&call).expect("strings, numbers and raw JSON always encode").into()
}

/// The client for SQS.
#[derive(Debug)]
pub struct Sqs {
    /// Endpoint, region and credentials.
    pub settings: Settings,
    client: OnceLock<Client>,
}

impl Sqs {
    /// A client with these settings. It does not connect yet.
    pub fn new(settings: Settings) -> Self {
        Sqs { settings, client: OnceLock::new() }
    }

    /// Makes all `calls`, [`AT_ONCE`] at a time, until `until`. A call is a list of slots; `entry` makes the entry for a slot
    /// just before its call, to save memory. Calls `done` for each slot that SQS confirms. Returns the first failure.
    pub async fn ask_all<E: Serialize>(
        &self,
        queue: &Queue,
        action: Action,
        calls: &[Vec<usize>],
        entry: impl Fn(usize) -> E,
        until: Instant,
        mut done: impl FnMut(usize),
    ) -> Option<Failure> {
        let is_over = &AtomicBool::new(false);
        let (budget, entry) = (&YieldBudget::default(), &entry);
        let ask = async |call: usize| {
            // Encoding and signing a call of 1 MiB takes milliseconds.
            budget.spend(AT_A_TIME).await;
            if is_over.load(Relaxed) {
                return None;
            }
            let body = encode(&queue.url, calls[call].iter().map(|&slot| entry(slot)));
            Some((call, self.ask(queue, action, body, calls[call].len()).await))
        };
        let mut failure = None;
        let all = async {
            let mut replies = iter(0..calls.len()).map(ask).buffer_unordered(AT_ONCE);
            while let Some(reply) = replies.next().await {
                match reply {
                    Some((call, Ok(confirmed))) => {
                        let slots = calls[call].iter().zip(confirmed.done);
                        slots.filter(|(_, is_done)| *is_done).for_each(|(&slot, _)| done(slot));
                        failure = failure.take().or(confirmed.refusal);
                    }
                    Some((_, Err(error))) => {
                        is_over.fetch_or(error.is_for_all(), Relaxed);
                        failure.get_or_insert(error);
                    }
                    None => {}
                }
            }
        };
        let is_late = timeout_at(until, all).await.is_err();
        failure.or(is_late.then_some(Failure::Timeout))
    }

    /// Makes one call with this number of entries.
    async fn ask(
        &self,
        queue: &Queue,
        action: Action,
        body: Bytes,
        entries: usize,
    ) -> Result<Confirmed, Failure> {
        let reply = match self.post(queue, action, body.clone()).await {
            // The connection may have died while the environment was frozen. Both actions can be repeated.
            Err(error) if !error.is_connect() => self.post(queue, action, body).await,
            reply => reply,
        };
        read(reply.map_err(Failure::from)?, action, entries).await
    }

    async fn post(&self, queue: &Queue, action: Action, body: Bytes) -> Result<Response, reqwest::Error> {
        const SIGNED_TYPE: &str = "application/x-amz-json-1.0";

        let credentials = &self.settings.credentials;
        #[expect(clippy::disallowed_methods, reason = "a signature is valid for minutes of the wall clock")]
        let timestamp = timestamp(SystemTime::now());
        let host = host(&queue.endpoint);
        let mut headers = vec![
            ("content-type", SIGNED_TYPE),
            ("host", host.as_str()),
            ("x-amz-date", timestamp.as_str()),
            ("x-amz-target", action.target()),
        ];
        headers.extend(credentials.session_token.as_deref().map(|token| ("x-amz-security-token", token)));
        let scope = Scope { region: &queue.region, service: "sqs", timestamp: &timestamp };
        let authorization = authorization(credentials, scope, queue.endpoint.path(), &headers, &body);

        let mut post = self.client()?.post(queue.endpoint.clone()).body(body);
        headers.push(("authorization", &authorization));
        for (name, value) in headers.into_iter().filter(|(name, _)| *name != "host") {
            post = post.header(name, sensitive(value));
        }
        post.header(USER_AGENT, NAME_AND_VERSION).send().await
    }

    fn client(&self) -> Result<&Client, reqwest::Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = client_builder().pool_idle_timeout(POOL_IDLE).pool_max_idle_per_host(AT_ONCE).build()?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// The `host` header of a request to this URL.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
