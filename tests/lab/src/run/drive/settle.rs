//! Settling a batch once its invocation is over.

use std::collections::HashSet;

use super::Drive;
use crate::{
    lambda::{
        fleet::Done,
        mapping::answer::{self, ParsedAnswer},
    },
    run::history::{End, Invocation},
    sqs::queue::{Delivery, Receipt},
};

impl Drive {
    /// Deletes the messages that the answer does not report, and leaves the others in the queue.
    pub(super) fn settle(&mut self, done: Done) {
        let batch = self.batches.remove(&done.number).unwrap_or_default();
        let ids: Vec<String> =
            batch.iter().map(|delivery| self.messages.id(delivery.receipt.message)).collect();
        let parsed = match &done.answer {
            Some(answer) => answer::parse(answer, &ids),
            None => answer::keep_whole_batch(&ids, "no answer"),
        };
        for (index, delivery) in batch.iter().enumerate() {
            if parsed.kept.contains(&index) {
                self.returned.insert(delivery.receipt.message, done.started + done.took);
            } else {
                self.delete(delivery.receipt);
            }
        }
        let end = if done.end == End::Answered && parsed.refused.is_some() { End::Refused } else { done.end };
        let until = done.started + done.took;
        let outage = self.plan.faults.outage_between(done.started, until);
        let given_up = match end {
            _ if outage || end.is_injected() || self.after_outage.contains(&done.environment) => 0,
            _ if done.headroom < self.plan.rules.patience => 0,
            // Perseus did not see these attempts, so they cannot be counted.
            _ if self.plan.faults.refuses_connections_between(done.started, until) => 0,
            _ => self.given_up(done.number, &batch, &parsed),
        };
        self.invocations[done.number as usize] = Invocation {
            environment: done.environment,
            started: done.started,
            took: done.took,
            messages: u32::try_from(batch.len()).unwrap_or(u32::MAX),
            kept: u32::try_from(parsed.kept.len()).unwrap_or(u32::MAX),
            given_up,
            end,
            headroom: done.headroom,
            unexpected_ids: parsed.unexpected_ids,
        };
        self.count_excused_receives(done.number, &batch, &parsed, end.is_injected() || outage);
        if outage {
            self.after_outage.insert(done.environment);
        } else if parsed.kept.len() < batch.len() {
            self.after_outage.remove(&done.environment);
        }
        if !end.is_injected() {
            self.recorder.answer(done.headroom);
        }
        match done.instance {
            Some(instance) => self.fleet.put_back(instance, done.started + done.took),
            None => self.forget(done.environment),
        }
    }

    /// Deletes a message. Returns whether the receipt was valid.
    pub(super) fn delete(&mut self, receipt: Receipt) -> bool {
        let message = receipt.message;
        let is_safe = self.perseus.is_committed(message) || self.notes[message as usize].dead_lettered;
        let is_deleted = self.queue.delete(receipt);
        if is_deleted {
            self.notes[message as usize].deleted_too_early = !is_safe;
        }
        is_deleted
    }

    /// How many returned messages could have been tried again. Not counted: poison, and messages behind a returned one
    /// of their group.
    fn given_up(&self, invocation: u32, batch: &[Delivery], parsed: &ParsedAnswer) -> u32 {
        let mut broken = HashSet::new();
        let mut given_up = 0;
        for (_, delivery) in batch.iter().enumerate().filter(|(index, _)| parsed.kept.contains(index)) {
            let message = delivery.receipt.message;
            let group = self.messages.group(message);
            let is_behind = group.is_some_and(|group| broken.contains(&group));
            broken.extend(group);
            let is_done_with = || {
                let requests = self.perseus.delivery_attempts(message, invocation).requests;
                self.messages.is_poison(message) || requests >= self.plan.rules.max_attempts
            };
            if !is_behind && !delivery.is_copy && !is_done_with() {
                given_up += 1;
            }
        }
        given_up
    }

    /// Counts the receives that failed for a good reason: the invocation met an outage or its environment died, a message
    /// ahead in the group was returned, or Perseus failed every attempt that the function may make.
    fn count_excused_receives(
        &mut self,
        invocation: u32,
        batch: &[Delivery],
        parsed: &ParsedAnswer,
        all: bool,
    ) {
        let mut broken = HashSet::new();
        for (index, delivery) in batch.iter().enumerate() {
            if !parsed.kept.contains(&index) {
                continue;
            }
            let message = delivery.receipt.message;
            let group = self.messages.group(message);
            let is_behind = group.is_some_and(|group| broken.contains(&group));
            let has_failed = || {
                self.perseus.delivery_attempts(message, invocation).failures >= self.plan.rules.max_attempts
            };
            if !delivery.is_copy && (all || is_behind || has_failed()) {
                self.notes[message as usize].excused_receives += 1;
            }
            broken.extend(group);
        }
    }
}
