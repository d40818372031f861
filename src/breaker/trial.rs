//! A trial: messages of the queue are sent to Perseus, one by one, to find out whether it is up.
//!
//! Each receive is a step towards the dead-letter queue, and SQS may hand out the same message each minute: on a FIFO queue
//! it does. So a message that was received half as often as it may be is not received for a trial again. The prober
//! remembers it and sends what it remembers, until Perseus takes that. Then it receives a message as before. The remembered
//! message is in the queue all the time, so nothing is lost with the prober's memory.

use std::{
    mem::take,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lambda_runtime::Context;

use crate::{
    aws::failure::CallError,
    breaker::{mark::Cause, probe::event},
    config::ProberConfig,
    deadline::Deadline,
    lambda::handler::Handler,
    sqs::{
        message::{Message, SourceQueue},
        queue::Queue,
    },
    telemetry::messages::{self, log_line},
};

/// How many different messages are tried after refusals or a wrong set-up. The first ones may be the bad ones.
const MOST_MESSAGES: u32 = 5;

/// After this many runs other messages are received, unless the pause is for an outage: the remembered ones may be the bad ones.
const MOST_RUNS: u32 = 30;

/// What a trial leaves for the calls after it: the time left divided by this, and at most the second.
const CALLS_SHARE: u32 = 4;
const CALLS_TIME: Duration = Duration::from_secs(10);

/// How much longer a message is hidden than the invocation can last.
const HIDDEN_LONGER: Duration = Duration::from_secs(5);

/// Tries messages, and remembers those that must not be received again.
#[derive(Debug)]
pub(super) struct Trial {
    queue: SourceQueue,
    handler: Handler,
    cutoff_reserve: Duration,
    remembered: Mutex<Remembered>,
}

/// The remembered messages.
#[derive(Debug, Default)]
struct Remembered {
    /// Their events.
    payloads: Vec<Vec<u8>>,
    /// In how many runs they were sent.
    runs: u32,
}

/// What a trial has found and done.
#[derive(Debug, Default)]
pub(super) struct Tried {
    /// How many messages were sent.
    pub(super) messages: u32,
    /// Whether delivery may resume.
    pub(super) is_up: bool,
    /// The first call that failed.
    pub(super) undone: Option<CallError>,
}

/// What came of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Acknowledged,
    /// Perseus refuses this message for good.
    Rejected,
    /// Perseus may take it later.
    NotTaken,
}

impl Verdict {
    /// Whether delivery may resume that was paused for this. After refusals another refusal says nothing. After an outage it
    /// says that Perseus is up.
    fn ends(self, cause: Cause) -> bool {
        self == Verdict::Acknowledged || self == Verdict::Rejected && cause == Cause::Outage
    }
}

impl Trial {
    /// Prepares for trials.
    ///
    /// # Errors
    ///
    /// If TLS cannot be set up.
    pub(super) fn new(config: ProberConfig) -> Result<Self, reqwest::Error> {
        Ok(Trial {
            queue: SourceQueue::new(Queue::of_url(&config.queue, &config.sqs), &config.sqs),
            cutoff_reserve: config.delivery.cutoff_reserve,
            // Whether Perseus refuses everything is the forwarder's to find out.
            handler: Handler::new(config.delivery)?.without_refusal_streak(),
            remembered: Mutex::default(),
        })
    }

    /// The queue.
    pub(super) fn queue(&self) -> &Queue {
        self.queue.queue()
    }

    /// When this invocation ends.
    pub(super) fn deadline(&self, context: &Context) -> Deadline {
        self.handler.deadline(context)
    }

    /// Forgets all messages: delivery is not paused any more.
    pub(super) fn forget(&self) {
        *self.remembered() = Remembered::default();
    }

