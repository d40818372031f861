//! What the simulated Perseus has seen and done.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    mem::{replace, take},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, request::Parts};
use tokio::time::Instant;

use super::{
    counters::Counters,
    exchange::{ClientView, Exchange, ReplyKind, RequestEnd},
    ledger::Ledger,
    records::RequestRecords,
};
use crate::{
    clock::Ms,
    faults::{Ending, FaultSchedule, Posted, PostedRecord, RequestOutcome},
    lambda::{cost, trace},
    perseus::{Checker, Content, Format, KeyFault, Received},
    seeded_rng::SeededRng,
    sqs::queue::Number,
    traffic::messages::Messages,
};

/// The most violations kept in words. More are only counted.
const MOST_IN_WORDS: usize = 50;

#[derive(Debug, Default)]
pub(super) struct Journal {
    checker: Checker,
    pub(super) ledger: Ledger,
    exchanges: Vec<Exchange>,
    /// When each message was sent.
    sent: Vec<Ms>,
    /// The messages that each open request has still to commit.
    uncommitted: HashMap<u32, Vec<Number>>,
    /// The attempts at the same records.
    attempts: HashMap<u64, RequestAttempts>,
    /// The attempts at each message in its latest invocation.
    delivery_attempts: Vec<DeliveryAttempts>,
    /// How each request ended.
    ends: Vec<Option<RequestEnd>>,
    /// Good messages that were refused together with poison and are not committed yet, and when that was first.
    refused: HashMap<Number, Ms>,
    neighbours: Vec<Ms>,
    load: u32,
    /// The current second, and the number of requests in it.
    second: (Ms, u32),
    counters: Counters,
    violations: Vec<String>,
    violation_count: u32,
    key_faults: Vec<String>,
    key_fault_count: u32,
}

#[derive(Debug, Default)]
struct RequestAttempts {
    invocation: u32,
    count: u32,
    last: u32,
}

/// The attempts at a message in one invocation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DeliveryAttempts {
    invocation: u32,
    /// Requests that contained it.
    pub(crate) requests: u32,
    /// Those that failed at random.
    pub(crate) failures: u32,
}

/// Everything the simulated Perseus recorded.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) ledger: Ledger,
    pub(crate) exchanges: Vec<Exchange>,
    /// How long good messages that were refused together with poison waited for their commit.
    pub(crate) neighbours: Vec<Ms>,
    /// Breaches of the contract, in words. Only the first ones.
    pub(crate) violations: Vec<String>,
    pub(crate) violation_count: u32,
    /// Idempotency keys that came with two bodies or two with one body, in words. Only the first ones.
    pub(crate) key_faults: Vec<String>,
    pub(crate) key_fault_count: u32,
}

impl Journal {
    /// Notes when the next message was sent.
    pub(super) fn sent(&mut self, now: Ms) {
        self.sent.push(now);
    }

    /// Records and checks a request, and draws its outcome. Also returns what it cost the function.
    pub(super) fn receive(
        &mut self,
        headers: HeaderMap,
        body: Bytes,
        now: Ms,
        messages: &Messages,
        faults: &FaultSchedule,
        seeded: SeededRng,
    ) -> (u32, RequestOutcome, Duration) {
        let number = self.exchanges.len();
        let exchange = u32::try_from(number).unwrap_or(u32::MAX);
        let Content { plain, format, message_ids, records, findings } = Content::read(&headers, &body);
        let received =
            Received { number, at: Instant::now(), headers, body, plain, format, message_ids, records };
        let records = RequestRecords::of(&received, messages);
        let key_fault = self.check(&received, findings, &records, messages);
        let invocation = trace::invocation(&received.headers).unwrap_or(u32::MAX);
        let (seeded, was_cut_off) = self.attempt(&received, &records, invocation, exchange, seeded);
        self.count_in(now);
        let posted = Posted {
            at: now,
            body_bytes: received.body.len(),
            load: self.load as usize,
            in_second: self.second.1,
            was_cut_off,
            reuses_key: matches!(key_fault, Some(KeyFault::OtherBody(_))),
            has_ids: received.format == Some(Format::Records),
            records: &records.records,
        };
        let outcome = faults.outcome(&posted, &mut seeded.rng());
        self.exchanges.push(Exchange {
            invocation,
            arrived: now,
            ended: now,
            client_view: ClientView::Waiting,
            reply_kind: reply_kind(&outcome, &records.records),
        });
        self.ends.push(None);
        self.count_delivery_attempts(&records, &outcome, invocation);
        if records.records.iter().any(|record| record.is_poison) && !outcome.is_random {
            self.note_neighbours(&records, &outcome, now);
        }
        self.uncommitted.insert(exchange, records.accepted(&outcome));
        (exchange, outcome, cost::request(&received))
    }

    /// Notes what is wrong with a request, and returns what is wrong with its idempotency key.
    fn check(
        &mut self,
        received: &Received,
        findings: Vec<String>,
        records: &RequestRecords,
        messages: &Messages,
    ) -> Option<KeyFault> {
        let number = received.number;
        let altered = records.alterations(received, messages);
        let findings = [self.checker.check(received), findings, altered].concat();
        self.violate(findings.into_iter().map(|finding| format!("request {number}: {finding}")));
        let key_fault = self.checker.check_key(received);
        if let Some(fault) = &key_fault {
            self.key_fault_count += 1;
            note(&mut self.key_faults, format!("request {number}: {fault}"));
        }
        if trace::invocation(&received.headers).is_none() {
            self.violate([format!("request {number}: the trace id of its invocation is missing")]);
        }
        key_fault
    }

