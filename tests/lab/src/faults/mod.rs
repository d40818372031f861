//! Fault injection: the fault schedule of a run, and the outcome of each request under it.

mod lambda;
mod outage;
mod outcome;
mod replies;
mod sqs;

use std::time::Duration;

use rand::{RngExt, rngs::ChaCha8Rng};

pub use self::outage::OutageKind;
use self::outage::during;
pub(crate) use self::{
    lambda::{LambdaFaults, LambdaOutcome, Lie},
    outage::Outage,
    outcome::{Ending, Posted, PostedRecord, RequestOutcome},
    sqs::{CallOutcome, SqsFaults},
};
use crate::{
    clock::Ms,
    perseus::{Reply, Takes},
    seeded_rng::exponential,
};

/// How Perseus behaves: probabilities for each request, its limits, and its outages.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultSchedule {
    /// The shortest latency, and the mean of what is added to it.
    pub(crate) latency: (Ms, Ms),
    /// A reply that takes twenty times as long.
    pub(crate) slow: f64,
    /// No reply, ever. Half of the time the records are committed.
    pub(crate) hang: f64,
    /// The connection is reset or closed before anything is committed.
    pub(crate) lost_before: f64,
    /// The connection is reset or closed after everything is committed.
    pub(crate) lost_after: f64,
    /// The reply is cut short. Half of the time the records are committed.
    pub(crate) half_reply: f64,
    /// 408, 425, 500, 502, 503, 504: nothing is committed.
    pub(crate) error: f64,
    /// 500 or 504 for records that are committed.
    pub(crate) error_after: f64,
    /// 429 or 503 with a Retry-After.
    pub(crate) throttle: f64,
    /// A 207 without a verdict, or with an id that was not sent. Half of the time the records are committed.
    pub(crate) mute_207: f64,
    /// A reply that refuses some records by id, as retryable.
    pub(crate) refusal: f64,
    /// 409 to a retry whose earlier attempt was cut off: Perseus still works on that key.
    pub(crate) conflict: f64,
    /// A gateway's page with a 200: nothing is committed.
    pub(crate) page: f64,
    /// Bytes that are no HTTP: nothing is committed.
    pub(crate) no_http: f64,
    /// An empty 200 from a proxy: nothing is committed. Only if Perseus answers with an object can a client tell.
    pub(crate) empty_ok: f64,
    /// Whether a success has a JSON object as its body.
    pub(crate) answers_object: bool,
    /// Whether a key that was used with another body is refused with 422.
    pub(crate) checks_keys: bool,
    /// The most requests in a second. More are answered 429 at once, without a Retry-After.
    pub(crate) rate_limit: Option<u32>,
    /// How poison is refused.
    pub(crate) poison: Poison,
    /// The most requests at once. More are refused quickly.
    pub(crate) capacity: Option<usize>,
    /// Whether refusals over the capacity have no Retry-After.
    pub(crate) omits_retry_after: bool,
    /// The largest body. A larger one is answered 413.
    pub(crate) largest_body: Option<usize>,
    /// Its outages, in order.
    pub(crate) outages: Vec<Outage>,
    /// The faults of SQS.
    pub(crate) sqs: SqsFaults,
    /// The faults of Lambda's API.
    pub(crate) lambda: LambdaFaults,
}

/// How Perseus refuses a record that it will never accept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Poison {
    /// The whole request, with 400 or 422.
    #[default]
    WholeRequest,
    /// Only the record, by its id.
    ByName,
}

/// A refusal with a Retry-After of some seconds.
fn later(rng: &mut ChaCha8Rng) -> Reply {
    let seconds = rng.random_range(1..=3_u8).to_string();
    Reply::status(if rng.random_bool(0.5) { 429 } else { 503 }).header("retry-after", &seconds)
}

/// A transient failure.
fn error(rng: &mut ChaCha8Rng) -> Reply {
    let reply = Reply::status([408, 425, 500, 502, 503, 504][rng.random_range(0..6)]);
    // A Retry-After counts on 429 and 503 only. On a 503 this one would end the invocation.
    let asks_for_long = reply.status_code() != 503 && rng.random_bool(0.1);
    if asks_for_long { reply.header("retry-after", "3600") } else { reply }
}

/// The largest probability of a fault. With 1.0 a run would never end.
const WORST: f64 = 0.9;

