//! The answer to Lambda, and the lines and metrics that say what became of the event.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use aws_lambda_events::event::sqs::SqsBatchResponse;
use tracing::{Level, enabled};

use crate::{
    deliver::{concurrency::limit::ConcurrencyLimit, context::DeliveryContext},
    settle::ledger::{Counts, Outcome},
    telemetry::{
        VERSION,
        counters::millis,
        emf::Metrics,
        logs::first_ids,
        messages::{self, log_line},
        reasons,
    },
};

/// The ids of all outstanding records.
pub(super) fn batch_response(outstanding: Vec<&str>) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    outstanding.into_iter().for_each(|id| response.add_failure(id));
    response
}

/// Logs what became of the event. `outstanding` are the ids that are reported.
pub(super) fn log_outcome(delivery: &DeliveryContext<'_>, counts: &Counts, outstanding: &[&str]) {
    log_unattempted(delivery);
    log_reported(delivery.request_id, outstanding);
    log_line!(
        messages::SETTLED,
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
        timeLeftMs = millis(delivery.deadline.remaining()),
        version = VERSION
    );
}

fn log_unattempted(delivery: &DeliveryContext<'_>) {
    let unattempted = delivery.ledger.ids_of(Outcome::Unattempted);
    if !unattempted.is_empty() {
        log_line!(
            messages::RECORDS_NOT_SENT,
            requestId = delivery.request_id,
            outcome = "unattempted",
            reason = why_unattempted(delivery),
            records = unattempted.len(),
            messageIds = first_ids(&unattempted)
        );
    }
}

/// Why records were not sent. The times in it are those when sending has ended.
fn why_unattempted(delivery: &DeliveryContext<'_>) -> String {
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    let pause = delivery.limit.pause();
    if let Some(reason) = delivery.stop.reason() {
        reason.to_owned()
    } else if delivery.refusals.refuses_all() {
        reasons::REFUSES_ALL.to_owned()
    } else if delivery.limit.is_outage() {
        reasons::DOWN.to_owned()
    } else if delivery.limit.is_held() {
        format!("{} {}", reasons::HELD, seconds(pause))
    } else if !pause.is_zero() {
        format!("{} {}", reasons::OVERLOADED, seconds(pause))
    } else {
        let takes = delivery.latency.expected();
        format!("{} {}", reasons::NO_TIME, seconds(takes))
    }
}

/// Logs the ids of all reported records, at DEBUG.
fn log_reported(request_id: &str, ids: &[&str]) {
    /// A line of this many ids takes about 18 KiB.
    const IDS_PER_LINE: usize = 500;
    if enabled!(Level::DEBUG) {
        for ids in ids.chunks(IDS_PER_LINE) {
            log_line!(
                messages::RECORDS_REPORTED,
                requestId = request_id,
                records = ids.len(),
                messageIds = ids.join(" ")
            );
        }
    }
}

/// Writes the metrics, if they are on.
pub(super) fn publish_metrics(
    delivery: &DeliveryContext<'_>,
    counts: &Counts,
    concurrency: &ConcurrencyLimit,
    lambda: &lambda_runtime::Config,
) {
    let Some(stats) = &delivery.counters.stats else { return };
    let metrics = Metrics {
        function: &lambda.function_name,
        function_version: &lambda.version,
        request_id: delivery.request_id,
        counts,
        counters: &delivery.counters,
        is_misconfigured: delivery.stop.is_set(),
        limit: concurrency.current(),
        is_outage: concurrency.is_outage(),
        refuses_all: delivery.refusals.refuses_all(),
        headroom_ms: millis(delivery.deadline.remaining()),
    };
    if let Err(error) = metrics.publish(stats) {
        log_line!(
            messages::METRICS_NOT_WRITTEN,
            requestId = delivery.request_id,
            reason = error.kind().to_string()
        );
    }
}
