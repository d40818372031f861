//! What each scenario changes in the base plan.

use rand::{RngExt, rngs::ChaCha8Rng};

use super::{
    Plan, Scenario,
    base::flaky,
    plan::{HOUR, MINUTE, SECOND},
};
use crate::{
    faults::{Outage, OutageKind, Poison, SqsFaults},
    sqs::names::dead_letter_queue,
    traffic::{Shape, Traffic},
};

impl Plan {
    /// Changes the base plan into one of its scenario.
    pub(super) fn apply_scenario(&mut self, rng: &mut ChaCha8Rng) {
        match self.scenario {
            Scenario::Calm => {}
            Scenario::Flaky => self.faults = flaky(rng),
            Scenario::Outage => self.apply_outage(rng),
            Scenario::Blips => self.apply_blips(rng),
            Scenario::Slow => self.apply_slow(rng),
            Scenario::Poison => self.add_poison(0.02, rng),
            Scenario::Capacity => self.apply_capacity(rng),
            Scenario::TooLarge => {
                self.message.padding = (100, 2_000);
                self.faults.largest_body = Some(rng.random_range(5_000..20_000));
            }
            Scenario::Verdicts => {
                self.faults.refusal = rng.random_range(0.1..0.3);
                self.faults.mute_207 = rng.random_range(0.0..0.05);
                self.faults.page = rng.random_range(0.0..0.05);
                self.faults.empty_ok = rng.random_range(0.0..0.05);
                self.add_poison(0.01, rng);
                self.faults.poison = Poison::ByName;
            }
            Scenario::Misconfigured => {
                self.add_outages(OutageKind::OF_SETTINGS, rng);
            }
            Scenario::Fifo => self.apply_fifo(rng),
            Scenario::FifoFlaky => self.apply_fifo_flaky(rng),
            Scenario::Duplicates => {
                self.queue.duplicates = rng.random_range(0.05..0.2);
                self.faults.lost_after = 0.02;
            }
            Scenario::Freeze => self.apply_freeze(rng),
            Scenario::Crash => {
                self.fleet.crash = rng.random_range(0.01..0.05);
                self.fleet.stall = rng.random_range(0.0..0.02);
            }
            Scenario::Breaker => self.apply_breaker(rng),
            Scenario::Day => self.apply_day(rng),
        }
    }

    /// Whether the function calls SQS, and the faults of SQS.
    pub(super) fn choose_sqs(&mut self, rng: &mut ChaCha8Rng) {
        let asks = rng.random_bool(0.5);
        self.set("SQS_VISIBILITY", if asks { "on" } else { "off" });
        let refuses = self.message.poison > 0.0 || !self.faults.refusing().is_empty();
        if refuses && rng.random_bool(0.5) {
            self.set("REJECTED_QUEUE_URL", dead_letter_queue(self.queue.fifo));
        }
        if rng.random_bool(0.5) {
            self.faults.sqs = SqsFaults::random(rng);
        }
    }

    /// A long outage in each half of the run. Successive seeds go through all kinds.
    fn apply_outage(&mut self, rng: &mut ChaCha8Rng) {
        let kinds = OutageKind::OF_PERSEUS;
        let seed = usize::try_from(self.seed % kinds.len() as u64).unwrap_or_default();
        let half = self.traffic.over / 2;
        for (start, step) in [(0, 0), (half, 5)] {
            let from = start + rng.random_range(0..half / 2);
            let until = from + rng.random_range(half / 6..half * 2 / 5);
            let kind = kinds[(seed + step) % kinds.len()];
            self.faults.outages.push(Outage { from, until, kind });
        }
    }

    /// Restarts of 0.1 to 1 s under high load.
    fn apply_blips(&mut self, rng: &mut ChaCha8Rng) {
        self.follow_template();
        // At least ten rounds of requests per invocation, so that there are requests before and after a blip.
        self.set("BATCH_MAX_RECORDS", 10);
        self.mapping.max_concurrency = 5;
        self.traffic.shape = Shape::Bursts;
        self.traffic.messages *= 3;
        self.faults.latency = (20, rng.random_range(20..80));
        if rng.random_bool(0.5) {
            self.faults.rate_limit = Some(rng.random_range(50..150));
        }
        let mut from = 0;
        while from < self.traffic.over {
            from += rng.random_range(SECOND..20 * SECOND);
            let until = from + rng.random_range(100..SECOND);
            let kind = OutageKind::OF_RESTARTS[rng.random_range(0..OutageKind::OF_RESTARTS.len())];
            self.faults.outages.push(Outage { from, until, kind });
            from = until;
        }
    }