impl FaultSchedule {
    /// Draws the outcome of a request.
    pub(crate) fn outcome(&self, posted: &Posted<'_>, rng: &mut ChaCha8Rng) -> RequestOutcome {
        let (least, mean) = self.latency;
        let mut latency = f64::from(least) + exponential(rng, f64::from(mean));
        if rng.random_bool(self.slow) {
            latency *= 20.0;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some seconds")]
        let latency = Duration::from_millis(latency as u64);
        let outage = self.outages.iter().find(|outage| outage.is_at(posted.at));
        let is_full = self.capacity.is_some_and(|most| posted.load > most);
        let is_too_often = self.rate_limit.is_some_and(|most| posted.in_second > most);
        // A refusal takes less time than the work.
        let latency = match outage {
            // While Perseus restarts, the failure comes at once.
            Some(outage) if outage.is_blip() => Duration::ZERO,
            None if is_too_often => Duration::ZERO,
            None if is_full => latency / 10,
            _ => latency,
        };
        let outcome = match outage {
            Some(outage) => during(outage.kind, rng),
            None if is_too_often => RequestOutcome::failure(Reply::status(429)),
            None if is_full && self.omits_retry_after => RequestOutcome::definite(Reply::status(429)),
            None if is_full => RequestOutcome::definite(later(rng)),
            None => self
                .early_refusal(posted, rng)
                .or_else(|| self.transport_fault(posted, rng))
                .unwrap_or_else(|| self.verdict(posted, rng)),
        };
        // The commit happens before the reply: a client that hangs up meanwhile may be too late to prevent it.
        let commits_after = latency.mul_f64(rng.random_range(0.5..1.0));
        RequestOutcome { commits_after, replies_after: latency, ..outcome }
    }

    /// Multiplies the probability of every fault.
    pub(crate) fn worsen(&mut self, factor: f64) {
        for share in [
            &mut self.slow,
            &mut self.hang,
            &mut self.lost_before,
            &mut self.lost_after,
            &mut self.half_reply,
            &mut self.error,
            &mut self.error_after,
            &mut self.throttle,
            &mut self.mute_207,
            &mut self.refusal,
            &mut self.conflict,
            &mut self.page,
            &mut self.no_http,
            &mut self.empty_ok,
        ] {
            *share = (*share * factor).min(WORST);
        }
    }

    /// The outage at this time.
    pub(crate) fn outage(&self, at: Ms) -> Option<OutageKind> {
        self.outages.iter().find(|outage| outage.is_at(at)).map(|outage| outage.kind)
    }

    /// The times in which connections are refused, in order.
    pub(crate) fn closed(&self) -> Vec<(Ms, Ms)> {
        let refused = self.outages.iter().filter(|outage| outage.kind == OutageKind::Refused);
        refused.map(|outage| (outage.from, outage.until)).collect()
    }

    /// The times in which every request is refused with 400 or 422.
    pub(crate) fn refusing(&self) -> Vec<(Ms, Ms)> {
        let refusing = self.outages.iter().filter(|outage| outage.kind.refuses());
        refusing.map(|outage| (outage.from, outage.until)).collect()
    }

    /// Whether there was an outage, longer than a blip, in this time.
    pub(crate) fn outage_between(&self, from: Ms, until: Ms) -> bool {
        self.outages.iter().any(|outage| !outage.is_blip() && outage.meets(from, until))
    }

    /// Whether connections were refused in this time. Perseus does not see such attempts.
    pub(crate) fn refuses_connections_between(&self, from: Ms, until: Ms) -> bool {
        let refuses = |outage: &&Outage| outage.kind == OutageKind::Refused;
        self.outages.iter().filter(refuses).any(|outage| outage.meets(from, until))
    }

    /// Refusals that do not depend on the records.
    fn early_refusal(&self, posted: &Posted<'_>, rng: &mut ChaCha8Rng) -> Option<RequestOutcome> {
        if self.largest_body.is_some_and(|most| posted.body_bytes > most) {
            return Some(RequestOutcome::definite(replies::refusal(413, rng)));
        }
        if self.checks_keys && posted.reuses_key {
            return Some(RequestOutcome::definite(replies::refusal(422, rng)));
        }
        if posted.was_cut_off && rng.random_bool(self.conflict) {
            return Some(RequestOutcome::failure(Reply::status(409)));
        }
        if rng.random_bool(self.throttle) {
            return Some(RequestOutcome::failure(later(rng)));
        }
        let fails = rng.random_bool(self.error);
        fails.then(|| RequestOutcome::failure(error(rng)))
    }

    /// A fault of the connection or of the reply.
    fn transport_fault(&self, posted: &Posted<'_>, rng: &mut ChaCha8Rng) -> Option<RequestOutcome> {
        let lost = if rng.random_bool(0.5) { Ending::Reset } else { Ending::Close };
        let is_taken = rng.random_bool(0.5);
        // A fault on the way back must not make Perseus accept poison.
        let all = if posted.has_poison() { Takes::Nothing } else { Takes::Everything };
        let some_time = if is_taken { all.clone() } else { Takes::Nothing };
        let mut roll: f64 = rng.random();
        let mut falls_in = |share: f64| {
            roll -= share;
            roll < 0.0
        };
        let says_something = rng.random_bool(0.5);
        // In formats without ids, even the id of a real message names no record.
        let named =
            posted.records.first().filter(|_| !posted.has_ids).map_or("stranger", |record| &record.id);
        let mute = match says_something {
            true => "{}".to_owned(),
            false => format!(r#"{{"batchItemFailures":[{{"itemIdentifier":"{named}"}}]}}"#),
        };
        let nothing = |reply: Reply| reply.taking(Takes::Nothing);
        Some(if falls_in(self.hang) {
            RequestOutcome::indefinite(Reply::ok().taking(some_time), Ending::Silence)
        } else if falls_in(self.lost_before) {
            RequestOutcome::indefinite(Reply::ok().taking(Takes::Nothing), lost)
        } else if falls_in(self.lost_after) {
            RequestOutcome::indefinite(Reply::ok().taking(all), lost)
        } else if falls_in(self.half_reply) {
            RequestOutcome::indefinite(replies::cut_short(says_something).taking(some_time), Ending::Reply)
        } else if falls_in(self.error_after) {
            RequestOutcome::indefinite(
                Reply::status(if is_taken { 500 } else { 504 }).taking(all),
                Ending::Reply,
            )
        } else if falls_in(self.mute_207) {
            RequestOutcome::indefinite(Reply::status(207).body(mute).taking(some_time), Ending::Reply)
        } else if falls_in(self.page) {
            RequestOutcome::indefinite(nothing(replies::sign_in()), Ending::Reply)
        } else if falls_in(self.no_http) {
            RequestOutcome::indefinite(nothing(Reply::ok()), Ending::NoHttp)
        } else if falls_in(self.empty_ok) {
            RequestOutcome::indefinite(nothing(Reply::ok()), Ending::Reply)
        } else {
            return None;
        })
    }

    /// What Perseus decides about the records.
    fn verdict(&self, posted: &Posted<'_>, rng: &mut ChaCha8Rng) -> RequestOutcome {
        let has_poison = posted.has_poison();
        if has_poison && (self.poison == Poison::WholeRequest || !posted.has_ids) {
            return RequestOutcome::definite(replies::refusal(
                if rng.random_bool(0.5) { 400 } else { 422 },
                rng,
            ));
        }
        let refuses = posted.has_ids && rng.random_bool(self.refusal);
        if !has_poison && !refuses {
            return RequestOutcome::definite(self.success(rng));
        }
        let mut refused: Vec<(&str, Option<bool>)> = Vec::new();
        let mut broken: Vec<&str> = Vec::new();
        for record in posted.records {
            let group = record.group.as_deref();
            // Contract: after a refusal, Perseus refuses the later records of the same group, so that the order holds.
            let is_behind = group.is_some_and(|group| broken.contains(&group));
            let retryable = match record {
                PostedRecord { is_poison: true, .. } => Some(false),
                _ if is_behind => Some(true),
                _ if refuses && rng.random_bool(0.2) => rng.random_bool(0.5).then_some(true),
                _ => continue,
            };
            refused.push((&record.id, retryable));
            broken.extend(group);
        }
        let reply = Reply::refuse(if rng.random_bool(0.5) { 200 } else { 207 }, &refused);
        RequestOutcome { is_random: refuses, ..RequestOutcome::definite(reply) }
    }

    fn success(&self, rng: &mut ChaCha8Rng) -> Reply {
        let status = [200, 200, 200, 201, 202, 204][rng.random_range(0..6)];
        // A 204 has no body.
        match self.answers_object {
            true => Reply::refuse(if status == 204 { 200 } else { status }, &[]),
            false => Reply::status(status),
        }
    }
}

#[cfg(test)]
mod tests;
