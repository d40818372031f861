//! What the misbehaving Perseus has seen and done.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    mem::{replace, take},
};

use bytes::Bytes;
use http::{HeaderMap, request::Parts};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    exchange::{Exchange, Heard, Outcome},
    ledger::Ledger,
    tally::Tally,
};
use crate::{
    clock::Ms,
    dice::Dice,
    message::{self, Messages, Number},
    perseus::{Checker, Content, Received},
    trace,
    weather::{Climate, Fate, Posted, PostedRecord},
};

/// So many violations are kept in words; the others are counted.
const MOST_IN_WORDS: usize = 50;

#[derive(Debug, Default)]
pub(super) struct Book {
    checker: Checker,
    pub(super) ledger: Ledger,
    exchanges: Vec<Exchange>,
    /// What each open request is yet to commit.
    uncommitted: HashMap<u32, Vec<(Number, Ms)>>,
    /// The attempts at the same records, and by which request the last was.
    attempts: HashMap<u64, Attempts>,
    /// How often each message was failed by chance in its latest invocation.
    failures: Vec<Failures>,
    /// How requests ended of which there may be another attempt.
    outcomes: Vec<Option<Outcome>>,
    /// When good messages were refused together with poison for the first time, until they are committed.
    refused: HashMap<Number, Ms>,
    neighbours: Vec<Ms>,
    load: u32,
    tally: Tally,
    violations: Vec<String>,
    violation_count: u32,
}

#[derive(Debug, Default)]
struct Attempts {
    invocation: u32,
    count: u32,
    last: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    invocation: u32,
    count: u32,
}

/// Everything the misbehaving Perseus has to tell at the end.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) ledger: Ledger,
    pub(crate) exchanges: Vec<Exchange>,
    /// How long good messages that were refused together with poison waited for their commit from then on.
    pub(crate) neighbours: Vec<Ms>,
    /// What broke the contract, in words; only the first ones.
    pub(crate) violations: Vec<String>,
    pub(crate) violation_count: u32,
}

impl Book {
    /// Records and checks a request, and decides what comes of it.
    pub(super) fn receive(
        &mut self,
        headers: HeaderMap,
        body: Bytes,
        now: Ms,
        messages: &Messages,
        climate: &Climate,
        dice: Dice,
    ) -> (u32, Fate) {
        let number = self.exchanges.len();
        let exchange = u32::try_from(number).unwrap_or(u32::MAX);
        let Content { plain, format, message_ids, records, findings } = Content::read(&headers, &body);
        let received =
            Received { number, at: Instant::now(), headers, body, plain, format, message_ids, records };
        let findings = [self.checker.check(&received), findings, alterations(&received, messages)].concat();
        self.violate(findings.into_iter().map(|finding| format!("request {number}: {finding}")));
        let invocation = trace::invocation(&received.headers);
        if invocation.is_none() {
            self.violate([format!("request {number}: the trace id of its invocation is missing")]);
        }
        let invocation = invocation.unwrap_or(u32::MAX);
        self.exchanges.push(Exchange { invocation, arrived: now, ended: now, heard: Heard::Nothing });
        self.outcomes.push(None);
        self.load += 1;
        self.tally.load = self.tally.load.max(self.load);

        let dice = self.attempt(&received, invocation, exchange, dice);
        let records: Vec<PostedRecord> = received.records.iter().map(posted).collect();
        let posted =
            Posted { at: now, body_bytes: received.body.len(), load: self.load as usize, records: &records };
        let fate = climate.fate(&posted, &mut dice.roll());
        if fate.by_chance {
            let failed =
                records.iter().filter(|record| !(fate.tells && fate.reply.commits(Some(&record.id))));
            failed.filter_map(|record| messages.number(&record.id)).for_each(|m| self.fail(m, invocation));
        }
        if records.iter().any(|record| record.is_poison) && !fate.by_chance {
            self.note_neighbours(&records, &fate, now, messages);
        }
        self.uncommitted.insert(exchange, accepted(&received, messages, &fate));
        (exchange, fate)
    }

    /// Counts the attempt, and names the dice that decide over it.
    fn attempt(&mut self, received: &Received, invocation: u32, exchange: u32, dice: Dice) -> Dice {
        let mut digest = DefaultHasher::new();
        received.message_ids.hash(&mut digest);
        let digest = digest.finish();
        let attempts = self.attempts.entry(digest).or_default();
        if attempts.invocation != invocation {
            *attempts = Attempts { invocation, ..Attempts::default() };
        }
        if attempts.count > 0 {
            // An attempt without an end is one that its client has given up.
            let before = self.outcomes[attempts.last as usize].unwrap_or(Outcome::HungUp);
            *self.tally.retried.entry(before).or_default() += 1;
        }
        attempts.count += 1;
        attempts.last = exchange;
        dice.of(invocation).of(digest).of(attempts.count)
    }

