//! What becomes of a batch once its invocation is over.

use std::collections::HashSet;

use super::Drive;
use crate::{
    fleet::Done,
    history::{End, Invocation},
    mapping::answer::{self, Reading},
    queue::Delivery,
};

impl Drive {
    /// Deletes what the function has answered for, and leaves the rest in the queue.
    pub(super) fn settle(&mut self, done: Done) {
        let batch = self.batches.remove(&done.number).unwrap_or_default();
        let ids: Vec<String> =
            batch.iter().map(|delivery| self.messages.id(delivery.receipt.message)).collect();
        let reading = match &done.answer {
            Some(answer) => answer::read(answer, &ids),
            None => answer::whole(&ids, "no answer"),
        };
        for (place, delivery) in batch.iter().enumerate() {
            if reading.kept.contains(&place) {
                self.returned.insert(delivery.receipt.message, done.started + done.took);
            } else {
                self.delete(delivery);
            }
        }
        let end =
            if done.end == End::Answered && reading.refused.is_some() { End::Refused } else { done.end };
        let until = done.started + done.took;
        let outage = self.plan.climate.outage_between(done.started, until);
        let given_up = match end {
            _ if outage || end.is_sabotage() || self.troubled.contains(&done.environment) => 0,
            _ if done.headroom < self.plan.rules.patience => 0,
            // Of attempts that nobody heard nobody can tell.
            _ if self.plan.climate.refuses_connections_between(done.started, until) => 0,
            _ => self.given_up(done.number, &batch, &reading),
        };
        self.invocations[done.number as usize] = Invocation {
            environment: done.environment,
            started: done.started,
            took: done.took,
            messages: u32::try_from(batch.len()).unwrap_or(u32::MAX),
            kept: u32::try_from(reading.kept.len()).unwrap_or(u32::MAX),
            given_up,
            end,
            headroom: done.headroom,
            strays: reading.strays,
        };
        self.note_hindered(done.number, &batch, &reading, end.is_sabotage() || outage);
        if outage {
            self.troubled.insert(done.environment);
        } else if reading.kept.len() < batch.len() {
            self.troubled.remove(&done.environment);
        }
        if !end.is_sabotage() {
            self.recorder.answer(done.headroom);
        }
        match done.seat {
            Some(seat) => self.fleet.put_back(seat, done.started + done.took),
            None => self.ingest.forget(done.environment),
        }
    }

    fn delete(&mut self, delivery: &Delivery) {
        let message = delivery.receipt.message;
        let is_safe = self.ingest.is_committed(message) || self.notes[message as usize].dead_lettered;
        if self.queue.delete(delivery.receipt) {
            self.notes[message as usize].deleted_too_early = !is_safe;
        }
    }

    /// How many messages came back that could have been tried again. What Perseus will never take, and what is behind
    /// a message of its group, is not among them.
    fn given_up(&self, invocation: u32, batch: &[Delivery], reading: &Reading) -> u32 {
        let mut broken = HashSet::new();
        let mut given_up = 0;
        for (_, delivery) in batch.iter().enumerate().filter(|(place, _)| reading.kept.contains(place)) {
            let message = delivery.receipt.message;
            let group = self.messages.group(message);
            let is_behind = group.is_some_and(|group| broken.contains(&group));
            broken.extend(group);
            let is_done_with = || {
                let posts = self.ingest.trials(message, invocation).posts;
                self.messages.is_poison(message) || posts >= self.plan.rules.max_attempts
            };
            if !is_behind && !delivery.is_copy && !is_done_with() {
                given_up += 1;
            }
        }
        given_up
    }

    /// Notes the receives that could come to nothing: all of an invocation that met an outage or died, those behind a
    /// message of their group that was kept, and those that Perseus failed as often as the function may try.
    fn note_hindered(&mut self, invocation: u32, batch: &[Delivery], reading: &Reading, all: bool) {
        let mut broken = HashSet::new();
        for (place, delivery) in batch.iter().enumerate() {
            if !reading.kept.contains(&place) {
                continue;
            }
            let message = delivery.receipt.message;
            let group = self.messages.group(message);
            let is_behind = group.is_some_and(|group| broken.contains(&group));
            let has_failed =
                || self.ingest.trials(message, invocation).failures >= self.plan.rules.max_attempts;
            if !delivery.is_copy && (all || is_behind || has_failed()) {
                self.notes[message as usize].hindered += 1;
            }
            broken.extend(group);
        }
    }
}
