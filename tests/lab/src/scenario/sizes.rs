//! The sizes and formats of a run: events, requests, and the template's settings.

use rand::{RngExt, rngs::ChaCha8Rng};

use super::{
    Plan, Scenario,
    plan::{MINUTE, SECOND},
};
use crate::{faults::Poison, traffic::Shape};

/// One seed in this many has events as large as Lambda's limit.
const LARGE_IN: u32 = 40;

/// Variables whose defaults are the template's values.
const DEFAULTS: [&str; 7] = [
    "BATCH_MAX_RECORDS",
    "MAX_IN_FLIGHT",
    "MAX_ATTEMPTS",
    "REQUEST_TIMEOUT",
    "CUTOFF_RESERVE",
    "RETRY_BASE",
    "RETRY_CAP",
];

impl Plan {
    /// Gives some runs the settings of `template.yaml`, and some events of up to 10,000 records. The scenario's own changes
    /// come after it.
    pub(super) fn choose_size(&mut self, rng: &mut ChaCha8Rng) {
        if rng.random_bool(0.25) {
            self.follow_template();
        }
        if rng.random_ratio(1, LARGE_IN) {
            self.enlarge(rng);
        }
    }

    pub(super) fn follow_template(&mut self) {
        self.variables.retain(|(name, _)| !DEFAULTS.contains(&name.as_str()));
        self.timeout = 60 * SECOND;
        self.queue.visibility = 361 * SECOND;
        self.queue.max_receives = 10;
        self.mapping.batch_size = 1_000;
        self.mapping.window = SECOND;
        self.mapping.max_concurrency = 10;
    }

    fn enlarge(&mut self, rng: &mut ChaCha8Rng) {
        self.timeout = self.timeout.max(30 * SECOND);
        self.queue.visibility = self.queue.visibility.max(3 * self.timeout);
        self.traffic.messages = 40_000;
        self.traffic.over = 5 * MINUTE;
        self.traffic.shape = Shape::Bursts;
        // Ten thousand of these fit into an event of 6 MB.
        self.message.padding = (10, 30);
        self.mapping.batch_size = 10_000;
        self.mapping.window = 10 * SECOND;
        self.set("BATCH_MAX_RECORDS", [100, 1_000, 10_000][rng.random_range(0..3)]);
        self.set("MAX_IN_FLIGHT", 10);
    }

    /// The function's memory: Lambda's least, more, and a full core.
    pub(super) fn choose_memory(&mut self, rng: &mut ChaCha8Rng) {
        self.memory_mb = Some([128, 128, 256, 512, 1_769][rng.random_range(0..5)]);
    }

    /// The formats of requests and replies.
    pub(super) fn choose_formats(&mut self, rng: &mut ChaCha8Rng) {
        let format = ["records", "records", "array", "ndjson"][rng.random_range(0..4)];
        // Refusals by id need a format with ids.
        let needs_names = self.scenario == Scenario::Verdicts;
        if format != "records" && !needs_names {
            self.set("BATCH_FORMAT", format);
            self.faults.poison = Poison::WholeRequest;
        }
        self.set("PERSEUS_COMPRESSION", ["none", "none", "gzip", "zstd"][rng.random_range(0..4)]);
        self.faults.answers_object = rng.random_bool(0.5);
        if self.faults.answers_object && rng.random_bool(0.5) {
            self.set("PERSEUS_ACK", "body");
        } else {
            // Without a body, the function cannot tell an empty 200 of a proxy from one of Perseus.
            self.faults.empty_ok = 0.0;
        }
        self.faults.checks_keys = rng.random_bool(0.3);
    }
}
