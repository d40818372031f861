//! One invocation: event and context in, batch response out.

use std::{
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use aws_lambda_events::event::sqs::SqsBatchResponse;
use futures_util::FutureExt;
use lambda_runtime::Context;
use tokio::time::timeout_at;
use tracing::{Level, debug, enabled, error, info, warn};

use crate::{
    config::Config,
    core_time::CoreTime,
    deadline::{Deadline, is_date},
    decode::event::{Event, EventError},
    deliver::{
        concurrency::ConcurrencyLimit, delivery::DeliveryContext, latency::LatencyEstimate, pipeline,
        refusals::Refusals, stop::StopSignal,
    },
    perseus::{auth::Authentication, client::Perseus, token::Token},
    settle::ledger::{Counts, Ledger, Outcome},
    sqs::{
        client as sqs,
        client::Sqs,
        dead_letter,
        queue::Queue,
        visibility::{self, Circumstances},
    },
    telemetry::{
        counters::{Counters, Stats, millis},
        emf::Metrics,
        logs::first_ids,
        trace::TraceContext,
    },
};

/// What is kept from one invocation to the next, and shared by those that run at once.
#[derive(Debug)]
pub struct Handler {
    config: Config,
    perseus: Perseus,
    token: Token,
    concurrency: ConcurrencyLimit,
    refusals: Refusals,
    latency: LatencyEstimate,
    sqs: Option<Sqs>,
    warned_of_duration: AtomicBool,
    /// Whether there has been an invocation.
    invoked: AtomicBool,
}

impl Handler {
    /// Gets ready for invocations.
    ///
    /// # Errors
    ///
    /// If TLS cannot be set up.
    pub fn new(config: Config) -> Result<Self, reqwest::Error> {
        Ok(Handler {
            perseus: Perseus::new(&config)?,
            token: Token::new(config.token.clone()),
            concurrency: ConcurrencyLimit::new(config.max_in_flight),
            refusals: Refusals::new(),
            latency: LatencyEstimate::new(config.request_timeout),
            sqs: config.sqs.clone().map(Sqs::new),
            warned_of_duration: AtomicBool::new(false),
            invoked: AtomicBool::new(false),
            config,
        })
    }

    /// The same without adapting to Perseus: always up to `MAX_IN_FLIGHT` requests at once. No setting asks for
    /// this; it is what the lab compares the adaptive limit with.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    #[doc(hidden)]
    pub fn ungoverned(config: Config) -> Result<Self, reqwest::Error> {
        let concurrency = ConcurrencyLimit::fixed(config.max_in_flight);
        Ok(Handler { concurrency, refusals: Refusals::uncounted(), ..Handler::new(config)? })
    }

    /// Delivers the records of an event and answers with those that were not delivered, before the
    /// deadline.
    ///
    /// # Errors
    ///
    /// If the payload is not an SQS event: then the whole batch has to return.
    pub async fn handle(&self, payload: &[u8], context: &Context) -> Result<SqsBatchResponse, EventError> {
        let deadline = self.deadline(context);
        let event = Event::open(payload).await.inspect_err(|refusal| {
            error!(requestId = context.request_id, reason = refusal.to_string(), "event refused");
        })?;
        let ledger = self.ledger(&event);
        let delivery = self.delivery_context(&ledger, deadline, context);
        if !event.envelopes.is_empty() && !deadline.has_passed() {
            self.deliver(&event, &delivery).await;
        }
        if let Some(sqs) = &self.sqs {
            // Only what SQS confirms is in the ledger when this ends, whatever ends it.
            let asking = AssertUnwindSafe(ask_sqs(sqs, payload, &event, &delivery)).catch_unwind();
            if asking.await.is_err() {
                error!(requestId = context.request_id, "a request to SQS panicked; its records are reported");
            }
        }
        let counts = ledger.counts();
        self.publish_metrics(&delivery, &counts, &context.env_config.function_name);
        Ok(answer(&delivery, &counts))
    }

    fn ledger<'a>(&self, event: &Event<'a>) -> Ledger<'a> {
        let ledger = Ledger::open(event);
        match &self.sqs {
            Some(sqs) if sqs.settings.rejected_queue.is_some() => ledger.with_refusals(),
            _ => ledger,
        }
    }

    async fn deliver(&self, event: &Event<'_>, delivery: &DeliveryContext<'_>) {
        let running = AssertUnwindSafe(pipeline::run(event, delivery)).catch_unwind();
        // Dropped at the cutoff, with everything in flight. What is settled is in the ledger.
        if let Ok(Err(_panic)) = timeout_at(delivery.deadline.cutoff(), running).await {
            error!(requestId = delivery.request_id, "the delivery panicked; its records are reported");
        }
        if self.refusals.are_all() {
            delivery.ledger.reconsider();
        }
        // An outage has its probe all the same.
        let was_free = !delivery.stop.is_set() && delivery.limit.pause().is_zero();
        let had_no_time = was_free && delivery.counters.requests.load(Relaxed) == 0;
        if had_no_time && delivery.ledger.counts().unattempted > 0 {
            self.latency.halve();
        }
    }

    fn delivery_context<'a>(
        &'a self,
        ledger: &'a Ledger<'a>,
        deadline: Deadline,
        context: &'a Context,
    ) -> DeliveryContext<'a> {
        DeliveryContext {
            perseus: &self.perseus,
            authentication: Authentication::new(&self.token, &context.request_id),
            limit: self.concurrency.for_invocation(),
            refusals: &self.refusals,
            latency: &self.latency,
            config: &self.config,
            core_time: CoreTime::default(),
            ledger,
            deadline,
            trace: TraceContext::new(context.xray_trace_id.as_deref()),
            request_id: &context.request_id,
            counters: Counters {
                stats: self.config.metrics.then(|| Stats::new(wall_clock())),
                ..Counters::default()
            },
            stop: StopSignal::default(),
            told_of_stranger: AtomicBool::new(false),
            told_of_refusals: AtomicBool::new(false),
        }
    }

    fn publish_metrics(&self, delivery: &DeliveryContext<'_>, counts: &Counts, function: &str) {
        let Some(stats) = &delivery.counters.stats else { return };
        let metrics = Metrics {
            function,
            request_id: delivery.request_id,
            counts,
            counters: &delivery.counters,
            is_misconfigured: delivery.stop.is_set(),
            limit: self.concurrency.allowed(),
            is_outage: self.concurrency.is_outage(),
            refuses_all: self.refusals.are_all(),
            headroom_ms: time_left_ms(delivery),
        };
        if let Err(error) = metrics.publish(stats) {
            warn!(requestId = delivery.request_id, reason = error.kind().to_string(), "metrics not written");
        }
    }

    fn deadline(&self, context: &Context) -> Deadline {
        if !is_date(context.deadline) && !self.warned_of_duration.swap(true, Relaxed) {
            warn!(
                requestId = context.request_id,
                deadline = context.deadline,
                "the deadline is no date; read as milliseconds from now (local tools send that)"
            );
        }
        let deadline = Deadline::new(context.deadline, wall_clock(), self.config.cutoff_reserve);
        // Of the function's time-out Lambda tells only what is left. That is nearly all of it in the first invocation; later
        // ones may come out of a long freeze.
        if !self.invoked.swap(true, Relaxed) && deadline.has_passed() {
            error!(
                requestId = context.request_id,
                timeLeftMs = millis(deadline.remaining()),
                reserveMs = millis(self.config.cutoff_reserve),
                lookAt = "the function's Timeout and CUTOFF_RESERVE",
                "no time to send anything: the invocation began with no more than CUTOFF_RESERVE"
            );
        }
        deadline
    }
}

