//! The records of one batch that have no final outcome yet.

use std::collections::{HashMap, HashSet};

use crate::{
    batch::batcher::{Batch, Member},
    perseus::redact::{excerpt, occurs, tells, without},
    settle::{ledger::Ledger, rejection::Rejection},
    telemetry::{
        counters::Counters,
        logs::first_ids,
        messages::{self, log_line},
        reasons,
    },
};

/// The records of one batch that have no final outcome yet.
///
/// Records that are still in it when it is dropped have failed in this invocation: the retries were used up, the deadline
/// cut the attempt off, or a task panicked. Later records of their message groups are withheld, and one log line says why.
#[derive(Debug)]
pub(crate) struct Outstanding<'a> {
    ledger: &'a Ledger<'a>,
    request_id: &'a str,
    batch: Batch,
    attempted: bool,
    reason: String,
    /// The status of Perseus' reply, if there was one.
    status: Option<u16>,
}

impl<'a> Outstanding<'a> {
    /// All records of a batch.
    pub(crate) fn new(ledger: &'a Ledger<'a>, request_id: &'a str, batch: Batch) -> Self {
        Outstanding { ledger, request_id, batch, attempted: false, reason: String::new(), status: None }
    }

    /// The records.
    pub(crate) fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Their ids.
    pub(crate) fn ids(&self) -> Vec<&'a str> {
        ids(self.ledger, &self.batch.records)
    }

    /// Removes the records that must not be sent because an earlier one of their message group has failed. True if any
    /// are left.
    pub(crate) fn withhold(&mut self) -> bool {
        self.batch.records.retain(|record| !self.ledger.is_withheld(record.slot));
        !self.batch.records.is_empty()
    }

    /// Notes that the records are being sent.
    pub(crate) fn attempt(&mut self) {
        self.attempted = true;
        self.failed(None, reasons::CUT_OFF);
        for record in &self.batch.records {
            self.ledger.attempt(record.slot);
        }
    }

    /// Notes why the records were not accepted so far, and the status of Perseus' reply if there was one.
    pub(crate) fn failed(&mut self, status: Option<u16>, reason: impl Into<String>) {
        self.reason = reason.into();
        self.status = status;
    }

    /// Whether any of the records is not among the refused ones.
    pub(crate) fn has_any_except(&self, refused: &HashMap<String, bool>) -> bool {
        self.batch.records.iter().any(|record| !refused.contains_key(self.ledger.id(record.slot)))
    }

    /// Perseus accepted all records.
    pub(crate) fn accept(&mut self, counters: &Counters) {
        for record in std::mem::take(&mut self.batch.records) {
            self.acknowledge(&record, counters);
        }
    }

    fn acknowledge(&self, record: &Member, counters: &Counters) {
        self.ledger.acknowledge(record.slot);
        counters.acknowledged(record.sent);
    }

    /// Perseus accepted all records except the refused ones, in a reply with this status. Refused records that may not be
    /// sent again are rejected.
    ///
    /// A record that was accepted behind a refused one of its message group was accepted out of order. It counts as failed,
    /// and is delivered again after the refused one.
    pub(crate) fn accept_except(
        &mut self,
        refused: &HashMap<String, bool>,
        status: u16,
        counters: &Counters,
    ) {
        let mut rejected = Vec::new();
        let mut overtook = Vec::new();
        let mut refused_groups = HashSet::new();
        for record in std::mem::take(&mut self.batch.records) {
            match refused.get(self.ledger.id(record.slot)) {
                None if record.group.is_some_and(|group| refused_groups.contains(&group)) => {
                    overtook.push(record)
                }
                None => self.acknowledge(&record, counters),
                Some(retryable) => {
                    refused_groups.extend(record.group);
                    if *retryable { self.batch.records.push(record) } else { rejected.push(record) }
                }
            }
        }
        let refusal = Rejection::ByName(status);
        for record in &rejected {
            self.ledger.reject(record.slot, &refusal);
        }
        for record in &overtook {
            self.ledger.fail(record.slot);
        }
        self.log("rejected", Some(status), &refusal.to_string(), &rejected);
        self.log("errored", Some(status), reasons::OVERTOOK, &overtook);
    }

    /// Returns the halves of the batch. A batch of one record cannot be split: that record is rejected.
    pub(crate) fn split(&mut self, refusal: &Rejection) -> Option<(Batch, Batch)> {
        let batch = self.batch.take();
        let reject = |single: Batch| {
            self.ledger.reject(single.records[0].slot, refusal);
            self.log("rejected", refusal.status(), &refusal.to_string(), &single.records);
        };
        batch.split().map_err(reject).ok()
    }

    /// The beginning of a refusal, without secrets and without what it repeats of these records.
    pub(crate) fn excerpt(&self, reply: &[u8], secrets: &[&[u8]]) -> String {
        /// Every word of the reply is searched for in all records. For 2 MiB of them that takes 10 ms.
        const MOST_COMPARED: usize = 2 << 20;
        if self.batch.records.iter().map(|record| self.batch.wire(record).len()).sum::<usize>()
            > MOST_COMPARED
        {
            return "(not shown of so large a request)".to_owned();
        }
        let secrets: Vec<_> = secrets.iter().map(|secret| secret.to_ascii_lowercase()).collect();
        let lower_case = |record| self.batch.wire(record).to_ascii_lowercase();
        let sent: Vec<_> = self.batch.records.iter().map(lower_case).collect();
        let private = |word: &[u8]| {
            secrets.iter().any(|secret| tells(word, secret)) || sent.iter().any(|wire| occurs(word, wire))
        };
        excerpt(&without(&secrets, reply), private, &self.ids())
    }

    fn log(&self, outcome: &str, status: Option<u16>, reason: &str, records: &[Member]) {
        if records.is_empty() {
            return;
        }
        let message_ids = first_ids(&ids(self.ledger, records));
        let request_id = self.request_id;
        log_line!(
            messages::BATCH_FAILED,
            requestId = request_id,
            outcome,
            status,
            reason,
            records = records.len(),
            messageIds = message_ids
        );
    }
}

