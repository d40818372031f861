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
    access::Access,
    config::Config,
    core_time::CoreTime,
    dead_letter,
    deadline::{Deadline, is_date},
    deliver::Courier,
    event::{Event, EventError},
    governor::Governor,
    halt::Halt,
    ledger::{Counts, Ledger, Outcome},
    logs::first_ids,
    metrics::Metrics,
    pace::Pace,
    perseus::Perseus,
    pipeline,
    refusals::Refusals,
    sqs::{self, Queue, Sqs},
    tally::{Measures, Tally, millis},
    token::Token,
    trace::TraceContext,
    visibility::{self, Circumstances},
};

/// What is kept from one invocation to the next, and shared by those that run at once.
#[derive(Debug)]
pub struct Handler {
    config: Config,
    perseus: Perseus,
    token: Token,
    governor: Governor,
    refusals: Refusals,
    pace: Pace,
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
            governor: Governor::new(config.max_in_flight),
            refusals: Refusals::new(),
            pace: Pace::new(config.request_timeout),
            sqs: config.sqs.clone().map(Sqs::new),
            warned_of_duration: AtomicBool::new(false),
            invoked: AtomicBool::new(false),
            config,
        })
    }

    /// The same without adapting to Perseus: always up to `MAX_IN_FLIGHT` requests at once. No setting asks for
    /// this; it is what the lab compares the governor with.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    #[doc(hidden)]
    pub fn ungoverned(config: Config) -> Result<Self, reqwest::Error> {
        let governor = Governor::fixed(config.max_in_flight);
        Ok(Handler { governor, refusals: Refusals::uncounted(), ..Handler::new(config)? })
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
        let courier = self.courier(&ledger, deadline, context);
        if !event.envelopes.is_empty() && !deadline.has_passed() {
            self.deliver(&event, &courier).await;
        }
        if let Some(sqs) = &self.sqs {
            // Only what SQS confirms is in the ledger when this ends, whatever ends it.
            let asking = AssertUnwindSafe(ask_sqs(sqs, payload, &event, &courier)).catch_unwind();
            if asking.await.is_err() {
                error!(requestId = context.request_id, "a request to SQS panicked; its records are reported");
            }
        }
        let counts = ledger.counts();
        self.publish_metrics(&courier, &counts, &context.env_config.function_name);
        Ok(answer(&courier, &counts))
    }

    fn ledger<'a>(&self, event: &Event<'a>) -> Ledger<'a> {
        let ledger = Ledger::open(event);
        match &self.sqs {
            Some(sqs) if sqs.settings.rejected_queue.is_some() => ledger.with_refusals(),
            _ => ledger,
        }
    }

    async fn deliver(&self, event: &Event<'_>, courier: &Courier<'_>) {
        let delivery = AssertUnwindSafe(pipeline::run(event, courier)).catch_unwind();
        // Dropped at the cutoff, with everything in flight. What is settled is in the ledger.
        if let Ok(Err(_panic)) = timeout_at(courier.deadline.cutoff(), delivery).await {
            error!(requestId = courier.request_id, "the delivery panicked; its records are reported");
        }
        if self.refusals.are_all() {
            courier.ledger.reconsider();
        }
        // An outage has its probe all the same.
        let was_free = !courier.halt.is_set() && courier.turn.pause().is_zero();
        let had_no_time = was_free && courier.tally.requests.load(Relaxed) == 0;
        if had_no_time && courier.ledger.counts().unattempted > 0 {
            self.pace.doubt();
        }
    }

    fn courier<'a>(
        &'a self,
        ledger: &'a Ledger<'a>,
        deadline: Deadline,
        context: &'a Context,
    ) -> Courier<'a> {
        Courier {
            perseus: &self.perseus,
            access: Access::new(&self.token, &context.request_id),
            turn: self.governor.turn(),
            refusals: &self.refusals,
            pace: &self.pace,
            config: &self.config,
            core_time: CoreTime::default(),
            ledger,
            deadline,
            trace: TraceContext::new(context.xray_trace_id.as_deref()),
            request_id: &context.request_id,
            tally: Tally {
                measures: self.config.metrics.then(|| Measures::new(wall_clock())),
                ..Tally::default()
            },
            halt: Halt::default(),
            told_of_stranger: AtomicBool::new(false),
            told_of_refusals: AtomicBool::new(false),
        }
    }

    fn publish_metrics(&self, courier: &Courier<'_>, counts: &Counts, function: &str) {
        let Some(measures) = &courier.tally.measures else { return };
        let metrics = Metrics {
            function,
            request_id: courier.request_id,
            counts,
            tally: &courier.tally,
            is_misconfigured: courier.halt.is_set(),
            limit: self.governor.limit(),
            is_outage: self.governor.is_outage(),
            refuses_all: self.refusals.are_all(),
            headroom_ms: time_left_ms(courier),
        };
        if let Err(error) = metrics.publish(measures) {
            warn!(requestId = courier.request_id, reason = error.kind().to_string(), "metrics not written");
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

fn time_left_ms(courier: &Courier<'_>) -> u64 {
    millis(courier.deadline.remaining())
}

/// Asks SQS for what the settings say, once all else is settled. Each may take a half of what is left, so
/// the answer is ready before the deadline whatever SQS does.
async fn ask_sqs(sqs: &Sqs, payload: &[u8], event: &Event<'_>, courier: &Courier<'_>) {
    let Courier { ledger, deadline, request_id, .. } = courier;
    if let Some(url) = &sqs.settings.rejected_queue {
        let target = Queue::of_url(url, &sqs.settings);
        dead_letter::send(sqs, &target, event, ledger, request_id, sqs::until(deadline)).await;
    }
    if sqs.settings.visibility {
        let counts = ledger.counts();
        // Who refuses data for what is in it is up.
        let is_up = counts.acknowledged > 0 || courier.tally.has_refused.load(Relaxed);
        let is_down = counts.errored > 0 || courier.halt.is_set() || courier.turn.is_outage();
        let circumstances = Circumstances {
            outage: courier.refusals.are_all() || !is_up && is_down,
            retry_after: courier.turn.asked_for(),
        };
        let until = sqs::until(deadline);
        visibility::change(sqs, payload, event, ledger, circumstances, request_id, until).await;
    }
}

/// Why records were not sent. Told once sending has ended, with the time that was left then.
fn why_unattempted(courier: &Courier<'_>) -> String {
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    let pause = courier.turn.pause();
    if let Some(reason) = courier.halt.reason() {
        reason.to_owned()
    } else if courier.refusals.are_all() {
        "Perseus refuses everything, and is only probed".to_owned()
    } else if courier.turn.is_outage() {
        "Perseus is down, and only probed".to_owned()
    } else if courier.turn.is_held() {
        format!("Perseus asked to be left alone (Retry-After) for another {}", seconds(pause))
    } else if !pause.is_zero() {
        format!("Perseus is overloaded: the next request has to wait {}", seconds(pause))
    } else {
        let takes = courier.pace.expected();
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
fn answer(courier: &Courier<'_>, counts: &Counts) -> SqsBatchResponse {
    let ledger = courier.ledger;
    let unattempted = ledger.ids_of(Outcome::Unattempted);
    if !unattempted.is_empty() {
        warn!(
            requestId = courier.request_id,
            outcome = "unattempted",
            reason = why_unattempted(courier),
            records = unattempted.len(),
            messageIds = first_ids(&unattempted),
            "records not sent"
        );
    }
    let outstanding = ledger.outstanding();
    list_reported(courier.request_id, &outstanding);
    info!(
        requestId = courier.request_id,
        received = counts.received,
        acknowledged = counts.acknowledged,
        rejected = counts.rejected,
        deadLettered = counts.dead_lettered,
        errored = counts.errored,
        unattempted = counts.unattempted,
        reported = outstanding.len(),
        requests = courier.tally.requests.load(Relaxed),
        retries = courier.tally.retries.load(Relaxed),
        splits = courier.tally.splits.load(Relaxed),
        timeLeftMs = time_left_ms(courier),
        version = env!("CARGO_PKG_VERSION"),
        "invocation settled"
    );
    let mut response = SqsBatchResponse::default();
    outstanding.into_iter().for_each(|id| response.add_failure(id));
    response
}