    /// Finds out whether delivery may resume that was paused for this.
    pub(super) async fn run(&self, cause: Cause, context: &Context, deadline: &Deadline) -> Tried {
        let Remembered { payloads, runs } = take(&mut *self.remembered());
        if payloads.is_empty() || runs >= MOST_RUNS && cause != Cause::Outage {
            return self.receive_and_try(cause, context, deadline).await;
        }
        let (mut messages, most) = (0, u32::try_from(payloads.len()).unwrap_or(u32::MAX));
        for payload in &payloads {
            let verdict = self.deliver(payload, context, share(deadline, most - messages)).await;
            messages += 1;
            if verdict.ends(cause) {
                let tried = self.receive_and_try(cause, context, deadline).await;
                return Tried { messages: messages + tried.messages, ..tried };
            }
        }
        *self.remembered() = Remembered { payloads, runs: runs + 1 };
        Tried { messages, ..Tried::default() }
    }

    /// Receives messages and tries them. All that are not acknowledged are visible at the end.
    async fn receive_and_try(&self, cause: Cause, context: &Context, deadline: &Deadline) -> Tried {
        let most = if cause == Cause::Outage { 1 } else { MOST_MESSAGES };
        let mut tried = Tried::default();
        // These stay hidden until the end, so that none is received twice.
        let mut held = Vec::new();
        while tried.messages < most && !deadline.has_passed() {
            let message = match self.queue.receive(deadline.remaining() + HIDDEN_LONGER).await {
                Ok(Some(message)) => message,
                Ok(None) => {
                    // Nothing waits, so nothing can fail.
                    tried.is_up = tried.is_up || tried.messages == 0;
                    break;
                }
                Err(error) => {
                    tried.undone = Some(error);
                    break;
                }
            };
            let payload = event(&message, &self.queue().arn());
            let verdict = self.deliver(&payload, context, share(deadline, most - tried.messages)).await;
            tried.messages += 1;
            tried.is_up = verdict.ends(cause);
            if verdict == Verdict::Acknowledged {
                tried.undone = self.queue.delete(&message.receipt_handle).await.err();
                break;
            }
            held.push((message, payload));
        }
        for (message, _) in &held {
            tried.undone = tried.undone.take().or(self.queue.release(&message.receipt_handle).await.err());
        }
        if !tried.is_up {
            self.remember(held, &context.request_id).await;
        }
        tried
    }

    /// Remembers these messages if one of them must not be received again.
    async fn remember(&self, held: Vec<(Message, Vec<u8>)>, request_id: &str) {
        let most_receives = held.iter().map(|(message, _)| message.receives()).max().unwrap_or_default();
        if most_receives < 2 {
            return;
        }
        match self.queue.max_receives().await {
            Ok(Some(max)) if most_receives * 2 >= max => {
                let payloads = held.into_iter().map(|(_, payload)| payload).collect();
                *self.remembered() = Remembered { payloads, runs: 0 };
            }
            Ok(_) => {}
            Err(error) => {
                log_line!(messages::REDRIVE_UNKNOWN, requestId = request_id, reason = error.to_string());
            }
        }
    }

    /// Delivers a message as the forwarder would.
    async fn deliver(&self, payload: &[u8], context: &Context, time: Duration) -> Verdict {
        let deadline = Deadline::within(time, self.cutoff_reserve);
        match self.handler.settle(payload, context, deadline).await {
            Ok(settled) if settled.response.batch_item_failures.is_empty() => Verdict::Acknowledged,
            Ok(settled) if settled.counts.rejected > 0 => Verdict::Rejected,
            // An error is logged by the handler. SQS sends no message that causes one.
            Ok(_) | Err(_) => Verdict::NotTaken,
        }
    }

    /// A panic while the lock is held leaves the list complete, so poisoning does not matter.
    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time for the next message, if this many are left.
fn share(deadline: &Deadline, messages: u32) -> Duration {
    let left = deadline.remaining();
    (left - (left / CALLS_SHARE).min(CALLS_TIME)) / messages
}
