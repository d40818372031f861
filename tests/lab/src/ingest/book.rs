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
    exchange::{Exchange, Heard, Outcome, Said},
    ledger::Ledger,
    tally::Tally,
};
use crate::{
    clock::Ms,
    dice::Dice,
    message::{self, Messages, Number},
    perseus::{Checker, Content, Format, KeyFault, Received},
    trace,
    weather::{Climate, Ending, Fate, Posted, PostedRecord},
};

/// So many violations are kept in words; the others are counted.
const MOST_IN_WORDS: usize = 50;

#[derive(Debug, Default)]
pub(super) struct Book {
    checker: Checker,
    pub(super) ledger: Ledger,
    exchanges: Vec<Exchange>,
    /// When each message was sent.
    sent: Vec<Ms>,
    /// What each open request is yet to commit.
    uncommitted: HashMap<u32, Vec<Number>>,
    /// The attempts at the same records, and by which request the last was.
    attempts: HashMap<u64, Attempts>,
    /// What became of each message in its latest invocation.
    trials: Vec<Trials>,
    /// How requests ended of which there may be another attempt.
    outcomes: Vec<Option<Outcome>>,
    /// When good messages were refused together with poison for the first time, until they are committed.
    refused: HashMap<Number, Ms>,
    neighbours: Vec<Ms>,
    load: u32,
    /// The second in which the last request came, and how many have come in it.
    second: (Ms, u32),
    tally: Tally,
    violations: Vec<String>,
    violation_count: u32,
    key_faults: Vec<String>,
    key_fault_count: u32,
}

#[derive(Debug, Default)]
struct Attempts {
    invocation: u32,
    count: u32,
    last: u32,
}

/// How often a message was sent in an invocation, and how often that came to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trials {
    invocation: u32,
    /// All requests that it was in.
    pub(crate) posts: u32,
    /// Those that Perseus failed by chance, whatever was sent.
    pub(crate) failures: u32,
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
    /// Idempotency keys that did not belong to one body, in words; only the first ones.
    pub(crate) key_faults: Vec<String>,
    pub(crate) key_fault_count: u32,
}

/// The records of a request, and the messages that they are.
struct Sheet {
    records: Vec<PostedRecord>,
    numbers: Vec<Option<Number>>,
}

impl Book {
    /// Notes when the next message was sent.
    pub(super) fn sent(&mut self, now: Ms) {
        self.sent.push(now);
    }

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
        let sheet = Sheet::of(&received, messages);
        let altered = alterations(&received, &sheet, messages);
        let findings = [self.checker.check(&received), findings, altered].concat();
        self.violate(findings.into_iter().map(|finding| format!("request {number}: {finding}")));
        let key_fault = self.checker.check_key(&received);
        if let Some(fault) = &key_fault {
            self.key_fault_count += 1;
            note(&mut self.key_faults, format!("request {number}: {fault}"));
        }
        let invocation = trace::invocation(&received.headers);
        if invocation.is_none() {
            self.violate([format!("request {number}: the trace id of its invocation is missing")]);
        }
        let invocation = invocation.unwrap_or(u32::MAX);
        let (dice, was_cut_off) = self.attempt(&received, &sheet, invocation, exchange, dice);
        self.count_in(now);
        let posted = Posted {
            at: now,
            body_bytes: received.body.len(),
            load: self.load as usize,
            in_second: self.second.1,
            was_cut_off,
            reuses_key: matches!(key_fault, Some(KeyFault::OtherBody(_))),
            has_ids: received.format == Some(Format::Records),
            records: &sheet.records,
        };
        let fate = climate.fate(&posted, &mut dice.roll());
        self.exchanges.push(Exchange {
            invocation,
            arrived: now,
            ended: now,
            heard: Heard::Nothing,
            said: said(&fate, &sheet.records),
        });
        self.outcomes.push(None);
        self.note_trials(&sheet, &fate, invocation);
        if sheet.records.iter().any(|record| record.is_poison) && !fate.by_chance {
            self.note_neighbours(&sheet, &fate, now);
        }
        self.uncommitted.insert(exchange, sheet.accepted(&fate));
        (exchange, fate)
    }

    /// Counts a request that has come.
    fn count_in(&mut self, now: Ms) {
        self.load += 1;
        self.tally.load = self.tally.load.max(self.load);
        let second = now / 1_000;
        self.second = if self.second.0 == second { (second, self.second.1 + 1) } else { (second, 1) };
    }

    /// Counts the attempt, and names the dice that decide over it; and whether the attempt before it was cut off.
    fn attempt(
        &mut self,
        received: &Received,
        sheet: &Sheet,
        invocation: u32,
        exchange: u32,
        dice: Dice,
    ) -> (Dice, bool) {
        let mut digest = DefaultHasher::new();
        match received.format {
            Some(Format::Records) => received.message_ids.hash(&mut digest),
            _ => sheet.numbers.hash(&mut digest),
        }
        let digest = digest.finish();
        let attempts = self.attempts.entry(digest).or_default();
        let mut was_cut_off = false;
        if attempts.invocation != invocation {
            *attempts = Attempts { invocation, ..Attempts::default() };
        }
        if attempts.count > 0 {
            // An attempt without an end is one that its client has given up.
            let before = self.outcomes[attempts.last as usize].unwrap_or(Outcome::HungUp);
            *self.tally.retried.entry(before).or_default() += 1;
            was_cut_off = matches!(before, Outcome::HungUp | Outcome::Cut);
        }
        attempts.count += 1;
        attempts.last = exchange;
        (dice.of(invocation).of(digest).of(attempts.count), was_cut_off)
    }

    fn note_neighbours(&mut self, sheet: &Sheet, fate: &Fate, now: Ms) {
        for (record, number) in sheet.records.iter().zip(&sheet.numbers) {
            let is_neighbour = !record.is_poison && !fate.reply.commits(Some(&record.id));
            if let Some(message) = number.filter(|_| is_neighbour) {
                self.refused.entry(message).or_insert(now);
            }
        }
    }

    fn note_trials(&mut self, sheet: &Sheet, fate: &Fate, invocation: u32) {
        for (record, number) in sheet.records.iter().zip(&sheet.numbers) {
            let Some(number) = number else { continue };
            let place = *number as usize;
            if self.trials.len() <= place {
                self.trials.resize(place + 1, Trials::default());
            }
            let trials = &mut self.trials[place];
            if trials.invocation != invocation {
                *trials = Trials { invocation, ..Trials::default() };
            }
            trials.posts += 1;
            let is_taken = fate.tells && fate.reply.commits(Some(&record.id));
            trials.failures += u32::from(fate.by_chance && !is_taken);
        }
    }

    /// What became of the message in this invocation, its latest.
    pub(super) fn trials(&self, message: Number, invocation: u32) -> Trials {
        let trials = self.trials.get(message as usize).filter(|known| known.invocation == invocation);
        trials.copied().unwrap_or_default()
    }

    /// Commits what the request is yet to commit.
    pub(super) fn commit(&mut self, exchange: u32, now: Ms) {
        for message in self.uncommitted.remove(&exchange).unwrap_or_default() {
            let sent = self.sent.get(message as usize).copied().unwrap_or(now);
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
            key_faults: take(&mut self.key_faults),
            key_fault_count: self.key_fault_count,
        }
    }

    fn violate(&mut self, violations: impl IntoIterator<Item = String>) {
        for violation in violations {
            self.violation_count += 1;
            note(&mut self.violations, violation);
        }
    }
}

