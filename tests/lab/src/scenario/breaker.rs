//! The circuit breaker in a run: whether it is on, how its own parts fail, and who else changes the mapping.

use rand::{RngExt, rngs::ChaCha8Rng};

use super::{
    Plan, Scenario,
    plan::{HOUR, MINUTE, SECOND},
};
use crate::{
    clock::Ms,
    faults::{LambdaFaults, Outage, OutageKind},
    lambda::{operator::Operator, prober},
};

/// What surrounds the circuit breaker.
#[derive(Clone, Debug, Default)]
pub(crate) struct BreakerPlan {
    /// The prober.
    pub(crate) prober: prober::Settings,
    /// Who else changes the mapping.
    pub(crate) operator: Operator,
}

/// The prober's timeout.
const TIMEOUT: Ms = 50 * SECOND;

impl BreakerPlan {
    /// A prober that is invoked every minute and never crashes.
    pub(crate) fn healthy() -> Self {
        let prober = prober::Settings { timeout: TIMEOUT, ..prober::Settings::default() };
        Self { prober, operator: Operator::default() }
    }

    /// A prober that is late, missing in one minute of four, and crashes in one of four.
    pub(crate) fn failing() -> Self {
        let prober = prober::Settings { timeout: TIMEOUT, late: 50 * SECOND, missing: 0.25, crash: 0.25 };
        Self { prober, operator: Operator::default() }
    }
}

impl Plan {
    /// Switches the circuit breaker on in some plans, and draws the faults of the prober, of Lambda's API and of operators.
    pub(super) fn choose_breaker(&mut self, rng: &mut ChaCha8Rng) {
        let is_on = rng.random_bool(0.2) || self.scenario == Scenario::Breaker;
        if !is_on {
            return;
        }
        self.set("CIRCUIT_BREAKER", "on");
        self.set("CIRCUIT_BREAKER_AFTER", format!("{}s", [0, 20, 60, 60][rng.random_range(0..4)]));
        let mut breaker = BreakerPlan::healthy();
        if rng.random_bool(0.5) {
            breaker.prober.late = rng.random_range(0..30 * SECOND);
            breaker.prober.missing = rng.random_range(0.0..0.2);
            breaker.prober.crash = rng.random_range(0.0..0.3);
        }
        if rng.random_bool(0.5) {
            self.faults.lambda = LambdaFaults::random(rng);
        }
        let over = self.traffic.over;
        if rng.random_bool(0.5) {
            let from = rng.random_range(0..over);
            breaker.operator.pause(from, from + rng.random_range(MINUTE..10 * MINUTE));
        }
        if rng.random_bool(0.3) {
            breaker.operator.deploy(rng.random_range(0..over));
        }
        self.breaker = Some(breaker);
    }

    /// Half an hour or an hour of traffic with two outages of minutes, of any kind.
    pub(super) fn apply_breaker(&mut self, rng: &mut ChaCha8Rng) {
        self.traffic.over = rng.random_range(HOUR / 2..HOUR);
        if rng.random_bool(0.5) {
            self.apply_fifo(rng);
        } else {
            self.queue.oldest_first = rng.random_bool(0.5);
        }
        if rng.random_bool(0.3) {
            self.add_poison(0.02, rng);
        }
        let half = self.traffic.over / 2;
        for start in [0, half] {
            let from = start + rng.random_range(0..half / 3);
            let until = from + rng.random_range(3 * MINUTE..half / 2);
            let kind = OutageKind::ALL[rng.random_range(0..OutageKind::ALL.len())];
            self.faults.outages.push(Outage { from, until, kind });
        }
    }
}