fn ids<'a>(ledger: &'a Ledger<'a>, records: &[Member]) -> Vec<&'a str> {
    records.iter().map(|record| ledger.id(record.slot)).collect()
}

impl Drop for Outstanding<'_> {
    fn drop(&mut self) {
        for record in &self.batch.records {
            self.ledger.fail(record.slot);
        }
        // Records that were never sent get one line for the whole invocation.
        if self.attempted {
            self.log("errored", self.status, &self.reason, &self.batch.records);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::{
        batch::batcher::Batcher,
        decode::{event::Event, record::Record},
        settle::ledger::Outcome,
        value::{format::BatchFormat, limits::BatchLimits},
    };

    const FIFO: &str = r#"{"Records":[
        {"messageId":"a","eventSource":"aws:sqs","eventSourceARN":"q.fifo","attributes":{"MessageGroupId":"g"}},
        {"messageId":"b","eventSource":"aws:sqs","eventSourceARN":"q.fifo","attributes":{"MessageGroupId":"g"}},
        {"messageId":"c","eventSource":"aws:sqs","eventSourceARN":"q.fifo","attributes":{"MessageGroupId":"h"}}]}"#;

    fn ledger() -> Ledger<'static> {
        Ledger::open(&Event::parse(FIFO.as_bytes()).unwrap())
    }

    fn outstanding<'a>(ledger: &'a Ledger<'a>, slots: &[usize]) -> Outstanding<'a> {
        let mut batcher = Batcher::new(BatchLimits { max_records: 9, max_bytes: 99 }, BatchFormat::Array);
        for &slot in slots {
            batcher.push(Record { slot, group: ledger.group(slot), sent: None, wire: b"1".to_vec() });
        }
        Outstanding::new(ledger, "request", batcher.finish().unwrap())
    }

    #[test]
    fn after_a_panic_the_records_are_reported_and_their_group_is_withheld() {
        let ledger = ledger();
        let panic = catch_unwind(AssertUnwindSafe(|| {
            let mut outstanding = outstanding(&ledger, &[0]);
            outstanding.attempt();
            panic!("a bug");
        }));
        assert!(panic.is_err());
        assert_eq!(ledger.outcome(0), Outcome::Errored);
        assert!(ledger.is_withheld(1));
        assert!(!ledger.is_withheld(2));
        assert_eq!(ledger.outstanding(), ["a", "b", "c"]);
    }

    #[test]
    fn a_record_that_was_never_sent_withholds_its_group_too() {
        let ledger = ledger();
        drop(outstanding(&ledger, &[0]));
        assert_eq!(ledger.outcome(0), Outcome::Unattempted);
        assert!(ledger.is_withheld(1));
    }

    #[test]
    fn accepted_records_are_not_outstanding() {
        let ledger = ledger();
        let mut outstanding = outstanding(&ledger, &[0, 1, 2]);
        outstanding.attempt();
        outstanding.accept(&Counters::default());
        assert!(!outstanding.withhold());
        drop(outstanding);
        assert_eq!(ledger.outstanding(), [""; 0]);
        assert!(!ledger.is_withheld(1));
    }

    #[test]
    fn after_a_split_the_records_belong_to_the_halves_and_have_not_failed() {
        let ledger = ledger();
        let mut outstanding = outstanding(&ledger, &[0, 2]);
        let (left, right) = outstanding.split(&Rejection::Alone(400, String::new())).unwrap();
        assert_eq!((left.records[0].slot, right.records[0].slot), (0, 2));
        drop(outstanding);
        assert!(!ledger.is_withheld(1));
    }
}
