//! Which records are outstanding.
//!
//! Every record is outstanding from the start until the ledger is told that Perseus has acknowledged it. The answer to
//! Lambda lists the outstanding records. So a record is reported even if a panic, a dropped future or a bug leaves it
//! behind: no code has to remember it.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed},
    },
};

use crate::{decode::event::Event, settle::rejection::Rejection};

/// The outcome of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// It was not sent: the time was up, or sending stopped before.
    Unattempted,
    /// It was sent without a clear answer: Perseus may accept it next time.
    Errored,
    /// It is malformed, and was not sent.
    Unreadable,
    /// Perseus will never accept it.
    Rejected,
    /// It is unreadable or rejected, and was moved to the queue for rejected records.
    DeadLettered,
    /// Perseus has it.
    Acknowledged,
}

/// The records of one invocation with their outcomes.
///
/// All deliveries of the invocation share it. Only the delivery that holds a record writes its slot, so relaxed atomics are
/// enough; a lock could be poisoned by a panic.
#[derive(Debug)]
pub struct Ledger<'a> {
    ids: Vec<Cow<'a, str>>,
    outcomes: Vec<AtomicU8>,
    order: Option<Order>,
    /// Why records were rejected; `None` if that is not kept.
    refusals: Option<Mutex<HashMap<usize, Rejection>>>,
}

/// The message groups of a FIFO queue.
#[derive(Debug)]
struct Order {
    /// The group of each record.
    group_of: Vec<usize>,
    /// The first failed record of each group; `usize::MAX` if none has failed.
    failed_at: Vec<AtomicUsize>,
}

/// How many records have each outcome.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All records of the event.
    pub(crate) received: usize,
    /// Perseus has them.
    pub(crate) acknowledged: usize,
    /// Perseus will never accept them, or they are malformed.
    pub(crate) rejected: usize,
    /// The rejected ones that were moved to the queue for rejected records.
    pub(crate) dead_lettered: usize,
    /// Sent without success.
    pub(crate) errored: usize,
    /// Not sent.
    pub(crate) unattempted: usize,
}

impl<'a> Ledger<'a> {
    /// Opens the ledger of an event: every record is outstanding.
    pub fn open(event: &Event<'a>) -> Self {
        let records = event.envelopes.len();
        let unattempted = || AtomicU8::new(Outcome::Unattempted as u8);
        Ledger {
            ids: event.envelopes.iter().map(|envelope| envelope.message_id.clone()).collect(),
            outcomes: std::iter::repeat_with(unattempted).take(records).collect(),
            order: event.fifo.then(|| Order::of(event)),
            refusals: None,
        }
    }

    /// Also keeps why records are rejected.
    #[must_use]
    pub(crate) fn with_refusals(self) -> Self {
        Ledger { refusals: Some(Mutex::default()), ..self }
    }

    /// The id of a record.
    pub fn id(&self, slot: usize) -> &str {
        &self.ids[slot]
    }

    /// The number of a record's message group; `None` unless the queue is FIFO.
    pub(crate) fn group(&self, slot: usize) -> Option<usize> {
        self.order.as_ref().map(|order| order.group_of[slot])
    }

    /// Notes that a record is being sent. It counts as errored until its outcome is known.
    pub fn attempt(&self, slot: usize) {
        self.note(slot, Outcome::Errored);
    }

    /// Notes that Perseus has a record. Only this and `dead_letter` take a record out of the answer.
    pub fn acknowledge(&self, slot: usize) {
        self.note(slot, Outcome::Acknowledged);
    }

    /// Notes that a record will never be accepted, and why.
    pub(crate) fn reject(&self, slot: usize, refusal: &Rejection) {
        self.note(slot, if refusal.status().is_some() { Outcome::Rejected } else { Outcome::Unreadable });
        self.fail(slot);
        if let Some(refusals) = &self.refusals {
            refusals.lock().unwrap_or_else(PoisonError::into_inner).insert(slot, refusal.clone());
        }
    }

    /// Turns all rejected records into errored ones: Perseus refuses everything, so the records are not at fault.
    pub(crate) fn reconsider(&self) {
        for slot in self.slots_of(Outcome::Rejected) {
            self.attempt(slot);
        }
    }

