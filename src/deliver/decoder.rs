//! The first stage: decodes the records of an event one by one.

use std::collections::BTreeMap;

use crate::{
    decode::{
        event::Event,
        record::{Encoded, Record, Unreadable, encode},
    },
    settle::{ledger::Ledger, rejection::Rejection},
    telemetry::{
        logs::first_ids,
        messages::{self, log_line},
    },
    value::format::BatchFormat,
};

/// Decodes the records of an event one by one. Unreadable records are rejected, and logged when the decoder is dropped: one
/// line for each reason.
#[derive(Debug)]
pub struct Decoder<'a> {
    event: &'a Event<'a>,
    ledger: &'a Ledger<'a>,
    format: BatchFormat,
    request_id: &'a str,
    next: usize,
    unreadable: BTreeMap<Unreadable, Vec<&'a str>>,
}

impl<'a> Decoder<'a> {
    /// A decoder of all records of an event.
    pub fn new(
        event: &'a Event<'a>,
        ledger: &'a Ledger<'a>,
        format: BatchFormat,
        request_id: &'a str,
    ) -> Self {
        Decoder { event, ledger, format, request_id, next: 0, unreadable: BTreeMap::new() }
    }
}

impl Iterator for Decoder<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            let slot = self.next;
            let envelope = self.event.envelopes.get(slot)?;
            self.next += 1;
            match encode(envelope, self.format) {
                Ok(Encoded { wire, sent }) => {
                    return Some(Record { slot, group: self.ledger.group(slot), sent, wire });
                }
                Err(unreadable) => {
                    self.ledger.reject(slot, &Rejection::Unreadable(unreadable));
                    self.unreadable.entry(unreadable).or_default().push(self.ledger.id(slot));
                }
            }
        }
    }
}

impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        for (unreadable, ids) in &self.unreadable {
            log_line!(
                messages::RECORDS_UNREADABLE,
                requestId = self.request_id,
                outcome = "rejected",
                reason = unreadable.to_string(),
                records = ids.len(),
                messageIds = first_ids(ids)
            );
        }
    }
}
