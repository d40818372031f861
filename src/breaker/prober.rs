//! The prober: a function of its own that a schedule invokes each minute. While delivery is paused it tries one message, and
//! resumes delivery once Perseus has acknowledged it.

use std::time::Duration;

use futures_util::FutureExt;
use lambda_runtime::Context;
use tokio::time::timeout_at;

use crate::{
    aws::{
        date::iso_8601,
        failure::{CallError, Failure},
    },
    breaker::{
        lambda_api::LambdaApi,
        mapping::{Mapping, State},
        mark::{Cause, Mark},
        probe::event,
    },
    config::ProberConfig,
    deadline::Deadline,
    lambda::handler::{Handler, wall_clock},
    sqs::{
        message::{Message, SourceQueue},
        queue::Queue,
    },
    telemetry::{
        counters::{Stats, millis},
        emf::{self, Metric},
        messages::{self, log_line},
    },
};

/// How many different messages a run tries after refusals or a wrong set-up. The first ones may be the bad ones.
const MOST_MESSAGES: u32 = 5;

/// What a run leaves for its calls after the last delivery: the time left divided by this, and at most the second.
const CALLS_SHARE: u32 = 4;
const CALLS_TIME: Duration = Duration::from_secs(10);

/// A forwarder disables the mapping sooner than this after it has put the mark there.
const FRESH: Duration = Duration::from_secs(60);

/// How much longer a message is hidden than the run can last.
const HIDDEN_LONGER: Duration = Duration::from_secs(5);

/// Handles the schedule's invocations, and keeps what they learn of Perseus.
#[derive(Debug)]
pub struct Prober {
    mapping: String,
    lambda: LambdaApi,
    queue: SourceQueue,
    cutoff_reserve: Duration,
    has_metrics: bool,
    handler: Handler,
}

/// What a run has found and done.
#[derive(Debug)]
struct Report {
    state: State,
    mark: Option<Mark>,
    /// How many messages were tried.
    tried: u32,
    /// Whether delivery is paused by the breaker at the end.
    is_paused: bool,
}

/// What a run has done with messages.
#[derive(Debug, Default)]
struct Tried {
    messages: u32,
    /// The receipt handles of those that were not acknowledged. They stay hidden until the end, so that none is tried twice.
    held: Vec<String>,
    /// The first call that failed.
    undone: Option<CallError>,
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

impl Prober {
    /// Prepares for invocations.
    ///
    /// # Errors
    ///
    /// If TLS cannot be set up.
    pub fn new(config: ProberConfig) -> Result<Self, reqwest::Error> {
        Ok(Prober {
            mapping: config.mapping,
            lambda: LambdaApi::new(config.lambda),
            queue: SourceQueue::new(Queue::of_url(&config.queue, &config.sqs), &config.sqs),
            cutoff_reserve: config.delivery.cutoff_reserve,
            has_metrics: config.delivery.metrics,
            handler: Handler::new(config.delivery)?,
        })
    }

    /// Looks at the mapping. If the breaker has paused it, tries a message, and resumes delivery if that succeeds.
    ///
    /// # Errors
    ///
    /// If a call fails whose work is then undone. The next run does it.
    pub async fn run(&self, context: &Context) -> Result<(), CallError> {
        let deadline = self.handler.deadline(context);
        let late = CallError { action: "no action", failure: Failure::Timeout };
        let run = self.look(context, &deadline);
        let report = timeout_at(deadline.cutoff(), run).await.unwrap_or(Err(late))?;
        self.tell(&report, context, &deadline);
        Ok(())
    }

    async fn look(&self, context: &Context, deadline: &Deadline) -> Result<Report, CallError> {
        let mapping = self.mapping().await?;
        let mark = self.lambda.mark(&mapping).await?;
        let state = mapping.state;
        let (tried, is_paused) = match (state, &mark) {
            (State::Enabled, Some(mark)) => (0, self.remove_stale(&mapping, mark).await?),
            (State::Disabled, Some(mark)) => self.probe(&mapping, mark, context, deadline).await?,
            (State::Enabled | State::Disabled, None) => (0, false),
            (State::Changing, mark) => (0, mark.is_some()),
        };
        Ok(Report { state, mark, tried, is_paused })
    }

    /// The mapping. It has to read the queue that messages are received from here.
    async fn mapping(&self) -> Result<Mapping, CallError> {
        let mapping = self.lambda.mapping(&self.mapping).await?;
        let reads_ours = mapping.queue.as_deref().is_none_or(|arn| self.queue.queue().has_arn(arn));
        let other = CallError { action: "GetEventSourceMapping", failure: Failure::OtherMapping };
        if reads_ours { Ok(mapping) } else { Err(other) }
    }