    /// Notes that a record was moved to the queue for rejected records.
    pub(crate) fn dead_letter(&self, slot: usize) {
        self.note(slot, Outcome::DeadLettered);
    }

    /// Notes that a record is not sent again in this invocation. The later records of its group are then not sent either.
    pub(crate) fn fail(&self, slot: usize) {
        if let Some(order) = &self.order {
            order.failed_at[order.group_of[slot]].fetch_min(slot, Relaxed);
        }
    }

    /// Whether a record must not be sent because an earlier one of its group has failed.
    pub(crate) fn is_withheld(&self, slot: usize) -> bool {
        self.order.as_ref().is_some_and(|order| slot > order.failed_at[order.group_of[slot]].load(Relaxed))
    }

    /// The outcome of a record so far.
    pub(crate) fn outcome(&self, slot: usize) -> Outcome {
        let outcome = self.outcomes[slot].load(Relaxed);
        [
            Outcome::Unattempted,
            Outcome::Errored,
            Outcome::Unreadable,
            Outcome::Rejected,
            Outcome::DeadLettered,
            Outcome::Acknowledged,
        ]
        .into_iter()
        .find(|known| *known as u8 == outcome)
        .unwrap_or(Outcome::Errored)
    }

    /// The ids to report, each once, in the order of the event: of every outstanding record, and on a FIFO queue of every
    /// later record of its group, even if Perseus has it.
    pub fn outstanding(&self) -> Vec<&str> {
        let mut reported = HashSet::new();
        let ids = self.reported().into_iter().map(|slot| self.id(slot));
        ids.filter(|id| reported.insert(*id)).collect()
    }

    /// The records to report, in the order of the event.
    ///
    /// A dead-lettered record is not reported, but the later records of its group are: they were not sent in this
    /// invocation.
    pub(crate) fn reported(&self) -> Vec<usize> {
        let mut broken = HashSet::new();
        let is_reported = |&slot: &usize| {
            let group = self.group(slot);
            let is_behind = group.is_some_and(|group| broken.contains(&group));
            let outcome = self.outcome(slot);
            if outcome != Outcome::Acknowledged {
                broken.extend(group);
            }
            is_behind || !matches!(outcome, Outcome::Acknowledged | Outcome::DeadLettered)
        };
        (0..self.ids.len()).filter(is_reported).collect()
    }

    /// The rejected records that may be dead-lettered.
    ///
    /// On a FIFO queue only the first failed record of a group may be: the later ones return to the queue in any case, and
    /// would then be in both queues.
    pub(crate) fn dead_letters(&self) -> Vec<usize> {
        let mut broken = HashSet::new();
        let is_first = |&slot: &usize| self.group(slot).is_none_or(|group| broken.insert(group));
        let rejected = |slot: &usize| matches!(self.outcome(*slot), Outcome::Rejected | Outcome::Unreadable);
        self.reported().into_iter().filter(is_first).filter(rejected).collect()
    }

    /// The groups whose first failed record was dead-lettered.
    pub(crate) fn freed_groups(&self) -> HashSet<usize> {
        self.slots_of(Outcome::DeadLettered).filter_map(|slot| self.group(slot)).collect()
    }

    /// Why a record was rejected, if the ledger keeps that.
    pub(crate) fn refusal(&self, slot: usize) -> Option<Rejection> {
        let refusals = self.refusals.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.get(&slot).cloned()
    }

    /// The ids of the records with this outcome.
    pub(crate) fn ids_of(&self, outcome: Outcome) -> Vec<&str> {
        self.slots_of(outcome).map(|slot| self.id(slot)).collect()
    }

    fn slots_of(&self, outcome: Outcome) -> impl Iterator<Item = usize> {
        (0..self.ids.len()).filter(move |&slot| self.outcome(slot) == outcome)
    }

