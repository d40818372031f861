//! When the messages that come back become visible again.
//!
//! Left alone, a message comes back when the queue's visibility timeout ends, and Lambda does not slow down
//! when records fail. So a record that only met the cutoff waits for minutes, and an outage spends a receive
//! per visibility timeout: with the template's 361 s and a `maxReceiveCount` of 10, good messages are in the
//! dead-letter queue after an hour. Here *n* is how often a message has been received:
//!
//! | the record | comes back | after *n* = 1, 2, 3, … | ten of them add up to |
//! |---|---|---|---|
//! | was sent without success | after *n*² × 2 min, at most 4 h | 2, 8, 18, 32, 50, 72, 98, 128, 162, 200 min | 12.8 h |
//! | was not sent | soon: within 10 s × 3ⁿ⁻¹, at most as above | 10, 30, 90, 270, 810 s, 41, 98, … min | 10.8 h |
//! | was not sent in an outage: what was sent all failed | as if it had been | | |
//! | will never be taken | when the queue's own timeout ends | | |
//!
//! Jitter takes up to a quarter off the first: ten failures last 9.6 to 12.8 hours, and with a
//! `maxReceiveCount` of 15 a day (24.6 to 32.8 hours). The square is a compromise. The delay is also how long a
//! message still waits once Perseus is back: doubled delays that reach as far (1 min × 2ⁿ⁻¹: 17 h) would be as
//! long as the outage so far, 4 hours after 6, where these are 128 min; equal ones of an hour would make every
//! message of a short outage wait for one. What is unattempted also takes its *n* into account, because a
//! Perseus too slow for its load would otherwise spend all its receives in minutes.
//!
//! SQS hides a message for 12 hours (43,200 s) at most, counted from its receipt, and refuses what would
//! exceed that rather than shortening it
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html>).
//! Only a `Retry-After` comes near: it is obeyed up to [`LONGEST`], which leaves two hours for the way from the
//! receipt to here. That way is shorter than the queue's visibility timeout, or the message would be
//! another's by now, and the template's longest is 95 min.
//!
//! A rejected record keeps the queue's own timeout: sooner would only spend Perseus' time on it, later would
//! keep it from the dead-letter queue, where someone sees it.
//!
//! **FIFO.** While any message of a group is in flight, SQS gives out none of that group
//! (<https://repost.aws/knowledge-center/sqs-fifo-messages-not-returned>): the last one that becomes visible
//! decides for all. So all that comes back of a group gets one timeout, that of its first record (which is
//! the one that failed; the others are only behind it) with the largest receive count among them, in one
//! call as far as ten entries go, which is all that Lambda takes from a FIFO queue. Were a later message
//! visible before an earlier one there would be nothing to gain, and an order to lose should SQS ever
//! give it out. A group that begins with a rejected record is left alone altogether, unless that record is in the
//! dead-letter queue by now (see [`crate::sqs::dead_letter`]): then the rest comes back soon.

use std::{cmp::Reverse, time::Duration};

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::warn;

use crate::{
    decode::event::{Event, receipt_handles},
    settle::ledger::{Ledger, Outcome},
    sqs::{
        action::{Action, MOST_ENTRIES},
        client::Sqs,
        queue::Queue,
    },
};

/// After the first receive, for what was sent without success.
const BACKOFF: Duration = Duration::from_secs(2 * 60);
/// The longest of these.
const LONGEST_BACKOFF: Duration = Duration::from_secs(4 * 60 * 60);
/// After the first receive, for what was not sent.
const SOON: Duration = Duration::from_secs(10);
/// The longest timeout of all: SQS' 12 hours, less two for the time since the receipt.
pub const LONGEST: Duration = Duration::from_secs((12 - 2) * 60 * 60);

/// What an invocation has seen of Perseus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// Whether records were sent and none was taken, nor refused for what is in it: coming back soon would
    /// meet the same.
    pub outage: bool,
    /// How long Perseus has asked to be left alone.
    pub retry_after: Duration,
}

/// The visibility timeout of a record that has been received `receives` times; `jitter` is from 0 to 1.
///
/// None for one that keeps the queue's own.
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
    // All that Perseus sent away would come back in the same second without some spread here too.
    let asked_for = circumstances.retry_after.min(LONGEST).mul_f64(1.0 + jitter / 10.0);
    let timeout = (least + (most - least).mul_f64(jitter)).max(asked_for).min(LONGEST);
    // SQS knows whole seconds.
    Some(Duration::from_secs(timeout.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX)))
}

/// The timeouts that the records which come back get: those with the most to lose first, should the time
/// not suffice for all.
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
            // What held it up is gone. It may have been in a request with that, but has not failed itself.
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

