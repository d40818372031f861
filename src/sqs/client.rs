//! The client for SQS: batch calls of its JSON protocol
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html>).
//!
//! It exists only if a setting needs it. Each caller passes the time at which calls must end, so that SQS cannot delay the
//! function's answer.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream::iter};
use reqwest::Method;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use crate::{
    aws::{
        client::{AT_ONCE, AwsClient, Call},
        failure::Failure,
    },
    deadline::Deadline,
    sqs::{
        action::Action,
        queue::Queue,
        reply::{Confirmed, read},
    },
    value::aws::SqsSettings,
    yield_budget::{AT_A_TIME, YieldBudget},
};

/// Each use of SQS may take the time left before the deadline, divided by this.
const SHARE: u32 = 2;

/// The most time for one use of SQS. SQS normally answers in milliseconds; waiting longer does not help.
const PATIENCE: Duration = Duration::from_secs(5);

/// When the next use of SQS must end, so that time remains for the answer.
pub(crate) fn until(deadline: &Deadline) -> Instant {
    Instant::now() + (deadline.remaining() / SHARE).min(PATIENCE)
}

/// The body of a batch call.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Batch<'a, E> {
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
    let batch = Batch { queue_url, entries: entries.collect() };
    serde_json::to_vec(&batch).expect("strings, numbers and raw JSON always encode").into()
}

/// The client for SQS.
#[derive(Debug)]
pub struct Sqs {
    /// Which calls are made, and where.
    pub settings: SqsSettings,
    aws: AwsClient,
}

impl Sqs {
    /// A client with these settings. It does not connect yet.
    pub fn new(settings: SqsSettings) -> Self {
        Sqs { aws: AwsClient::new(settings.caller.clone()), settings }
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
        let call = Call {
            service: "sqs",
            region: &queue.region,
            method: Method::POST,
            url: queue.endpoint.clone(),
            headers: &[("content-type", "application/x-amz-json-1.0"), ("x-amz-target", action.target())],
            body,
        };
        // Both actions can be repeated.
        read(self.aws.send(&call).await.map_err(Failure::from)?, action, entries).await
    }
}
