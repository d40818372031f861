//! The planted defects: what each makes of the function, and where it shows.

/// A defect.
pub(crate) struct Defect {
    /// Its name.
    pub(crate) name: &'static str,
    /// The file of the function in which it is.
    pub(crate) file: &'static str,
    /// An expression or statement that is there once.
    pub(crate) good: &'static str,
    /// What takes its place.
    pub(crate) bad: &'static str,
    /// The scenario that shows it.
    pub(crate) scenario: &'static str,
    /// The invariant that it breaks.
    pub(crate) breaks: &'static str,
}

const LOSS: &str = "deleted is delivered";
const ORDER: &str = "order within groups";
const KEYS: &str = "one key, one body";
const RETURNED: &str = "tried before returned";
const ANSWERED: &str = "resumed after a reply";

/// All of them.
pub(crate) const DEFECTS: &[Defect] = &[
    Defect {
        name: "a time-out counts as success",
        file: "perseus/client.rs",
        good: "timeout_at(until, exchange).await.unwrap_or(Err(Failure::Timeout))",
        bad: "timeout_at(until, exchange).await.unwrap_or(Ok(Reply { status: StatusCode::OK, retry_after: None, is_html: false, \
              body: Vec::new() }))",
        scenario: "flaky",
        breaks: LOSS,
    },
    Defect {
        name: "a lost connection counts as success",
        file: "perseus/client.rs",
        good: "Err(Failure::Lost { pooled: !CONNECTS.with(Cell::get), error })",
        bad: "{ drop(error); Ok(Reply { status: StatusCode::OK, retry_after: None, is_html: false, body: Vec::new() }) }",
        scenario: "flaky",
        breaks: LOSS,
    },
    Defect {
        name: "a reply cut short is taken for whole",
        file: "http.rs",
        good: "response.chunk().await?",
        bad: "response.chunk().await.unwrap_or(None)",
        scenario: "flaky",
        breaks: LOSS,
    },
    Defect {
        name: "redirects are followed",
        file: "http.rs",
        good: "redirect::Policy::none()",
        bad: "redirect::Policy::limited(10)",
        scenario: "misconfigured",
        breaks: LOSS,
    },
    Defect {
        name: "a 500 counts as success",
        file: "perseus/status.rs",
        good: "u16::from(status)",
        bad: "if status.as_u16() == 500 { 200 } else { status.as_u16() }",
        scenario: "flaky",
        breaks: LOSS,
    },
    Defect {
        name: "a 207 counts as a 200",
        file: "perseus/status.rs",
        good: "Action::Read",
        bad: "Action::Accept",
        scenario: "verdicts",
        breaks: LOSS,
    },
    Defect {
        name: "verdicts are ignored",
        file: "perseus/reply.rs",
        good: "refused(failures, ids)",
        bad: "Verdict::Accepted",
        scenario: "verdicts",
        breaks: LOSS,
    },
    Defect {
        name: "an id that was not sent is passed over",
        file: "perseus/reply.rs",
        good: "return Verdict::Unknown(UNKNOWN_ID);",
        bad: "continue;",
        scenario: "verdicts",
        breaks: LOSS,
    },
    Defect {
        name: "a verdict by name on bodies alone is believed",
        file: "deliver/answer.rs",
        good: "Vec::new()",
        bad: "outstanding.ids()",
        scenario: "flaky",
        breaks: LOSS,
    },
    Defect {
        name: "records that were forgotten count as acknowledged",
        file: "settle/ledger.rs",
        good: "AtomicU8::new(Outcome::Unattempted as u8)",
        bad: "AtomicU8::new(Outcome::Acknowledged as u8)",
        scenario: "outage",
        breaks: LOSS,
    },
    Defect {
        name: "records in flight at the cutoff are forgotten",
        file: "settle/ledger.rs",
        good: "self.note(slot, Outcome::Errored)",
        bad: "self.note(slot, Outcome::Acknowledged)",
        scenario: "slow",
        breaks: LOSS,
    },
    Defect {
        name: "rejected records count as done",
        file: "settle/ledger.rs",
        good: "if refusal.status().is_some() { Outcome::Rejected } else { Outcome::Unreadable }",
        bad: "Outcome::Acknowledged",
        scenario: "poison",
        breaks: LOSS,
    },
    Defect {
        name: "the odd record of a split is taken for sent",
        file: "deliver/outstanding.rs",
        good: "batch.split().map_err(reject).ok()",
        bad: "{ let (left, mut right) = batch.split().map_err(reject).ok()?; if right.records.len() > left.records.len() { \
              right.records.pop().into_iter().for_each(|odd| self.ledger.acknowledge(odd.slot)); } Some((left, right)) }",
        scenario: "too-large",
        breaks: LOSS,
    },
    Defect {
        name: "the tail of a failed group is sent",
        file: "settle/ledger.rs",
        good: "self.order.as_ref().is_some_and(|order| slot > order.failed_at[order.group_of[slot]].load(Relaxed))",
        bad: "false",
        scenario: "fifo-flaky",
        breaks: "duplicates explained",
    },
    Defect {
        name: "batches of a group are sent side by side",
        file: "deliver/pipeline.rs",
        good: "sequences(records.into_iter(), batcher)",
        bad: "sequences(records.into_iter(), batcher).into_iter().flat_map(|Sequence(batches)| batches).map(Sequence::from).collect()",
        scenario: "fifo-flaky",
        breaks: ORDER,
    },
    Defect {
        name: "halves of a group are sent side by side",
        file: "batch/batcher.rs",
        good: "last.is_some() && last == later.records.first().and_then(|record| record.group)",
        bad: "false",
        scenario: "fifo-flaky",
        breaks: ORDER,
    },
    Defect {
        name: "the reserve is ignored",
        file: "deadline.rs",
        good: "left.saturating_sub(reserve)",
        bad: "left",
        scenario: "slow",
        breaks: "invocations end in time",
    },
    Defect {
        name: "an empty id is reported",
        file: "lambda/response.rs",
        good: "outstanding.into_iter().for_each(|id| response.add_failure(id));",
        bad: "outstanding.into_iter().for_each(|_| response.add_failure(\"\"));",
        scenario: "outage",
        breaks: "returned ids are valid",
    },
    Defect {
        name: "the idempotency key changes with each attempt",
        file: "batch/request.rs",
        good: "xxhash3_128::Hasher::oneshot(body)",
        bad: "u128::from(fastrand::u64(..))",
        scenario: "flaky",
        breaks: "one key, one body",
    },
    Defect {
        name: "a page of HTML counts as success",
        file: "perseus/reply.rs",
        good: "is_html && trimmed(body).starts_with(b\"<\")",
        bad: "false",
        scenario: "flaky",
        breaks: LOSS,
    },
    Defect {
        name: "the strict mode is ignored",
        file: "deliver/answer.rs",
        good: "config.ack == Ack::Body || action(reply.status) == Action::Read",
        bad: "action(reply.status) == Action::Read",
        scenario: "verdicts",
        breaks: LOSS,
    },
    Defect {
        name: "the idempotency key is made of the ids alone",
        file: "batch/request.rs",
        good: "xxhash3_128::Hasher::oneshot(body)",
        bad: "0_u128",
        scenario: "misconfigured",
        breaks: KEYS,
    },
    Defect {
        name: "a 409 ends the invocation",
        file: "deliver/next_step.rs",
        good: "outstanding.failed(Some(*status), format!(\"status {status}\"))",
        bad: "{ outstanding.failed(Some(*status), String::new()); if *status == 409 { self.stop.set(\"a 409\"); \
              return NextStep::Finish; } }",
        scenario: "flaky",
        breaks: RETURNED,
    },
    Defect {
        name: "a Retry-After counts on any status",
        file: "perseus/retry_after.rs",
        good: "!matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)",
        bad: "false",
        scenario: "flaky",
        breaks: RETURNED,
    },
    Defect {
        name: "what only fails is no part of an outage",
        file: "deliver/delivery.rs",
        good: "permit.settle(answer.signal(had_expected_time))",
        bad: "permit.settle({ use crate::deliver::concurrency::signal::Signal; \
              match answer.signal(had_expected_time) { Signal::Failed => Signal::Unclear, other => other } })",
        scenario: "outage",
        breaks: "outages are noticed",
    },
    Defect {
        name: "refusals of everything are not noticed",
        file: "deliver/refusal_streak.rs",
        good: "self.is_enabled && state.requests >= CONCLUSIVE && state.records >= CONCLUSIVE_RECORDS",
        bad: "{ let _ = &state; false }",
        scenario: "outage",
        breaks: "refusals are noticed",
    },
    Defect {
        name: "an acceptance does not end that all is refused",
        file: "deliver/refusal_streak.rs",
        good: "*self.state() = State::default()",
        bad: "()",
        scenario: "poison",
        breaks: RETURNED,
    },
    Defect {
        name: "the mark comes after the pause",
        file: "breaker/pause.rs",
        good: "self.lambda.put_mark(&mapping, mark).await?;",
        bad: "self.lambda.disable(&mapping).await?; self.lambda.put_mark(&mapping, mark).await?;",
        scenario: "breaker",
        breaks: "pauses are marked",
    },
    Defect {
        name: "delivery is resumed without an acknowledgement",
        file: "breaker/trial.rs",
        good: "settled.counts.rejected > 0",
        bad: "true",
        scenario: "breaker",
        breaks: ANSWERED,
    },
    Defect {
        name: "an acknowledged probe is not deleted",
        file: "breaker/trial.rs",
        good: "self.queue.delete(&message.receipt_handle).await.err()",
        bad: "None",
        scenario: "breaker",
        breaks: ANSWERED,
    },
    Defect {
        name: "a probe that is not acknowledged is deleted",
        file: "breaker/trial.rs",
        good: "held.push((message, payload));",
        bad: "tried.undone = self.queue.delete(&message.receipt_handle).await.err();",
        scenario: "breaker",
        breaks: LOSS,
    },
    Defect {
        name: "an operator's pause is ended",
        file: "breaker/prober.rs",
        good: "self.lambda.mark(&mapping).await?",
        bad: "self.lambda.mark(&mapping).await?.or_else(|| Mark::of_tags([(super::mark::PAUSED_SINCE.to_owned(), String::new())].into()))",
        scenario: "breaker",
        breaks: "operator's pause kept",
    },
];