    /// How many records have each outcome.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { received: self.ids.len(), ..Counts::default() };
        for slot in 0..self.ids.len() {
            *match self.outcome(slot) {
                Outcome::Unattempted => &mut counts.unattempted,
                Outcome::Errored => &mut counts.errored,
                Outcome::Unreadable | Outcome::Rejected => &mut counts.rejected,
                Outcome::DeadLettered => {
                    counts.dead_lettered += 1;
                    &mut counts.rejected
                }
                Outcome::Acknowledged => &mut counts.acknowledged,
            } += 1;
        }
        counts
    }

    fn note(&self, slot: usize, outcome: Outcome) {
        self.outcomes[slot].store(outcome as u8, Relaxed);
    }
}

impl Order {
    fn of(event: &Event<'_>) -> Self {
        let mut numbers = HashMap::new();
        let group_of = event
            .envelopes
            .iter()
            .map(|envelope| {
                let next = numbers.len();
                // Records without a readable group count as one group, so that they keep their order.
                *numbers.entry(envelope.group()).or_insert(next)
            })
            .collect();
        let failed_at = std::iter::repeat_with(|| AtomicUsize::new(usize::MAX)).take(numbers.len()).collect();
        Order { group_of, failed_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSAL: Rejection = Rejection::ByName(207);

    /// An event of records `id` or `id@group`.
    fn event(records: &str, arn: &str) -> String {
        let records: Vec<_> = records
            .split_whitespace()
            .map(|record| {
                let (id, group) = record.split_once('@').unwrap_or((record, ""));
                format!(
                    r#"{{"messageId":"{id}","eventSource":"aws:sqs","eventSourceARN":"{arn}",
                        "attributes":{{"MessageGroupId":"{group}"}}}}"#
                )
            })
            .collect();
        format!(r#"{{"Records":[{}]}}"#, records.join(","))
    }

    #[track_caller]
    fn check(records: &str, arn: &str, settle: impl Fn(&Ledger<'_>), outstanding: &[&str]) {
        let event = event(records, arn);
        let ledger = Ledger::open(&Event::parse(event.as_bytes()).unwrap());
        settle(&ledger);
        assert_eq!(ledger.outstanding(), outstanding);
    }

    #[test]
    fn every_record_is_outstanding_until_acknowledged() {
        check("a b c", "q", |_| {}, &["a", "b", "c"]);
        let settle = |ledger: &Ledger<'_>| {
            ledger.attempt(0);
            ledger.reject(1, &REFUSAL);
            ledger.acknowledge(2);
        };
        check("a b c d", "q", settle, &["a", "b", "d"]);
        check("a b", "q", |l| (0..2).for_each(|slot| l.acknowledge(slot)), &[]);
    }

    #[test]
    fn reconsidering_makes_rejected_records_errored_but_not_unreadable_ones() {
        let event = event("a b", "q");
        let ledger = Ledger::open(&Event::parse(event.as_bytes()).unwrap());
        ledger.reject(0, &REFUSAL);
        ledger.reject(1, &Rejection::Unreadable(crate::decode::record::Unreadable::Body));
        assert_eq!(ledger.dead_letters(), [0, 1]);
        ledger.reconsider();
        assert_eq!(ledger.dead_letters(), [1]);
        let counts = ledger.counts();
        assert_eq!((counts.errored, counts.rejected), (1, 1));
    }

    #[test]
    fn a_repeated_id_is_reported_once_if_any_copy_failed() {
        check("a b a", "q", |l| l.acknowledge(0), &["b", "a"]);
        check("a b a", "q", |l| (1..3).for_each(|slot| l.acknowledge(slot)), &["a"]);
        check("a a", "q", |_| {}, &["a"]);
    }

    #[test]
    fn the_rest_of_a_failed_group_is_reported_even_if_acknowledged() {
        let settle =
            |ledger: &Ledger<'_>| (0..5).filter(|slot| *slot != 2).for_each(|s| ledger.acknowledge(s));
        check("a@1 b@2 c@1 d@1 e@2", "q.fifo", settle, &["c", "d"]);
        check("a@1 b@2 c@1 d@1 e@2", "q", settle, &["c"]);
    }

    #[test]
    fn only_later_records_of_a_failed_group_are_withheld() {
        let event = event("a@1 b@2 c@1 d@1 e@2", "q.fifo");
        let ledger = Ledger::open(&Event::parse(event.as_bytes()).unwrap());
        assert!(!(0..5).any(|slot| ledger.is_withheld(slot)));
        ledger.fail(3);
        ledger.reject(2, &REFUSAL);
        let withheld: Vec<_> = (0..5).filter(|&slot| ledger.is_withheld(slot)).collect();
        assert_eq!(withheld, [3]);
    }

    #[test]
    fn the_first_failure_of_a_group_counts_in_any_order_of_reports() {
        for order in [[0, 1], [1, 0]] {
            let event = event("a@1 b@1 c@1", "q.fifo");
            let ledger = Ledger::open(&Event::parse(event.as_bytes()).unwrap());
            order.into_iter().for_each(|slot| ledger.fail(slot));
            let withheld: Vec<_> = (0..3).filter(|&slot| ledger.is_withheld(slot)).collect();
            assert_eq!(withheld, [1, 2], "{order:?}");
        }
    }

    #[test]
    fn nothing_is_withheld_on_a_standard_queue() {
        let event = event("a@1 b@1", "q");
        let ledger = Ledger::open(&Event::parse(event.as_bytes()).unwrap());
        ledger.reject(0, &REFUSAL);
        assert!(!ledger.is_withheld(1));
        assert_eq!(ledger.group(0), None);
    }

    #[test]
    fn every_record_is_counted_once() {
        let event = event("a b c d e", "q");
        let ledger = Ledger::open(&Event::parse(event.as_bytes()).unwrap());
        (0..4).for_each(|slot| ledger.attempt(slot));
        ledger.acknowledge(0);
        ledger.acknowledge(1);
        ledger.reject(2, &REFUSAL);
        assert_eq!(
            ledger.counts(),
            Counts {
                received: 5,
                acknowledged: 2,
                rejected: 1,
                dead_lettered: 0,
                errored: 1,
                unattempted: 1
            }
        );
        assert_eq!(ledger.ids_of(Outcome::Errored), ["d"]);
        ledger.dead_letter(2);
        let counts = ledger.counts();
        assert_eq!((counts.rejected, counts.dead_lettered), (1, 1));
    }

    #[test]
    fn a_dead_letter_is_not_reported_but_the_rest_of_its_group_is() {
        let settle = |ledger: &Ledger<'_>| {
            for slot in [0, 1, 3, 4] {
                ledger.acknowledge(slot);
            }
            ledger.reject(2, &REFUSAL);
            ledger.dead_letter(2);
        };
        check("a@1 b@2 c@1 d@1 e@2", "q.fifo", settle, &["d"]);
        check("a@1 b@2 c@1 d@1 e@2", "q", settle, &[]);
    }