/// The time of day, which Lambda's deadlines and SQS' timestamps are in.
#[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read for them")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

fn time_left_ms(delivery: &DeliveryContext<'_>) -> u64 {
    millis(delivery.deadline.remaining())
}

/// Asks SQS for what the settings say, once all else is settled. Each may take a half of what is left, so
/// the answer is ready before the deadline whatever SQS does.
async fn ask_sqs(sqs: &Sqs, payload: &[u8], event: &Event<'_>, delivery: &DeliveryContext<'_>) {
    let DeliveryContext { ledger, deadline, request_id, .. } = delivery;
    if let Some(url) = &sqs.settings.rejected_queue {
        let target = Queue::of_url(url, &sqs.settings);
        dead_letter::send(sqs, &target, event, ledger, request_id, sqs::until(deadline)).await;
    }
    if sqs.settings.visibility {
        let counts = ledger.counts();
        // Who refuses data for what is in it is up.
        let is_up = counts.acknowledged > 0 || delivery.counters.has_refused.load(Relaxed);
        let is_down = counts.errored > 0 || delivery.stop.is_set() || delivery.limit.is_outage();
        let circumstances = Circumstances {
            outage: delivery.refusals.are_all() || !is_up && is_down,
            retry_after: delivery.limit.asked_for(),
        };
        let until = sqs::until(deadline);
        visibility::change(sqs, payload, event, ledger, circumstances, request_id, until).await;
    }
}

