//! One invocation: event and context in, batch response out.

use std::{
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use aws_lambda_events::event::sqs::SqsBatchResponse;
use futures_util::FutureExt;
use lambda_runtime::Context;
use tokio::{join, time::timeout_at};

use crate::{
    aws::failure::CallError,
    breaker::{
        mark::Cause,
        pause::{CircuitBreaker, Delivery, Seen},
    },
    config::Config,
    deadline::{Deadline, is_date},
    decode::event::{Event, EventError},
    deliver::{
        concurrency::limit::ConcurrencyLimit,
        context::{Advice, DeliveryContext},
        latency::LatencyEstimate,
        pipeline,
        refusal_streak::RefusalStreak,
        stop::StopSignal,
    },
    lambda::response::{batch_response, log_outcome, publish_metrics},
    perseus::{
        auth::{Authentication, Credentials},
        client::Perseus,
    },
    settle::ledger::{Counts, Ledger},
    sqs::{
        client as sqs_client,
        client::Sqs,
        dead_letter,
        queue::Queue,
        visibility::{self, Circumstances},
    },
    telemetry::{
        counters::{Counters, Stats, millis},
        messages::{self, log_line},
        trace::TraceContext,
    },
    yield_budget::YieldBudget,
};

/// What became of an event.
#[derive(Debug)]
pub(crate) struct Settled {
    /// The answer to Lambda.
    pub(crate) response: SqsBatchResponse,
    /// How many records had which outcome.
    pub(crate) counts: Counts,
}

/// Handles invocations, and keeps what they learn and share. On Managed Instances several run at the same time.
#[derive(Debug)]
pub struct Handler {
    config: Config,
    perseus: Perseus,
    credentials: Credentials,
    concurrency: ConcurrencyLimit,
    refusals: RefusalStreak,
    latency: LatencyEstimate,
    sqs: Option<Sqs>,
    breaker: Option<CircuitBreaker>,
    warned_of_duration: AtomicBool,
    /// Whether this environment has had an invocation.
    invoked: AtomicBool,
}

impl Handler {
    /// Prepares for invocations.
    ///
    /// # Errors
    ///
    /// If TLS cannot be set up.
    pub fn new(config: Config) -> Result<Self, reqwest::Error> {
        Ok(Handler {
            perseus: Perseus::new(&config)?,
            credentials: Credentials::new(&config),
            concurrency: ConcurrencyLimit::new(config.max_in_flight),
            refusals: RefusalStreak::new(),
            latency: LatencyEstimate::new(config.request_timeout),
            sqs: config.sqs.clone().map(Sqs::new),
            breaker: config.circuit_breaker.clone().map(CircuitBreaker::new),
            warned_of_duration: AtomicBool::new(false),
            invoked: AtomicBool::new(false),
            config,
        })
    }

    /// A handler that adapts to nothing: always up to `MAX_IN_FLIGHT` requests at once, and no check whether Perseus
    /// refuses everything. No setting turns this on. The lab compares the adaptive limit with it.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    #[doc(hidden)]
    pub fn with_fixed_limit(config: Config) -> Result<Self, reqwest::Error> {
        let concurrency = ConcurrencyLimit::fixed(config.max_in_flight);
        Ok(Handler { concurrency, refusals: RefusalStreak::disabled(), ..Handler::new(config)? })
    }

    /// The same without a check whether Perseus refuses everything.
    pub(crate) fn without_refusal_streak(self) -> Self {
        Handler { refusals: RefusalStreak::disabled(), ..self }
    }

    /// Delivers the records of an event. Answers before the deadline, with the ids of the records that were not delivered.
    ///
    /// # Errors
    ///
    /// If the payload is not an SQS event. Lambda then returns the whole batch to the queue.
    pub async fn handle(&self, payload: &[u8], context: &Context) -> Result<SqsBatchResponse, EventError> {
        Ok(self.settle(payload, context, self.deadline(context)).await?.response)
    }

    /// As [`handle`](Self::handle), with this deadline. Also returns how many records had which outcome.
    ///
    /// # Errors
    ///
    /// As [`handle`](Self::handle).
    pub(crate) async fn settle(
        &self,
        payload: &[u8],
        context: &Context,
        deadline: Deadline,
    ) -> Result<Settled, EventError> {
        let event = Event::open(payload).await.inspect_err(|refusal| {
            log_line!(messages::EVENT_REFUSED, requestId = context.request_id, reason = refusal.to_string());
        })?;
        let ledger = self.ledger(&event);
        let delivery = self.delivery_context(&ledger, deadline, context);
        if !event.envelopes.is_empty() && !deadline.has_passed() {
            self.deliver(&event, &delivery).await;
        }
        join!(self.call_sqs(payload, &event, &delivery), self.pause(&event, &delivery, context));
        let (counts, outstanding) = (ledger.counts(), ledger.outstanding());
        publish_metrics(&delivery, &counts, &self.concurrency, &context.env_config);
        log_outcome(&delivery, &counts, &outstanding);
        Ok(Settled { response: batch_response(outstanding), counts })
    }

    fn ledger<'a>(&self, event: &Event<'a>) -> Ledger<'a> {
        let ledger = Ledger::open(event);
        match &self.sqs {
            Some(sqs) if sqs.settings.rejected_queue.is_some() => ledger.with_refusals(),
            _ => ledger,
        }
    }

    /// Delivers until all records are settled or the cutoff comes.
    async fn deliver(&self, event: &Event<'_>, delivery: &DeliveryContext<'_>) {
        let running = AssertUnwindSafe(pipeline::run(event, delivery)).catch_unwind();
        // At the cutoff this drops all requests in flight. The outcomes so far are in the ledger.
        if let Ok(Err(_panic)) = timeout_at(delivery.deadline.cutoff(), running).await {
            log_line!(messages::THE_DELIVERY_PANICKED, requestId = delivery.request_id);
        }
        if self.refusals.refuses_all() {
            delivery.ledger.reconsider();
        }
        // Sending was neither stopped nor paused, and still nothing was sent: an attempt of the expected length did not fit. (In an outage
        // a probe was sent, so the estimate stays.)
        let could_send = !delivery.stop.is_set() && delivery.limit.pause().is_zero();
        let had_no_time = could_send && delivery.counters.requests.load(Relaxed) == 0;
        if had_no_time && delivery.ledger.counts().unattempted > 0 {
            self.latency.halve();
        }
    }

    /// Calls SQS as the settings say, once all deliveries have ended.
    async fn call_sqs(&self, payload: &[u8], event: &Event<'_>, delivery: &DeliveryContext<'_>) {
        let Some(sqs) = &self.sqs else { return };
        let calls = async {
            send_dead_letters(sqs, event, delivery).await;
            change_visibility(sqs, payload, event, delivery).await;
        };
        // The ledger has only what SQS confirmed, even after a panic.
        if AssertUnwindSafe(calls).catch_unwind().await.is_err() {
            log_line!(messages::SQS_PANICKED, requestId = delivery.request_id);
        }
    }

    /// Pauses delivery if Perseus has been down for long enough. It too has half of the time that is left.
    async fn pause(&self, event: &Event<'_>, delivery: &DeliveryContext<'_>, context: &Context) {
        let (Some(breaker), Some(queue)) = (&self.breaker, &event.queue) else { return };
        let seen = Seen {
            has_acknowledged: delivery.ledger.counts().acknowledged > 0,
            is_misconfigured: delivery.stop.is_set(),
            refuses_all: self.refusals.refuses_all(),
            outage: self.concurrency.outage(),
        };
        let Some(cause) = breaker.learn(seen) else { return };
        let of = Delivery {
            function_arn: &context.invoked_function_arn,
            function: &context.env_config.function_name,
            queue,
        };
        let now = self.config.wall_clock.now();
        let pausing = breaker.pause(of, cause, now, sqs_client::until(&delivery.deadline));
        let paused = AssertUnwindSafe(pausing).catch_unwind().await;
        log_pause(cause, paused.ok(), delivery.request_id);
    }

    fn delivery_context<'a>(
        &'a self,
        ledger: &'a Ledger<'a>,
        deadline: Deadline,
        context: &'a Context,
    ) -> DeliveryContext<'a> {
        DeliveryContext {
            perseus: &self.perseus,
            authentication: Authentication::new(&self.credentials, &context.request_id),
            limit: self.concurrency.invocation_limit(),
            refusals: &self.refusals,
            latency: &self.latency,
            config: &self.config,
            yield_budget: YieldBudget::default(),
            ledger,
            deadline,
            trace: TraceContext::new(context.xray_trace_id.as_deref()),
            request_id: &context.request_id,
            counters: Counters {
                stats: self.config.metrics.then(|| Stats::new(self.config.wall_clock.now())),
                ..Counters::default()
            },
            stop: StopSignal::default(),
            advice: Advice::default(),
        }
    }

    /// When this invocation ends.
    pub(crate) fn deadline(&self, context: &Context) -> Deadline {
        if !is_date(context.deadline) && !self.warned_of_duration.swap(true, Relaxed) {
            log_line!(
                messages::DEADLINE_IS_NO_DATE,
                requestId = context.request_id,
                deadline = context.deadline
            );
        }
        let Config { wall_clock, cutoff_reserve, .. } = &self.config;
        let deadline = Deadline::new(context.deadline, wall_clock.now(), *cutoff_reserve);
        // Lambda does not tell the function's time-out, only the time that is left. In the first invocation that is nearly all
        // of it. A later one may have lost time in a freeze.
        if !self.invoked.swap(true, Relaxed) && deadline.has_passed() {
            log_line!(
                messages::NO_TIME_TO_SEND,
                requestId = context.request_id,
                timeLeftMs = millis(deadline.remaining()),
                reserveMs = millis(*cutoff_reserve),
                lookAt = "the function's Timeout and CUTOFF_RESERVE"
            );
        }
        deadline
    }
}