    #[test]
    fn a_dead_letter_after_a_failure_of_its_group_is_reported() {
        let settle = |ledger: &Ledger<'_>| {
            ledger.reject(1, &REFUSAL);
            ledger.dead_letter(1);
        };
        check("a@1 b@1", "q.fifo", settle, &["a", "b"]);
    }

    #[test]
    fn only_the_first_failure_of_a_group_may_be_dead_lettered() {
        let letters = |arn: &str, settle: &dyn Fn(&Ledger<'_>)| {
            let event = event("a@1 b@1 c@2 d@2 e@2", arn);
            let ledger = Ledger::open(&Event::parse(event.as_bytes()).unwrap());
            settle(&ledger);
            ledger.dead_letters()
        };
        let settle = |ledger: &Ledger<'_>| {
            ledger.attempt(0);
            ledger.acknowledge(2);
            [1, 3, 4].into_iter().for_each(|slot| ledger.reject(slot, &REFUSAL));
        };
        assert_eq!(letters("q.fifo", &settle), [3]);
        assert_eq!(letters("q", &settle), [1, 3, 4]);
    }

    #[test]
    fn a_ledger_keeps_rejections_if_told_to() {
        let event = event("a b", "q");
        let event = Event::parse(event.as_bytes()).unwrap();
        for (ledger, expected) in
            [(Ledger::open(&event), None), (Ledger::open(&event).with_refusals(), Some(REFUSAL))]
        {
            ledger.reject(1, &REFUSAL);
            assert_eq!(ledger.dead_letters(), [1]);
            assert_eq!(ledger.refusal(1), expected);
            assert_eq!(ledger.refusal(0), None);
        }
    }
}
