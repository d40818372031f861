//! The figures of a run over time.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    clock::Ms,
    simulated_perseus::{Counters, RequestEnd},
    sqs::queue::Counts,
};

/// The figures of a run, interval by interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Series {
    /// The length of an interval, in seconds.
    pub interval_s: f64,
    /// The intervals, in order. The last may be shorter.
    pub points: Vec<Point>,
}

/// One interval. Depths are those at its end, the others are of the whole interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Point {
    /// The end of the interval, in seconds since the start.
    pub at_s: f64,
    /// Messages in the queue, not in flight.
    pub queue_depth: u32,
    /// Messages received and not yet deleted.
    pub messages_in_flight: u32,
    /// Messages in the dead-letter queue.
    pub dead_letters: u32,
    /// Invocations running.
    pub invocations_running: u32,
    /// The most requests at Perseus at once.
    pub requests_in_flight: u32,
    /// First commits per second.
    pub deliveries_per_s: f64,
    /// Repeated commits per second.
    pub duplicates_per_s: f64,
    /// Requests by how they ended: a status, `connection lost`, `hung up`.
    pub requests: BTreeMap<String, u32>,
    /// Repeated attempts by how the attempt before ended.
    pub retries: BTreeMap<String, u32>,
    /// The age of messages at their first commit, in milliseconds: half were younger.
    pub age_p50_ms: Option<f64>,
    /// 95 in 100 were younger.
    pub age_p95_ms: Option<f64>,
    /// All were younger.
    pub age_max_ms: Option<f64>,
    /// The least time between an answer and its deadline, in milliseconds.
    pub headroom_ms: Option<Ms>,
    /// Whether Perseus was in an outage at the end of the interval.
    pub outage: bool,
}

/// Collects the figures of each interval.
#[derive(Debug)]
pub(crate) struct Recorder {
    interval: Ms,
    next: Ms,
    points: Vec<Point>,
    /// Of all intervals so far.
    pub(crate) total: Counters,
    headroom: Option<Ms>,
}

/// The state at the end of an interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    pub(crate) counts: Counts,
    pub(crate) running: usize,
    pub(crate) outage: bool,
}

/// A run of the planned length has about this many intervals.
const INTERVALS: Ms = 120;

impl Recorder {
    pub(crate) fn new(planned: Ms) -> Self {
        let interval = (planned / INTERVALS).max(1_000).next_multiple_of(1_000);
        Self { interval, next: interval, points: Vec::new(), total: Counters::default(), headroom: None }
    }

    /// When the interval ends.
    pub(crate) fn next(&self) -> Ms {
        self.next
    }

    pub(crate) fn answer(&mut self, headroom: Ms) {
        self.headroom = Some(self.headroom.map_or(headroom, |least| least.min(headroom)));
    }

    /// Ends the interval.
    pub(crate) fn record(&mut self, now: Ms, counters: &Counters, snapshot: Snapshot) {
        let began = self.next - self.interval;
        let seconds = f64::from(now.saturating_sub(began).max(1)) / 1_000.0;
        self.points.push(Point {
            at_s: f64::from(now) / 1_000.0,
            queue_depth: snapshot.counts.visible,
            messages_in_flight: snapshot.counts.in_flight,
            dead_letters: snapshot.counts.dead,
            invocations_running: u32::try_from(snapshot.running).unwrap_or(u32::MAX),
            requests_in_flight: counters.load,
            deliveries_per_s: f64::from(counters.delivered) / seconds,
            duplicates_per_s: f64::from(counters.repeated) / seconds,
            requests: by_name(&counters.ended),
            retries: by_name(&counters.retried),
            age_p50_ms: counters.ages.at(0.5),
            age_p95_ms: counters.ages.at(0.95),
            age_max_ms: counters.ages.at(1.0),
            headroom_ms: self.headroom.take(),
            outage: snapshot.outage,
        });
        self.total.merge(counters);
        self.next += self.interval;
    }

    pub(crate) fn series(self) -> Series {
        Series { interval_s: f64::from(self.interval) / 1_000.0, points: self.points }
    }
}

/// The same counts by the name of each end.
pub(crate) fn by_name(counts: &BTreeMap<RequestEnd, u32>) -> BTreeMap<String, u32> {
    counts.iter().map(|(end, count)| (end.to_string(), *count)).collect()
}