/// Why records were not sent. Told once sending has ended, with the time that was left then.
fn why_unattempted(delivery: &DeliveryContext<'_>) -> String {
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    let pause = delivery.limit.pause();
    if let Some(reason) = delivery.stop.reason() {
        reason.to_owned()
    } else if delivery.refusals.are_all() {
        "Perseus refuses everything, and is only probed".to_owned()
    } else if delivery.limit.is_outage() {
        "Perseus is down, and only probed".to_owned()
    } else if delivery.limit.is_held() {
        format!("Perseus asked to be left alone (Retry-After) for another {}", seconds(pause))
    } else if !pause.is_zero() {
        format!("Perseus is overloaded: the next request has to wait {}", seconds(pause))
    } else {
        let takes = delivery.latency.expected();
        format!("no time left for an attempt, which is expected to take {}", seconds(takes))
    }
}

/// The ids of all that is reported, for who wants to know each of them.
fn list_reported(request_id: &str, ids: &[&str]) {
    /// A line of them takes about 18 KiB.
    const IN_A_LINE: usize = 500;
    if enabled!(Level::DEBUG) {
        for ids in ids.chunks(IN_A_LINE) {
            debug!(
                requestId = request_id,
                records = ids.len(),
                messageIds = ids.join(" "),
                "records reported"
            );
        }
    }
}

/// Answers with whatever is outstanding, and logs what became of the event.
fn answer(delivery: &DeliveryContext<'_>, counts: &Counts) -> SqsBatchResponse {
    let ledger = delivery.ledger;
    let unattempted = ledger.ids_of(Outcome::Unattempted);
    if !unattempted.is_empty() {
        warn!(
            requestId = delivery.request_id,
            outcome = "unattempted",
            reason = why_unattempted(delivery),
            records = unattempted.len(),
            messageIds = first_ids(&unattempted),
            "records not sent"
        );
    }
    let outstanding = ledger.outstanding();
    list_reported(delivery.request_id, &outstanding);
    info!(
        requestId = delivery.request_id,
        received = counts.received,
        acknowledged = counts.acknowledged,
        rejected = counts.rejected,
        deadLettered = counts.dead_lettered,
        errored = counts.errored,
        unattempted = counts.unattempted,
        reported = outstanding.len(),
        requests = delivery.counters.requests.load(Relaxed),
        retries = delivery.counters.retries.load(Relaxed),
        splits = delivery.counters.splits.load(Relaxed),
        timeLeftMs = time_left_ms(delivery),
        version = env!("CARGO_PKG_VERSION"),
        "invocation settled"
    );
    let mut response = SqsBatchResponse::default();
    outstanding.into_iter().for_each(|id| response.add_failure(id));
    response
}
