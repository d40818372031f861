//! The base plan of all scenarios, and the faults that several use.

use rand::{RngExt, rngs::ChaCha8Rng};

use super::{
    Plan, Scenario,
    plan::{HOUR, MINUTE, SECOND},
};
use crate::{
    clock::Ms,
    faults::FaultSchedule,
    lambda::{fleet, mapping},
    scenario::Mode,
    scenario::Rules,
    seeded_rng::SeededRng,
    sqs::queue,
    traffic::{Shape, Traffic, messages::MessageSettings},
};

/// A Perseus without faults, a standard queue, and random sizes.
pub(super) fn plan(
    scenario: Scenario,
    seed: u64,
    seeded: SeededRng,
    mode: Mode,
    rng: &mut ChaCha8Rng,
) -> Plan {
    let timeout = rng.random_range(10 * SECOND..=30 * SECOND);
    let mut plan = Plan {
        scenario,
        seed,
        seeded,
        mode,
        replay: String::new(),
        traffic: Traffic {
            messages: rng.random_range(2_000..5_000),
            over: rng.random_range(5 * MINUTE..15 * MINUTE),
            shape: if rng.random_bool(0.5) { Shape::Steady } else { Shape::Bursts },
        },
        message: MessageSettings { poison: 0.0, padding: (20, rng.random_range(50..400)), groups: None },
        queue: queue::Settings {
            visibility: timeout * rng.random_range(2..=6),
            max_receives: rng.random_range(5..=6),
            fifo: false,
            oldest_first: false,
            duplicates: 0.0,
            most_in_flight: queue::MOST_IN_FLIGHT,
        },
        mapping: mapping(rng),
        fleet: fleet::Settings {
            cold_start: (100, 900),
            life: (10 * MINUTE, 2 * HOUR),
            idle: rng.random_range(5..=15) * MINUTE,
            crash: 0.0,
            stall: 0.0,
            frozen_loss: 0.0,
        },
        faults: FaultSchedule { latency: (2, rng.random_range(5..40)), ..FaultSchedule::default() },
        breaker: None,
        timeout,
        memory_mb: None,
        variables: Vec::new(),
        rules: Rules::default(),
        give_up: Ms::MAX,
    };
    set_variables(&mut plan, rng);
    plan
}

fn mapping(rng: &mut ChaCha8Rng) -> mapping::Settings {
    let batch_size = [10, 10, 50, 100, 200][rng.random_range(0..5)];
    mapping::Settings {
        batch_size,
        // Lambda requires a batching window for batches of more than ten.
        window: if batch_size > 10 { rng.random_range(1..=5) * SECOND } else { 0 },
        max_concurrency: rng.random_range(5..=20),
    }
}

fn set_variables(plan: &mut Plan, rng: &mut ChaCha8Rng) {
    plan.set("BATCH_MAX_RECORDS", rng.random_range(5..=50));
    plan.set("MAX_IN_FLIGHT", rng.random_range(2..=10));
    plan.set("MAX_ATTEMPTS", rng.random_range(4..=6));
    plan.set("REQUEST_TIMEOUT", format!("{}ms", rng.random_range(2_000..=5_000)));
    plan.set("CUTOFF_RESERVE", format!("{}ms", rng.random_range(500..=1_000)));
    plan.set("RETRY_BASE", format!("{}ms", rng.random_range(50..=200)));
    plan.set("RETRY_CAP", format!("{}s", rng.random_range(1..=5)));
}

/// Every fault of a reply.
pub(super) fn flaky(rng: &mut ChaCha8Rng) -> FaultSchedule {
    FaultSchedule {
        latency: (5, rng.random_range(10..80)),
        slow: rng.random_range(0.0..0.02),
        hang: rng.random_range(0.0..0.01),
        lost_before: rng.random_range(0.0..0.03),
        lost_after: rng.random_range(0.0..0.03),
        half_reply: rng.random_range(0.0..0.02),
        error: rng.random_range(0.02..0.15),
        error_after: rng.random_range(0.0..0.02),
        throttle: rng.random_range(0.0..0.05),
        mute_207: rng.random_range(0.0..0.02),
        refusal: rng.random_range(0.0..0.05),
        conflict: rng.random_range(0.0..0.8),
        page: rng.random_range(0.0..0.02),
        no_http: rng.random_range(0.0..0.01),
        empty_ok: rng.random_range(0.0..0.02),
        ..FaultSchedule::default()
    }
}