/// Says whether delivery is paused now. `paused` is none after a panic.
fn log_pause(cause: Cause, paused: Option<Result<bool, CallError>>, request_id: &str) {
    match paused {
        Some(Ok(true)) => {
            log_line!(messages::DELIVERY_PAUSED, requestId = request_id, pausedFor = cause.name());
        }
        // It was paused already, or is about to change.
        Some(Ok(false)) => {}
        Some(Err(error)) => {
            log_line!(messages::DELIVERY_NOT_PAUSED, requestId = request_id, reason = error.to_string());
        }
        None => log_line!(messages::PAUSE_PANICKED, requestId = request_id),
    }
}

/// Sends rejected records to the queue for them. It has half of the time that is left, so the answer is in time even if SQS
/// hangs.
async fn send_dead_letters(sqs: &Sqs, event: &Event<'_>, delivery: &DeliveryContext<'_>) {
    let Some(url) = &sqs.settings.rejected_queue else { return };
    let target = Queue::of_url(url, &sqs.settings);
    let until = sqs_client::until(&delivery.deadline);
    dead_letter::send(sqs, &target, event, delivery.ledger, delivery.request_id, until).await;
}

/// Decides when the reported messages are delivered again. It too has half of the time that is left.
async fn change_visibility(sqs: &Sqs, payload: &[u8], event: &Event<'_>, delivery: &DeliveryContext<'_>) {
    if !sqs.settings.visibility {
        return;
    }
    let counts = delivery.ledger.counts();
    // A refusal of content proves that Perseus is reachable.
    let is_up = counts.acknowledged > 0 || delivery.counters.has_refused.load(Relaxed);
    let is_down = counts.errored > 0 || delivery.stop.is_set() || delivery.limit.is_outage();
    let circumstances = Circumstances {
        outage: delivery.refusals.refuses_all() || !is_up && is_down,
        retry_after: delivery.limit.retry_after_left(),
    };
    let until = sqs_client::until(&delivery.deadline);
    visibility::change(sqs, payload, event, delivery.ledger, circumstances, delivery.request_id, until).await;
}
