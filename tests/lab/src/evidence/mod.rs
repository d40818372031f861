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
    faults::FaultSchedule,
    lambda::{
        fleet::{self, Launcher},
        mapping,
    },
    report::Outcome,
    run::{drive::DriveError, history::Rules},
    scenario::Mode,
    scenario::{Plan, Scenario},
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
}

impl Variant {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Plain, Self::AdaptiveLimit, Self::AdaptiveLimitAndVisibility];

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::AdaptiveLimit => "adaptive limit",
            Self::AdaptiveLimitAndVisibility => "adaptive limit + visibility",
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
    plan.set("SQS_VISIBILITY", if variant == Variant::AdaptiveLimitAndVisibility { "on" } else { "off" });
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