    fn note_neighbours(&mut self, records: &[PostedRecord], fate: &Fate, now: Ms, messages: &Messages) {
        let good = records.iter().filter(|record| !record.is_poison && !fate.reply.commits(Some(&record.id)));
        for message in good.filter_map(|record| messages.number(&record.id)) {
            self.refused.entry(message).or_insert(now);
        }
    }

    fn fail(&mut self, message: Number, invocation: u32) {
        let place = message as usize;
        if self.failures.len() <= place {
            self.failures.resize(place + 1, Failures::default());
        }
        let failures = &mut self.failures[place];
        if failures.invocation != invocation {
            *failures = Failures { invocation, count: 0 };
        }
        failures.count += 1;
    }

    /// How often the message was failed by chance in this invocation, its latest.
    pub(super) fn failures(&self, message: Number, invocation: u32) -> u32 {
        let failures = self.failures.get(message as usize).filter(|known| known.invocation == invocation);
        failures.map_or(0, |failures| failures.count)
    }

    /// Commits what the request is yet to commit.
    pub(super) fn commit(&mut self, exchange: u32, now: Ms) {
        for (message, sent) in self.uncommitted.remove(&exchange).unwrap_or_default() {
            if self.ledger.commit(message, exchange, now) {
                self.neighbours.extend(self.refused.remove(&message).map(|refused| now - refused));
                self.tally.delivered += 1;
                self.tally.ages.add(now.saturating_sub(sent));
            } else {
                self.tally.repeated += 1;
            }
        }
    }

    pub(super) fn end(&mut self, exchange: u32, now: Ms, outcome: Outcome, tells: bool) {
        let place = exchange as usize;
        self.load -= 1;
        self.exchanges[place].ended = now;
        self.exchanges[place].heard = match (outcome, tells) {
            (Outcome::HungUp, _) => Heard::HungUp,
            (_, true) => Heard::Everything,
            (_, false) => Heard::TooLittle,
        };
        self.outcomes[place] = Some(outcome);
        *self.tally.ended.entry(outcome).or_default() += 1;
    }

    /// A request that should not have come here.
    pub(super) fn astray(&mut self, head: &Parts) {
        self.violate([format!("{} {}: a redirect followed?", head.method, head.uri.path())]);
    }

    pub(super) fn take_tally(&mut self) -> Tally {
        let load = self.load;
        replace(&mut self.tally, Tally { load, ..Tally::default() })
    }

    pub(super) fn take_findings(&mut self) -> Findings {
        Findings {
            ledger: take(&mut self.ledger),
            exchanges: take(&mut self.exchanges),
            neighbours: take(&mut self.neighbours),
            violations: take(&mut self.violations),
            violation_count: self.violation_count,
        }
    }

    fn violate(&mut self, violations: impl IntoIterator<Item = String>) {
        for violation in violations {
            self.violation_count += 1;
            if self.violations.len() < MOST_IN_WORDS {
                self.violations.push(violation);
            }
        }
    }
}

fn posted(record: &Value) -> PostedRecord {
    PostedRecord {
        id: record["messageId"].as_str().unwrap_or_default().to_owned(),
        group: record["groupId"].as_str().map(str::to_owned),
        is_poison: message::is_poison(&record["body"]),
    }
}

/// What the request says otherwise than the queue did, in words.
fn alterations(received: &Received, messages: &Messages) -> Vec<String> {
    let mut findings = Vec::new();
    for (id, record) in received.message_ids.iter().zip(&received.records) {
        match messages.number(id) {
            None => findings.push(format!("`{id}` is the id of no message of the queue")),
            Some(number) if !messages.is_intact(number, &record["body"]) => {
                findings.push(format!("the body of {id} is not the one that was sent"));
            }
            Some(number) => {
                let group = messages.group_id(number);
                if record["groupId"].as_str() != group.as_deref() {
                    findings.push(format!("the group of {id} is not the one it was sent to"));
                }
            }
        }
    }
    findings
}

/// The messages that the reply commits, and when they were sent.
fn accepted(received: &Received, messages: &Messages, fate: &Fate) -> Vec<(Number, Ms)> {
    let records = received.message_ids.iter().zip(&received.records);
    records
        .filter(|(id, _)| fate.reply.commits(Some(id)))
        .filter_map(|(id, record)| {
            let sent = record["sentTimestamp"].as_u64().and_then(message::sent_at);
            Some((messages.number(id)?, sent.unwrap_or_default()))
        })
        .collect()
}