    /// Counts a request that has arrived.
    fn count_in(&mut self, now: Ms) {
        self.load += 1;
        self.counters.load = self.counters.load.max(self.load);
        let second = now / 1_000;
        self.second = if self.second.0 == second { (second, self.second.1 + 1) } else { (second, 1) };
    }

    /// Counts the attempt. Returns the seed of its outcome, and whether the attempt before it was cut off.
    fn attempt(
        &mut self,
        received: &Received,
        records: &RequestRecords,
        invocation: u32,
        exchange: u32,
        seeded: SeededRng,
    ) -> (SeededRng, bool) {
        let mut digest = DefaultHasher::new();
        match received.format {
            Some(Format::Records) => received.message_ids.hash(&mut digest),
            _ => records.numbers.hash(&mut digest),
        }
        let digest = digest.finish();
        let attempts = self.attempts.entry(digest).or_default();
        let mut was_cut_off = false;
        if attempts.invocation != invocation {
            *attempts = RequestAttempts { invocation, ..RequestAttempts::default() };
        }
        if attempts.count > 0 {
            // If the attempt before has not ended, its client has given it up.
            let before = self.ends[attempts.last as usize].unwrap_or(RequestEnd::HungUp);
            *self.counters.retried.entry(before).or_default() += 1;
            was_cut_off = matches!(before, RequestEnd::HungUp | RequestEnd::Cut);
        }
        attempts.count += 1;
        attempts.last = exchange;
        (seeded.fork(invocation).fork(digest).fork(attempts.count), was_cut_off)
    }

    fn note_neighbours(&mut self, records: &RequestRecords, outcome: &RequestOutcome, now: Ms) {
        for (record, number) in records.records.iter().zip(&records.numbers) {
            let is_neighbour = !record.is_poison && !outcome.reply.commits(Some(&record.id));
            if let Some(message) = number.filter(|_| is_neighbour) {
                self.refused.entry(message).or_insert(now);
            }
        }
    }

    fn count_delivery_attempts(
        &mut self,
        records: &RequestRecords,
        outcome: &RequestOutcome,
        invocation: u32,
    ) {
        for (record, number) in records.records.iter().zip(&records.numbers) {
            let Some(number) = number else { continue };
            let index = *number as usize;
            if self.delivery_attempts.len() <= index {
                self.delivery_attempts.resize(index + 1, DeliveryAttempts::default());
            }
            let delivery_attempts = &mut self.delivery_attempts[index];
            if delivery_attempts.invocation != invocation {
                *delivery_attempts = DeliveryAttempts { invocation, ..DeliveryAttempts::default() };
            }
            delivery_attempts.requests += 1;
            let is_taken = outcome.is_definite && outcome.reply.commits(Some(&record.id));
            delivery_attempts.failures += u32::from(outcome.is_random && !is_taken);
        }
    }

    /// The attempts at the message in this invocation, its latest.
    pub(super) fn delivery_attempts(&self, message: Number, invocation: u32) -> DeliveryAttempts {
        let delivery_attempts =
            self.delivery_attempts.get(message as usize).filter(|known| known.invocation == invocation);
        delivery_attempts.copied().unwrap_or_default()
    }

    /// Commits what the request has still to commit.
    pub(super) fn commit(&mut self, exchange: u32, now: Ms) {
        for message in self.uncommitted.remove(&exchange).unwrap_or_default() {
            let sent = self.sent.get(message as usize).copied().unwrap_or(now);
            if self.ledger.commit(message, exchange, now) {
                self.neighbours.extend(self.refused.remove(&message).map(|refused| now - refused));
                self.counters.delivered += 1;
                self.counters.ages.add(now.saturating_sub(sent));
            } else {
                self.counters.repeated += 1;
            }
        }
    }

    pub(super) fn end(&mut self, exchange: u32, now: Ms, end: RequestEnd, is_definite: bool) {
        let index = exchange as usize;
        self.load -= 1;
        self.exchanges[index].ended = now;
        self.exchanges[index].client_view = match (end, is_definite) {
            (RequestEnd::HungUp, _) => ClientView::HungUp,
            (_, true) => ClientView::Informed,
            (_, false) => ClientView::Uninformed,
        };
        let end = match end {
            RequestEnd::Status(status @ 200..300) if !is_definite => RequestEnd::Unclear(status),
            end => end,
        };
        self.ends[index] = Some(end);
        *self.counters.ended.entry(end).or_default() += 1;
    }

    /// Records a request to another path or with another method.
    pub(super) fn misdirected(&mut self, head: &Parts) {
        self.violate([format!("{} {}: a redirect followed?", head.method, head.uri.path())]);
    }

    pub(super) fn take_counters(&mut self) -> Counters {
        let load = self.load;
        replace(&mut self.counters, Counters { load, ..Counters::default() })
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

/// Keeps the first few findings.
fn note(words: &mut Vec<String>, finding: String) {
    if words.len() < MOST_IN_WORDS {
        words.push(finding);
    }
}

fn reply_kind(outcome: &RequestOutcome, records: &[PostedRecord]) -> ReplyKind {
    let is_sent = outcome.ending == Ending::Reply;
    match outcome.reply.status_code() {
        400 | 422 if is_sent => ReplyKind::Refused,
        _ if is_sent
            && outcome.is_definite
            && records.iter().any(|record| outcome.reply.commits(Some(&record.id))) =>
        {
            ReplyKind::Accepted
        }
        500 => ReplyKind::Unusable,
        // A 207 without a verdict counts as a sign of life.
        201..=501 if is_sent => ReplyKind::Other,
        _ => ReplyKind::Unusable,
    }
}