/// Asks SQS for the timeouts that the event's records get. What is not done by `until` keeps the queue's.
pub async fn change(
    sqs: &Sqs,
    payload: &[u8],
    event: &Event<'_>,
    ledger: &Ledger<'_>,
    circumstances: Circumstances,
    request_id: &str,
    until: Instant,
) {
    // Not known is the first time: the shortest delay.
    let receives = |slot: usize| event.envelopes[slot].receive_count().unwrap_or(1);
    let timeouts = plan(ledger, receives, circumstances);
    if timeouts.is_empty() {
        return;
    }
    let handles = receipt_handles(payload);
    let handle = |slot: usize| handles.get(slot).copied().flatten();
    // By its place in `timeouts` from here on.
    let askable: Vec<_> = (0..timeouts.len()).filter(|&place| handle(timeouts[place].0).is_some()).collect();
    let calls: Vec<_> = askable.chunks(MOST_ENTRIES).map(<[usize]>::to_vec).collect();
    let change = |place: usize| {
        let (slot, timeout) = timeouts[place];
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
        warn!(
            requestId = request_id,
            reason,
            records = timeouts.len(),
            changed,
            "visibility timeouts not changed: these records come back when the queue's own ends"
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
    fn ten_receives_outlast_nine_and_a_half_hours_and_fifteen_a_day() {
        assert_eq!(sum(Outcome::Errored, 10, 0.0), 770 * MINUTE * 3 / 4);
        assert!(sum(Outcome::Errored, 10, 0.0) > 9 * HOUR + HOUR / 2);
        assert!(sum(Outcome::Errored, 15, 0.0) > 24 * HOUR);
    }

    #[test]
    fn once_perseus_is_back_no_message_waits_as_long_again_as_a_long_outage() {
        // Whenever an outage of at least an hour ends, the timeout that is running then ends sooner.
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
    fn an_outage_costs_the_receives_and_the_wait_that_the_run_book_tells() {
        // A message sent as it begins: how often it has failed at most, and how long it then waits at most.
        let after = |outage: u64| {
            let failed = (1..).take_while(|n| sum(Outcome::Errored, n - 1, 0.0) <= outage).last().unwrap();
            (failed, seconds(Outcome::Errored, failed, OUTAGE, 1.0) / MINUTE)
        };
        assert_eq!([HOUR, 4 * HOUR].map(after), [(5, 50), (8, 128)]);
    }

    #[test]
    fn what_only_met_the_cutoff_comes_back_soon_and_less_soon_each_time() {
        let most: Vec<_> = (1..=7).map(|n| seconds(Outcome::Unattempted, n, WELL, 1.0)).collect();
        assert_eq!(most, [10, 30, 90, 270, 810, 2_430, 5_880]);
        assert_eq!(seconds(Outcome::Unattempted, 1, WELL, 0.0), 1);
        assert!(sum(Outcome::Unattempted, 10, 0.5) > 5 * HOUR);
    }

    #[test]
    fn what_was_not_sent_in_an_outage_waits_as_if_it_had_been() {
        for n in [1, 5, 10] {
            let unattempted = seconds(Outcome::Unattempted, n, OUTAGE, 0.5);
            assert_eq!(unattempted, seconds(Outcome::Errored, n, OUTAGE, 0.5));
        }
    }

    #[test]
    fn retry_after_is_a_lower_bound_that_spreads_and_ends_where_sqs_does() {
        let after = |seconds| Circumstances { outage: true, retry_after: Duration::from_secs(seconds) };
        assert_eq!(seconds(Outcome::Errored, 1, after(60), 1.0), 2 * MINUTE);
        assert_eq!(seconds(Outcome::Errored, 1, after(7_200), 0.0), 7_200);
        assert_eq!(seconds(Outcome::Errored, 1, after(7_200), 1.0), 7_920);
        assert_eq!(seconds(Outcome::Unattempted, 1, after(7_200), 0.0), 7_200);
        assert_eq!(seconds(Outcome::Errored, 1, after(u64::MAX), 1.0), 10 * HOUR);
    }

    #[test]
    fn what_will_never_be_taken_keeps_the_queues_own_timeout() {
        for outcome in [Outcome::Rejected, Outcome::DeadLettered, Outcome::Acknowledged] {
            assert_eq!(timeout(outcome, 1, OUTAGE, 0.5), None);
        }
    }

    proptest! {
        #[test]
        fn no_timeout_is_beyond_what_sqs_takes_or_sooner_than_perseus_asked(
            errored: bool, outage: bool, receives: u64, retry_after in 0_u64..200_000, jitter in 0.0..=1.0_f64,
        ) {
            let outcome = if errored { Outcome::Errored } else { Outcome::Unattempted };
            let circumstances = Circumstances { outage, retry_after: Duration::from_secs(retry_after) };
            let seconds = seconds(outcome, receives, circumstances, jitter);
            prop_assert!((1..=10 * HOUR).contains(&seconds));
            prop_assert!(seconds >= retry_after.min(10 * HOUR));
        }

        #[test]
        fn more_receives_are_never_a_shorter_timeout(errored: bool, receives in 1_u64..100, jitter in 0.0..=1.0_f64) {
            let outcome = if errored { Outcome::Errored } else { Outcome::Unattempted };
            prop_assert!(seconds(outcome, receives, WELL, jitter) <= seconds(outcome, receives + 1, WELL, jitter));
        }
    }

    /// A plan for records `id@group`, each received as often as its id says.
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
    fn what_has_most_to_lose_goes_first() {
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
}
