//! Sets when the messages that come back become visible again.
//!
//! Without this, a message comes back when the queue's visibility timeout ends, and Lambda does not slow down when records
//! fail. A record that only met the cutoff then waits for minutes, and an outage uses up one receive per visibility
//! timeout: with the template's 361 s and a `maxReceiveCount` of 10, good messages reach the dead-letter queue after an
//! hour. In the table, *n* is how often a message has been received:
//!
//! | The record | comes back | for *n* = 1, 2, 3, … | sum of ten |
//! |---|---|---|---|
//! | errored (sent without success) | after *n*² × 2 min, at most 4 h | 2, 8, 18, 32, 50, 72, 98, 128, 162, 200 min | 12.8 h |
//! | unattempted (not sent) | within 10 s × 3ⁿ⁻¹, at most as above | 10, 30, 90, 270, 810 s, 41, 98, … min | 10.8 h |
//! | unattempted in an outage (all requests failed) | like errored | | |
//! | rejected (Perseus will never accept it) | when the queue's own timeout ends | | |
//!
//! **Errored.** Jitter shortens the delay by up to a quarter: ten failures take 9.6 to 12.8 hours, and 15 failures take
//! more than a day (24.6 to 32.8 hours). The square is a compromise, because a message also waits for the delay after
//! Perseus is back. In an outage of 6 hours they grow to 128 min. Delays that double each time and have the same reach
//! (1 min × 2ⁿ⁻¹, 17 h in total) would grow to 4 hours. Equal delays of an hour would make every message of a short outage
//! wait for an hour.
//!
//! **Unattempted.** The delay grows with *n* too. Otherwise a Perseus that is too slow for its load would use up all
//! receives within minutes.
//!
//! **Rejected.** The queue's own timeout stays. A shorter one would only cost Perseus requests; a longer one would delay the
//! record on its way to the dead-letter queue, where someone sees it.
//!
//! **Limit.** SQS hides a message for at most 12 hours (43,200 s) from its receipt, and refuses a longer timeout instead of
//! shortening it
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html>). Only
//! `Retry-After` comes near this limit, so it counts up to [`LONGEST`]. That leaves two hours between the receipt and this
//! call. This is enough: after the queue's visibility timeout the message would belong to another receiver, and the
//! template's longest timeout is 95 min.
//!
//! **FIFO.** While one message of a group is in flight, SQS delivers no other message of the group
//! (<https://repost.aws/knowledge-center/sqs-fifo-messages-not-returned>). So the message that becomes visible last decides
//! for the whole group, and all messages of a group get the same timeout: the timeout for its first record (the one that
//! failed; the others are only behind it) with the largest receive count in the group. One call has ten entries, which is
//! also the most that Lambda receives from a FIFO queue at once. A shorter timeout for a later message would gain nothing,
//! and would break the order if SQS ever delivered that message. A group that begins with a rejected record is left alone,
//! unless that record is in the dead-letter queue (see `dead_letter.rs`): then the rest comes back soon.

use std::{cmp::Reverse, time::Duration};

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::{
    decode::event::{Event, receipt_handles},
    settle::ledger::{Ledger, Outcome},
    sqs::{
        action::{Action, MOST_ENTRIES},
        client::Sqs,
        queue::Queue,
    },
    telemetry::messages::{self, log_line},
};

/// The delay of an errored record after its first receive.
const BACKOFF: Duration = Duration::from_secs(2 * 60);
/// The longest delay of an errored record.
const LONGEST_BACKOFF: Duration = Duration::from_secs(4 * 60 * 60);
/// The delay of an unattempted record after its first receive.
const SOON: Duration = Duration::from_secs(10);
/// The longest timeout: SQS' limit of 12 hours, minus two hours for the time since the receipt.
pub const LONGEST: Duration = Duration::from_secs((12 - 2) * 60 * 60);

/// What an invocation has learnt about Perseus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// Whether all requests failed, and none because of its data: an early retry would fail too.
    pub outage: bool,
    /// How long Perseus asked to wait (`Retry-After`).
    pub retry_after: Duration,
}