    fn apply_slow(&mut self, rng: &mut ChaCha8Rng) {
        self.timeout = rng.random_range(6 * SECOND..=15 * SECOND);
        self.queue.visibility = 3 * self.timeout;
        self.faults.latency = (100, rng.random_range(200..700));
        self.faults.slow = rng.random_range(0.0..0.02);
        self.faults.hang = rng.random_range(0.01..0.03);
        // Sometimes longer than the function's timeout: then the cutoff ends the request.
        self.set("REQUEST_TIMEOUT", format!("{}s", rng.random_range(4..=15)));
        // Two or three requests in sequence: a message that does not fit now fits later.
        self.mapping.batch_size = 40;
        self.mapping.window = SECOND;
        self.set("BATCH_MAX_RECORDS", 5);
        self.set("MAX_IN_FLIGHT", 4);
    }

    /// Short bursts that exceed the capacity of Perseus.
    fn apply_capacity(&mut self, rng: &mut ChaCha8Rng) {
        self.faults.latency = (50, rng.random_range(50..200));
        self.faults.capacity = Some(rng.random_range(10..16));
        self.traffic.shape = Shape::Bursts;
        self.traffic.messages *= 4;
        self.mapping.batch_size = 100;
        self.mapping.window = SECOND;
        self.mapping.max_concurrency = rng.random_range(5..=6);
        self.set("BATCH_MAX_RECORDS", 5);
        self.set("MAX_IN_FLIGHT", 5);
    }

    pub(super) fn apply_fifo(&mut self, rng: &mut ChaCha8Rng) {
        self.queue.fifo = true;
        self.message.groups = Some(rng.random_range(3..60));
        // Lambda's limit for FIFO queues.
        self.mapping.batch_size = 10;
        self.mapping.window = 0;
    }

    /// Few attempts, so that the function gives up messages. Many receives, so that they come again.
    fn apply_fifo_flaky(&mut self, rng: &mut ChaCha8Rng) {
        self.faults = flaky(rng);
        self.apply_fifo(rng);
        self.add_poison(0.003, rng);
        self.queue.max_receives = 10;
        self.set("MAX_ATTEMPTS", rng.random_range(1..=3));
        self.set("BATCH_MAX_RECORDS", rng.random_range(1..=5));
    }

    /// Environments are reused so soon that the pool still trusts its connections.
    fn apply_freeze(&mut self, rng: &mut ChaCha8Rng) {
        self.fleet.frozen_loss = rng.random_range(0.2..0.9);
        self.mapping.batch_size = 10;
        self.mapping.window = 0;
    }

    fn apply_day(&mut self, rng: &mut ChaCha8Rng) {
        self.faults = flaky(rng);
        self.faults.worsen(0.2);
        self.traffic = Traffic { messages: 100_000, over: 24 * HOUR, shape: Shape::Day };
        self.mapping.batch_size = 100;
        self.mapping.window = 5 * SECOND;
        self.queue.duplicates = 0.001;
        self.fleet.crash = 0.001;
        self.fleet.stall = 0.000_2;
        self.fleet.frozen_loss = 0.02;
        self.add_poison(0.000_5, rng);
        self.add_outages(OutageKind::ALL, rng);
    }

    pub(super) fn add_poison(&mut self, share: f64, rng: &mut ChaCha8Rng) {
        self.message.poison = rng.random_range(share / 5.0..share);
        self.faults.poison = if rng.random_bool(0.5) { Poison::WholeRequest } else { Poison::ByName };
    }

    /// One outage in each half of the run, each a twentieth to a tenth of it, and half an hour at most.
    fn add_outages(&mut self, kinds: &[OutageKind], rng: &mut ChaCha8Rng) {
        let half = self.traffic.over / 2;
        for start in [0, half] {
            let from = start + rng.random_range(0..half / 2);
            let until = from + rng.random_range(half / 10..half / 5).min(30 * MINUTE);
            let kind = kinds[rng.random_range(0..kinds.len())];
            self.faults.outages.push(Outage { from, until, kind });
        }
    }
}
