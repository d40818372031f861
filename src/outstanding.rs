//! The records of one batch that no one has answered for yet.

use std::collections::HashMap;

use tracing::warn;

use crate::{
    batch::Batch,
    excerpt::{excerpt, occurs},
    ledger::Ledger,
    record::Record,
};

/// The records of one batch that no one has answered for yet.
///
/// Whatever is left in it when it goes, for whatever reason (retries used up, cut off by the deadline,
/// a panic), has failed in this invocation: its groups are closed, and one log line says why.
#[derive(Debug)]
pub struct Outstanding<'a> {
    ledger: &'a Ledger<'a>,
    request_id: &'a str,
    batch: Batch,
    attempted: bool,
    reason: String,
}

impl<'a> Outstanding<'a> {
    /// All records of a batch.
    pub fn new(ledger: &'a Ledger<'a>, request_id: &'a str, batch: Batch) -> Self {
        Outstanding {
            ledger,
            request_id,
            batch,
            attempted: false,
            reason: String::new(),
        }
    }

    /// The records.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Their ids.
    pub fn ids(&self) -> Vec<&'a str> {
        ids(self.ledger, &self.batch.records)
    }

    /// Takes out the records that must not be sent, because one before them in their group has failed.
    /// True if any are left.
    pub fn withhold(&mut self) -> bool {
        self.batch
            .records
            .retain(|record| !self.ledger.is_withheld(record.slot));
        !self.batch.records.is_empty()
    }

    /// Notes that they are being sent.
    pub fn attempt(&mut self) {
        self.attempted = true;
        "cut off by the deadline".clone_into(&mut self.reason);
        for record in &self.batch.records {
            self.ledger.attempt(record.slot);
        }
    }

    /// Notes why they have not been taken so far.
    pub fn failed(&mut self, reason: String) {
        self.reason = reason;
    }

    /// Perseus has all of them.
    pub fn accept(&mut self) {
        self.accept_but(&HashMap::new());
    }

    /// Perseus has all but these, of which it will never take those that are not retryable.
    pub fn accept_but(&mut self, refused: &HashMap<String, bool>) {
        let mut rejected = Vec::new();
        for record in std::mem::take(&mut self.batch.records) {
            match refused.get(self.ledger.id(record.slot)) {
                None => self.ledger.acknowledge(record.slot),
                Some(true) => self.batch.records.push(record),
                Some(false) => rejected.push(record),
            }
        }
        if !rejected.is_empty() {
            self.reject(&rejected, "refused by name");
        }
    }

    /// The halves to go on with; a single record is at fault itself, and rejected.
    pub fn split(&mut self, reason: &str) -> Option<(Batch, Batch)> {
        let batch = Batch {
            records: std::mem::take(&mut self.batch.records),
        };
        batch
            .split()
            .map_err(|single| self.reject(&single.records, reason))
            .ok()
    }

    /// The beginning of a refusal, without what it repeats of these records or of the token.
    pub fn excerpt(&self, reply: &[u8], token: &[u8]) -> String {
        let private = |word: &[u8]| {
            occurs(word, token)
                || self
                    .batch
                    .records
                    .iter()
                    .any(|record| occurs(word, &record.wire))
        };
        excerpt(reply, private, &self.ids())
    }

    fn reject(&self, records: &[Record], reason: &str) {
        for record in records {
            self.ledger.reject(record.slot);
        }
        self.log("rejected", reason, records);
    }

    fn log(&self, outcome: &str, reason: &str, records: &[Record]) {
        let message_ids = ids(self.ledger, records).join(" ");
        let request_id = self.request_id;
        warn!(
            requestId = request_id,
            outcome,
            reason,
            records = records.len(),
            messageIds = message_ids,
            "batch failed"
        );
    }
}

fn ids<'a>(ledger: &'a Ledger<'a>, records: &[Record]) -> Vec<&'a str> {
    records
        .iter()
        .map(|record| ledger.id(record.slot))
        .collect()
}

impl Drop for Outstanding<'_> {
    fn drop(&mut self) {
        for record in &self.batch.records {
            self.ledger.fail(record.slot);
        }
        // What was never sent is told in one line for the whole invocation.
        if self.attempted && !self.batch.records.is_empty() {
            self.log("errored", &self.reason, &self.batch.records);
        }
    }
}