/// The visibility timeout for a record that has been received `receives` times. `jitter` is from 0 to 1.
///
/// None if the record keeps the queue's own timeout.
pub fn timeout(
    outcome: Outcome,
    receives: u64,
    circumstances: Circumstances,
    jitter: f64,
) -> Option<Duration> {
    let receives = u32::try_from(receives).unwrap_or(u32::MAX).max(1);
    let backoff = BACKOFF.saturating_mul(receives.saturating_pow(2)).min(LONGEST_BACKOFF);
    let (least, most) = match outcome {
        Outcome::Unattempted if !circumstances.outage => {
            let soon = SOON.saturating_mul(3_u32.saturating_pow(receives - 1)).min(backoff);
            (Duration::from_secs(1), soon)
        }
        Outcome::Unattempted | Outcome::Errored => (backoff * 3 / 4, backoff),
        Outcome::Unreadable | Outcome::Rejected | Outcome::DeadLettered | Outcome::Acknowledged => {
            return None;
        }
    };
    // Spreads the records, which would otherwise all come back in the same second.
    let asked_for = circumstances.retry_after.min(LONGEST).mul_f64(1.0 + jitter / 10.0);
    let timeout = (least + (most - least).mul_f64(jitter)).max(asked_for).min(LONGEST);
    // SQS accepts whole seconds only.
    Some(Duration::from_secs(timeout.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX)))
}

/// The timeouts for the records that come back. The longest are first: they lose the most if there is no time for all.
pub fn plan(
    ledger: &Ledger<'_>,
    receives: impl Fn(usize) -> u64,
    circumstances: Circumstances,
) -> Vec<(usize, Duration)> {
    let mut reported = ledger.reported();
    reported.sort_by_key(|&slot| ledger.group(slot));
    let are_one_group = |a: &usize, b: &usize| {
        let group = ledger.group(*a);
        group.is_some() && group == ledger.group(*b)
    };
    let freed = ledger.freed_groups();
    let mut timeouts = Vec::with_capacity(reported.len());
    for tail in reported.chunk_by(are_one_group) {
        let receives = tail.iter().map(|&slot| receives(slot)).max().unwrap_or_default();
        let outcome = match ledger.group(tail[0]) {
            // The record that blocked the group is gone. The others may have shared its request, but have not failed.
            Some(group) if freed.contains(&group) => Outcome::Unattempted,
            _ => ledger.outcome(tail[0]),
        };
        let timeout = timeout(outcome, receives, circumstances, fastrand::f64());
        timeouts
            .extend(timeout.into_iter().flat_map(|timeout| tail.iter().map(move |&slot| (slot, timeout))));
    }
    timeouts.sort_by_key(|&(_, timeout)| Reverse(timeout));
    timeouts
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Change<'a> {
    receipt_handle: Option<&'a RawValue>,
    visibility_timeout: u64,
}

