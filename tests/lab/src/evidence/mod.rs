//! What outages, poison and too little capacity cost: runs with the template's settings, each beside a function without
//! its adaptive limit or without visibility control.

mod capacity;
mod outage;
mod poison;
mod slow;
mod table;
mod work;

pub use self::{
    capacity::{CapacityCase, Usage, capacity, usage},
    outage::{OutageCase, OutageCost, kinds, outage, outages},
    poison::{PoisonCase, PoisonCost, poison, poison_cost},
    slow::{Waits, slow, waits},
    table::Table,
    work::Work,
};
pub use crate::faults::OutageKind;
use crate::{
    clock::Ms,
    faults::{FaultSchedule, LambdaFaults},
    lambda::{
        fleet::{self, Launcher},
        mapping,
    },
    report::Outcome,
    run::{drive::DriveError, history::Rules},
    scenario::{BreakerPlan, Mode, Plan, Scenario},
    seeded_rng::SeededRng,
    simulation,
    sqs::queue,
    traffic::{Shape, Traffic, messages::MessageSettings},
};

const SECOND: Ms = 1_000;
const MINUTE: Ms = 60 * SECOND;
const HOUR: Ms = 60 * MINUTE;

/// The variants of the function that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// A fixed limit of requests in flight, retries, and a partial batch response.
    Plain,
    /// The adaptive limit.
    AdaptiveLimit,
    /// The adaptive limit, and `SQS_VISIBILITY=on`.
    AdaptiveLimitAndVisibility,
    /// The same, and `CIRCUIT_BREAKER=on`.
    Breaker,
    /// The same, but half of the breaker's calls fail, and the prober is late, missing or crashes.
    FailingBreaker,
}

impl Variant {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Plain,
        Self::AdaptiveLimit,
        Self::AdaptiveLimitAndVisibility,
        Self::Breaker,
        Self::FailingBreaker,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::AdaptiveLimit => "adaptive limit",
            Self::AdaptiveLimitAndVisibility => "adaptive limit + visibility",
            Self::Breaker => "adaptive limit + visibility + breaker",
            Self::FailingBreaker => "the same, and the breaker fails in every way",
        }
    }
}

/// A run with the settings of `template.yaml`. The function's other settings have their defaults, as in the template.
fn plan(messages: u32, over: Ms, faults: FaultSchedule) -> Plan {
    let seed = 1;
    Plan {
        scenario: Scenario::Outage,
        seed,
        seeded: SeededRng::new(seed),
        mode: Mode::Simulated,
        replay: String::new(),
        traffic: Traffic { messages, over, shape: Shape::Steady },
        message: MessageSettings { poison: 0.0, padding: (20, 60), groups: None },
        queue: queue::Settings {
            visibility: 361 * SECOND,
            max_receives: 10,
            fifo: false,
            oldest_first: false,
            duplicates: 0.0,
            most_in_flight: queue::MOST_IN_FLIGHT,
        },
        mapping: mapping::Settings { batch_size: 1_000, window: SECOND, max_concurrency: 10 },
        fleet: fleet::Settings {
            cold_start: (100, 300),
            life: (HOUR, 2 * HOUR),
            idle: 10 * MINUTE,
            crash: 0.0,
            stall: 0.0,
            frozen_loss: 0.0,
        },
        faults,
        breaker: None,
        timeout: 60 * SECOND,
        // The tables compare waiting and requests. Computing takes no time there.
        memory_mb: None,
        variables: Vec::new(),
        rules: Rules::default(),
        give_up: Ms::MAX,
    }
}

/// Runs a plan with this variant of the function.
fn run(mut plan: Plan, variant: Variant, work: &Work<'_>) -> Result<Outcome, DriveError> {
    let has_visibility = !matches!(variant, Variant::Plain | Variant::AdaptiveLimit);
    plan.set("SQS_VISIBILITY", if has_visibility { "on" } else { "off" });
    plan.breaker = match variant {
        Variant::Breaker => Some(BreakerPlan::healthy()),
        Variant::FailingBreaker => Some(BreakerPlan::failing()),
        _ => None,
    };
    plan.set("CIRCUIT_BREAKER", if plan.breaker.is_some() { "on" } else { "off" });
    if variant == Variant::FailingBreaker {
        plan.faults.lambda = LambdaFaults::severe();
    }
    let give_up = plan.give_up;
    plan.complete()?;
    plan.give_up = plan.give_up.min(give_up);
    let variables = plan.variables.clone();
    let launcher = if variant == Variant::Plain {
        Launcher::FixedLimit(variables)
    } else {
        Launcher::Library(variables)
    };
    let messages = plan.traffic.messages;
    let outcome = simulation::run(plan, launcher, &|progress| work.advance(progress))?;
    work.finish(messages);
    Ok(outcome)
}