    /// Takes the mark off an enabled mapping. Returns whether delivery is paused.
    ///
    /// A forwarder may have put the mark there a moment ago, and disable the mapping now. Without the mark nobody would
    /// enable it again, so then it gets the mark back. An older mark is no forwarder's that is about to disable it.
    async fn remove_stale(&self, mapping: &Mapping, mark: &Mark) -> Result<bool, CallError> {
        self.lambda.remove_mark(mapping).await?;
        let is_fresh = mark.since >= iso_8601(wall_clock() - FRESH);
        let is_paused = is_fresh && self.mapping().await?.state != State::Enabled;
        if is_paused {
            self.lambda.put_mark(mapping, mark).await?;
        }
        Ok(is_paused)
    }

    /// Tries messages, and resumes delivery if that succeeds. Returns how many were tried, and whether delivery is paused.
    async fn probe(
        &self,
        mapping: &Mapping,
        mark: &Mark,
        context: &Context,
        deadline: &Deadline,
    ) -> Result<(u32, bool), CallError> {
        let most = if mark.cause == Cause::Outage { 1 } else { MOST_MESSAGES };
        let mut tried = Tried::default();
        let verdict = self.try_messages(most, &mut tried, context, deadline).await;
        for handle in &tried.held {
            tried.undone = tried.undone.take().or(self.queue.release(handle).await.err());
        }
        let is_up = match verdict {
            Some(Verdict::Acknowledged) => true,
            // After refusals another refusal says nothing. After an outage it says that Perseus is up.
            Some(Verdict::Rejected) => mark.cause == Cause::Outage,
            Some(Verdict::NotTaken) => false,
            None => tried.undone.is_none() && tried.messages == 0,
        };
        if is_up {
            self.resume(mapping, mark, &context.request_id).await?;
        }
        tried.undone.map_or(Ok((tried.messages, !is_up)), Err)
    }

    /// Tries up to `most` different messages until Perseus takes one. Returns what came of the last one; none if none was
    /// received.
    async fn try_messages(
        &self,
        most: u32,
        tried: &mut Tried,
        context: &Context,
        deadline: &Deadline,
    ) -> Option<Verdict> {
        let mut verdict = None;
        while tried.messages < most && !deadline.has_passed() {
            let message = match self.queue.receive(deadline.remaining() + HIDDEN_LONGER).await {
                Ok(message) => message?,
                Err(error) => {
                    tried.undone = Some(error);
                    return verdict;
                }
            };
            let calls = (deadline.remaining() / CALLS_SHARE).min(CALLS_TIME);
            let share = (deadline.remaining() - calls) / (most - tried.messages);
            tried.messages += 1;
            verdict = Some(self.deliver(&message, context, share).await);
            if verdict == Some(Verdict::Acknowledged) {
                tried.undone = self.queue.delete(&message.receipt_handle).await.err();
                break;
            }
            tried.held.push(message.receipt_handle);
        }
        verdict
    }

    /// Delivers a message as the forwarder would.
    async fn deliver(&self, message: &Message, context: &Context, time: Duration) -> Verdict {
        let payload = event(message, &self.queue.queue().arn());
        let deadline = Deadline::within(time, self.cutoff_reserve);
        // Boxed: the compiler gives up on futures that are nested as deep as this one would be.
        match self.handler.settle(&payload, context, deadline).boxed().await {
            Ok(settled) if settled.response.batch_item_failures.is_empty() => Verdict::Acknowledged,
            Ok(settled) if settled.counts.rejected > 0 => Verdict::Rejected,
            // An error is logged by the handler. SQS sends no message that causes one.
            Ok(_) | Err(_) => Verdict::NotTaken,
        }
    }

    /// Enables the mapping, and takes the mark off. In this order: a mapping without the mark is never enabled.
    async fn resume(&self, mapping: &Mapping, mark: &Mark, request_id: &str) -> Result<(), CallError> {
        self.lambda.enable(mapping).await?;
        log_line!(messages::DELIVERY_RESUMED, requestId = request_id, pausedSince = mark.since);
        self.lambda.remove_mark(mapping).await
    }

    fn tell(&self, report: &Report, context: &Context, deadline: &Deadline) {
        let Report { state, mark, tried, is_paused } = report;
        if self.has_metrics {
            let paused = Metric::count("BreakerPaused", usize::from(*is_paused));
            let function = &context.env_config.function_name;
            let now = Stats::new(wall_clock()).now();
            let published = emf::publish(function, &context.request_id, now, &[paused]);
            if let Err(error) = published {
                let reason = error.kind().to_string();
                log_line!(messages::METRICS_NOT_WRITTEN, requestId = context.request_id, reason);
            }
        }
        log_line!(
            messages::PROBE_SETTLED,
            requestId = context.request_id,
            mapping = state.name(),
            pausedSince = mark.as_ref().map(|mark| mark.since.as_str()),
            pausedFor = mark.as_ref().map(|mark| mark.cause.name()),
            tried,
            paused = is_paused,
            timeLeftMs = millis(deadline.remaining()),
            version = env!("CARGO_PKG_VERSION")
        );
    }
}