/// Changes the timeouts of the event's records. Messages not changed by `until` keep the queue's visibility timeout.
pub async fn change(
    sqs: &Sqs,
    payload: &[u8],
    event: &Event<'_>,
    ledger: &Ledger<'_>,
    circumstances: Circumstances,
    request_id: &str,
    until: Instant,
) {
    // An unknown receive count counts as 1, for the shortest delay.
    let receives = |slot: usize| event.envelopes[slot].receive_count().unwrap_or(1);
    let timeouts = plan(ledger, receives, circumstances);
    if timeouts.is_empty() {
        return;
    }
    let handles = receipt_handles(payload);
    let handle = |slot: usize| handles.get(slot).copied().flatten();
    // Calls hold indexes into `timeouts`.
    let with_handle: Vec<_> =
        (0..timeouts.len()).filter(|&index| handle(timeouts[index].0).is_some()).collect();
    let calls: Vec<_> = with_handle.chunks(MOST_ENTRIES).map(<[usize]>::to_vec).collect();
    let change = |index: usize| {
        let (slot, timeout) = timeouts[index];
        Change { receipt_handle: handle(slot), visibility_timeout: timeout.as_secs() }
    };
    let mut changed = 0;
    let queue = event.queue.as_deref().and_then(|arn| Queue::of_arn(arn, &sqs.settings));
    let reason = match queue {
        Some(queue) => {
            let action = Action::ChangeMessageVisibilityBatch;
            let failure = sqs.ask_all(&queue, action, &calls, change, until, |_| changed += 1).await;
            failure.map_or_else(|| "not confirmed".to_owned(), |failure| failure.to_string())
        }
        None => "the records' eventSourceARN does not name one queue".to_owned(),
    };
    if changed < timeouts.len() {
        log_line!(
            messages::VISIBILITY_NOT_CHANGED,
            requestId = request_id,
            reason,
            records = timeouts.len(),
            changed
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settle::rejection::Rejection;

    const WELL: Circumstances = Circumstances { outage: false, retry_after: Duration::ZERO };
    const OUTAGE: Circumstances = Circumstances { outage: true, retry_after: Duration::ZERO };
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;

    fn seconds(outcome: Outcome, receives: u64, circumstances: Circumstances, jitter: f64) -> u64 {
        timeout(outcome, receives, circumstances, jitter).unwrap().as_secs()
    }

    fn sum(outcome: Outcome, receives: u64, jitter: f64) -> u64 {
        (1..=receives).map(|n| seconds(outcome, n, WELL, jitter)).sum()
    }

    #[test]
    fn backoff_grows_with_the_square_of_the_receive_count() {
        let minutes: Vec<_> = (1..=13).map(|n| seconds(Outcome::Errored, n, WELL, 1.0) / MINUTE).collect();
        assert_eq!(minutes, [2, 8, 18, 32, 50, 72, 98, 128, 162, 200, 240, 240, 240]);
        assert_eq!(seconds(Outcome::Errored, 3, WELL, 0.0), 18 * MINUTE * 3 / 4);
        assert_eq!(seconds(Outcome::Errored, 0, WELL, 1.0), 2 * MINUTE);
        assert_eq!(seconds(Outcome::Errored, u64::MAX, WELL, 1.0), 4 * HOUR);
    }

    #[test]
    fn ten_failures_take_over_nine_and_a_half_hours_and_fifteen_over_a_day() {
        assert_eq!(sum(Outcome::Errored, 10, 0.0), 770 * MINUTE * 3 / 4);
        assert!(sum(Outcome::Errored, 10, 0.0) > 9 * HOUR + HOUR / 2);
        assert!(sum(Outcome::Errored, 15, 0.0) > 24 * HOUR);
    }

    #[test]
    fn after_a_long_outage_no_message_waits_as_long_as_the_outage_took() {
        // An outage of an hour or more may end at any time. The current timeout is always shorter than the outage so far.
        for jitter in [0.0, 0.5, 1.0] {
            let mut elapsed = 0;
            for n in 1..=10 {
                let timeout = seconds(Outcome::Errored, n, WELL, jitter);
                assert!(elapsed < HOUR || timeout <= elapsed, "{n}, {jitter}: {timeout} after {elapsed}");
                elapsed += timeout;
            }
        }
    }

    #[test]
    fn an_outage_costs_the_receives_and_the_wait_that_the_run_book_says() {
        // For a message sent when the outage begins: the most failures, and the longest wait after the outage.
        let after = |outage: u64| {
            let failed = (1..).take_while(|n| sum(Outcome::Errored, n - 1, 0.0) <= outage).last().unwrap();
            (failed, seconds(Outcome::Errored, failed, OUTAGE, 1.0) / MINUTE)
        };
        assert_eq!([HOUR, 4 * HOUR].map(after), [(5, 50), (8, 128)]);
    }

    #[test]
    fn unattempted_records_come_back_soon_and_later_each_time() {
        let most: Vec<_> = (1..=7).map(|n| seconds(Outcome::Unattempted, n, WELL, 1.0)).collect();
        assert_eq!(most, [10, 30, 90, 270, 810, 2_430, 5_880]);
        assert_eq!(seconds(Outcome::Unattempted, 1, WELL, 0.0), 1);
        assert!(sum(Outcome::Unattempted, 10, 0.5) > 5 * HOUR);
    }

    #[test]
    fn unattempted_records_wait_like_errored_ones_in_an_outage() {
        for n in [1, 5, 10] {
            let unattempted = seconds(Outcome::Unattempted, n, OUTAGE, 0.5);
            assert_eq!(unattempted, seconds(Outcome::Errored, n, OUTAGE, 0.5));
        }
    }

    #[test]
    fn retry_after_is_a_lower_bound_with_jitter_and_at_most_ten_hours() {
        let after = |seconds| Circumstances { outage: true, retry_after: Duration::from_secs(seconds) };
        assert_eq!(seconds(Outcome::Errored, 1, after(60), 1.0), 2 * MINUTE);
        assert_eq!(seconds(Outcome::Errored, 1, after(7_200), 0.0), 7_200);
        assert_eq!(seconds(Outcome::Errored, 1, after(7_200), 1.0), 7_920);
        assert_eq!(seconds(Outcome::Unattempted, 1, after(7_200), 0.0), 7_200);
        assert_eq!(seconds(Outcome::Errored, 1, after(u64::MAX), 1.0), 10 * HOUR);
    }

    #[test]
    fn rejected_records_keep_the_queues_own_timeout() {
        for outcome in [Outcome::Rejected, Outcome::DeadLettered, Outcome::Acknowledged] {
            assert_eq!(timeout(outcome, 1, OUTAGE, 0.5), None);
        }
    }

    proptest! {
        #[test]
        fn each_timeout_is_within_sqs_limit_and_no_shorter_than_retry_after(
            errored: bool, outage: bool, receives: u64, retry_after in 0_u64..200_000, jitter in 0.0..=1.0_f64,
        ) {
            let outcome = if errored { Outcome::Errored } else { Outcome::Unattempted };
            let circumstances = Circumstances { outage, retry_after: Duration::from_secs(retry_after) };
            let seconds = seconds(outcome, receives, circumstances, jitter);
            prop_assert!((1..=10 * HOUR).contains(&seconds));
            prop_assert!(seconds >= retry_after.min(10 * HOUR));
        }

        #[test]
        fn the_timeout_never_shrinks_with_more_receives(errored: bool, receives in 1_u64..100, jitter in 0.0..=1.0_f64) {
            let outcome = if errored { Outcome::Errored } else { Outcome::Unattempted };
            prop_assert!(seconds(outcome, receives, WELL, jitter) <= seconds(outcome, receives + 1, WELL, jitter));
        }
    }

    /// The plan for records with ids `receives@group`.
    fn plan_of(ids: &[&str], arn: &str, settle: impl Fn(&Ledger<'_>)) -> Vec<(String, u64)> {
        let record = |id: &&str| {
            let group = id.rsplit('@').next().unwrap();
            format!(
                r#"{{"messageId":"{id}","eventSource":"aws:sqs","eventSourceARN":"{arn}","attributes":{{"MessageGroupId":"{group}"}}}}"#
            )
        };
        let records: Vec<_> = ids.iter().map(record).collect();
        let event = format!(r#"{{"Records":[{}]}}"#, records.join(","));
        let ledger = Ledger::open(&Event::parse(event.as_bytes()).unwrap());
        settle(&ledger);
        let receives = |slot: usize| ids[slot].split('@').next().unwrap().parse().unwrap();
        let plan = plan(&ledger, receives, WELL);
        plan.into_iter().map(|(slot, timeout)| (ledger.id(slot).to_owned(), timeout.as_secs())).collect()
    }

    #[test]
    fn the_longest_timeouts_are_changed_first() {
        let plan = plan_of(&["1@a", "2@a", "3@a"], "q", |ledger| {
            ledger.attempt(1);
            ledger.attempt(2);
        });
        assert_eq!(plan.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["3@a", "2@a", "1@a"]);
    }

    #[test]
    fn a_group_comes_back_as_one_with_the_timeout_of_its_first_and_the_largest_receive_count() {
        let ids = ["1@a", "1@b", "1@a", "3@a", "2@b", "1@a"];
        let plan = plan_of(&ids, "q.fifo", |ledger| {
            ledger.acknowledge(0);
            ledger.attempt(2);
            ledger.fail(2);
            ledger.acknowledge(3);
        });
        let of =
            |group: &str| -> Vec<_> { plan.iter().filter(|(id, _)| id.ends_with(group)).cloned().collect() };
        let (a, b) = (of("@a"), of("@b"));
        assert_eq!(a.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["1@a", "3@a", "1@a"]);
        assert!(a.iter().all(|(_, seconds)| *seconds == a[0].1), "{a:?}");
        assert!((18 * MINUTE * 3 / 4..=18 * MINUTE).contains(&a[0].1), "{a:?}");
        assert_eq!(b.len(), 2);
        assert!(b[0].1 == b[1].1 && b[0].1 <= 30, "{b:?}");
    }

    #[test]
    fn a_group_that_begins_with_a_rejected_record_is_left_alone() {
        let reject = |ledger: &Ledger<'_>| ledger.reject(0, &Rejection::ByName(207));
        assert_eq!(plan_of(&["1@a", "1@a"], "q.fifo", reject), []);
        let dead_letter = |ledger: &Ledger<'_>| {
            reject(ledger);
            ledger.dead_letter(0);
        };
        assert_eq!(plan_of(&["1@a", "1@a"], "q.fifo", dead_letter).len(), 1);
        assert_eq!(plan_of(&["1@a", "1@a"], "q", reject).len(), 1);
    }

    #[test]
    fn a_group_whose_first_failure_is_a_dead_letter_comes_back_soon() {
        let plan = plan_of(&["1@a", "1@a"], "q.fifo", |ledger| {
            ledger.reject(0, &Rejection::ByName(207));
            ledger.dead_letter(0);
            ledger.attempt(1);
            ledger.fail(1);
        });
        assert!(matches!(plan[..], [(_, 1..=10)]), "{plan:?}");
    }
}