impl Sheet {
    /// Of bodies alone, what they say tells which messages they are.
    fn of(received: &Received, messages: &Messages) -> Self {
        let numbers: Vec<Option<Number>> = match received.format {
            Some(Format::Records) => received.message_ids.iter().map(|id| messages.number(id)).collect(),
            _ => received.records.iter().map(|body| messages.number_of(body)).collect(),
        };
        let records = match received.format {
            Some(Format::Records) => received.records.iter().map(posted).collect(),
            _ => received.records.iter().zip(&numbers).map(|(body, n)| alone(body, *n, messages)).collect(),
        };
        Self { records, numbers }
    }

    /// The messages that the reply commits.
    fn accepted(&self, fate: &Fate) -> Vec<Number> {
        let numbered = self.records.iter().zip(&self.numbers);
        let accepted = numbered.filter(|(record, _)| fate.reply.commits(Some(&record.id)));
        accepted.filter_map(|(_, number)| *number).collect()
    }
}

/// Keeps what is said, if it is one of the first.
fn note(words: &mut Vec<String>, said: String) {
    if words.len() < MOST_IN_WORDS {
        words.push(said);
    }
}

fn said(fate: &Fate, records: &[PostedRecord]) -> Said {
    let is_told = fate.ending == Ending::Reply;
    match fate.reply.status_code() {
        400 | 422 if is_told => Said::Refused,
        _ if is_told && fate.tells && records.iter().any(|record| fate.reply.commits(Some(&record.id))) => {
            Said::Accepted
        }
        500 => Said::Nothing,
        // Of a 207 without a word it may be argued.
        201..=501 if is_told => Said::Other,
        _ => Said::Nothing,
    }
}

fn posted(record: &Value) -> PostedRecord {
    PostedRecord {
        id: record["messageId"].as_str().unwrap_or_default().to_owned(),
        group: record["groupId"].as_str().map(str::to_owned),
        is_poison: message::is_poison(&record["body"]),
    }
}

/// A record of which there is the body alone.
fn alone(body: &Value, number: Option<Number>, messages: &Messages) -> PostedRecord {
    PostedRecord {
        id: number.map(|number| messages.id(number)).unwrap_or_default(),
        group: number.and_then(|number| messages.group_id(number)),
        is_poison: message::is_poison(body),
    }
}

/// What the request says otherwise than the queue did, in words.
fn alterations(received: &Received, sheet: &Sheet, messages: &Messages) -> Vec<String> {
    if received.format != Some(Format::Records) {
        let strangers = sheet.numbers.iter().filter(|number| number.is_none());
        return strangers.map(|_| "a body is that of no message of the queue".to_owned()).collect();
    }
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
