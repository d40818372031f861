//! Drawing a run: the base plan, then what the scenario changes, then the options.

use rand::rngs::ChaCha8Rng;

use super::{Options, Plan, Scenario, base};
use crate::{
    clock::{Ms, millis},
    lambda::fleet::{self, Endpoints, LaunchError, key},
    scenario::Mode,
    scenario::Rules,
    seeded_rng::SeededRng,
};

pub(super) const SECOND: Ms = 1_000;
pub(super) const MINUTE: Ms = 60 * SECOND;
pub(super) const HOUR: Ms = 60 * MINUTE;

/// A placeholder: the configuration is read before the servers run.
const SOME_URL: &str = "http://127.0.0.1:1";
/// The most that two clocks may disagree. On a paused clock two tasks differ only by rounding.
const SLACK_REAL: Ms = 250;
const SLACK_SIMULATED: Ms = 2;
/// The most that a Retry-After and the adaptive limit add to a backoff.
const LONGEST_WAIT: Ms = 8 * SECOND;

impl Plan {
    /// Draws a run.
    pub(crate) fn draw(
        scenario: Scenario,
        seed: u64,
        mode: Mode,
        options: &Options,
    ) -> Result<Self, LaunchError> {
        // The same seed draws differently in each scenario.
        let seeded = scenario.name().bytes().fold(SeededRng::new(seed), SeededRng::fork);
        let mut rng: ChaCha8Rng = seeded.fork(7_u64).rng();
        let mut plan = base::plan(scenario, seed, seeded, mode, &mut rng);
        plan.choose_size(&mut seeded.fork(10_u64).rng());
        plan.apply_scenario(&mut rng);
        plan.choose_formats(&mut seeded.fork(11_u64).rng());
        plan.choose_sqs(&mut seeded.fork(9_u64).rng());
        plan.choose_memory(&mut seeded.fork(12_u64).rng());
        plan.choose_breaker(&mut seeded.fork(14_u64).rng());
        if mode == Mode::Real {
            plan.shorten_for_wall_clock();
        }
        plan.apply_options(options);
        plan.complete()?;
        plan.replay = replay(scenario, seed, mode, options);
        Ok(plan)
    }

    /// Fills in what follows from the rest.
    pub(crate) fn complete(&mut self) -> Result<(), LaunchError> {
        let [perseus, sqs, lambda] = [SOME_URL; 3].map(str::to_owned);
        let somewhere = Endpoints { perseus, sqs, lambda, key: key(0) };
        let config = fleet::config(&self.variables, &somewhere)?;
        self.rules = Rules {
            timeout: self.timeout,
            reserve: millis(config.cutoff_reserve),
            request_timeout: millis(config.request_timeout),
            max_attempts: config.max_attempts,
            max_in_flight: u32::try_from(config.max_in_flight).unwrap_or(u32::MAX),
            most_records: u32::try_from(config.batch.max_records.min(self.mapping.batch_size))
                .unwrap_or(u32::MAX),
            patience: millis(config.cutoff_reserve + config.retry_cap + config.request_timeout)
                + LONGEST_WAIT,
            late: self.breaker.as_ref().map_or(0, |breaker| breaker.prober.late),
            slack: if self.mode == Mode::Simulated { SLACK_SIMULATED } else { SLACK_REAL },
        };
        let last_outage = self.faults.outages.iter().map(|outage| outage.until).max().unwrap_or_default();
        let sending = self.traffic.over.max(last_outage);
        // Twice: the messages of a FIFO group wait for each other.
        let drain = 2 * self.queue.drain_time();
        // With visibility control a message can be hidden for up to 12 hours.
        let hidden = if config.sqs.is_some_and(|sqs| sqs.visibility) { 12 * HOUR } else { 0 };
        self.give_up = [drain, hidden, 30 * MINUTE].into_iter().fold(sending, Ms::saturating_add);
        Ok(())
    }

    /// Shortens a real run, for which a person waits.
    fn shorten_for_wall_clock(&mut self) {
        self.timeout = 6 * SECOND;
        self.memory_mb = None;
        self.queue.visibility = 2 * self.timeout;
        self.mapping.window = self.mapping.window.min(SECOND);
        self.fleet.life = (20 * SECOND, 60 * SECOND);
        self.set("REQUEST_TIMEOUT", "1500ms");
        self.set("SQS_VISIBILITY", "off");
        // A change of the mapping takes longer than the run.
        self.set("CIRCUIT_BREAKER", "off");
        self.breaker = None;
        self.traffic.messages = 3_000;
        self.stretch(MINUTE);
    }

    /// Applies the caller's options.
    fn apply_options(&mut self, options: &Options) {
        if let Some(messages) = options.messages {
            self.traffic.messages = messages;
        }
        if let Some(duration) = options.duration {
            self.stretch(millis(duration));
        }
        if let Some(environments) = options.environments {
            self.mapping.max_concurrency = environments;
        }
        if let Some(factor) = options.worse {
            self.faults.worsen(factor);
        }
        options.variables.iter().for_each(|(name, value)| self.set(name, value));
    }

    /// Changes the length of the run, its outages included.
    fn stretch(&mut self, over: Ms) {
        let factor = f64::from(over) / f64::from(self.traffic.over);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time in the run")]
        let stretched = |time: Ms| (f64::from(time) * factor) as Ms;
        for outage in &mut self.faults.outages {
            outage.from = stretched(outage.from);
            outage.until = stretched(outage.until);
        }
        self.traffic.over = over;
    }

    /// Sets a variable of the function.
    pub(crate) fn set(&mut self, name: &str, value: impl ToString) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_string()));
    }
}

/// The command that repeats the run.
fn replay(scenario: Scenario, seed: u64, mode: Mode, options: &Options) -> String {
    let command = if mode == Mode::Simulated { "simulate" } else { "run" };
    let mut replay = format!("cargo run --release -p lab -- {command} --scenario {scenario} --seed {seed}");
    if let Some(messages) = options.messages {
        replay += &format!(" --messages {messages}");
    }
    if let Some(duration) = options.duration {
        replay += &format!(" --duration {}ms", duration.as_millis());
    }
    if let Some(environments) = options.environments {
        replay += &format!(" --environments {environments}");
    }
    if let Some(factor) = options.worse {
        replay += &format!(" --worse {factor}");
    }
    for (name, value) in &options.variables {
        replay += &format!(" --set {name}={value}");
    }
    replay
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_gives_a_configuration_that_the_function_and_lambda_accept() {
        for &scenario in Scenario::ALL {
            for seed in 0..50 {
                for mode in [Mode::Simulated, Mode::Real] {
                    let plan = Plan::draw(scenario, seed, mode, &Options::default())
                        .unwrap_or_else(|error| panic!("{scenario} {seed}: {error}"));
                    assert!(plan.queue.visibility >= plan.timeout, "{scenario} {seed}");
                    assert!(plan.rules.reserve < plan.timeout, "{scenario} {seed}");
                }
            }
        }
    }

    #[test]
    fn the_replay_command_contains_every_option() {
        let options = Options {
            messages: Some(9),
            duration: Some(std::time::Duration::from_secs(60)),
            environments: Some(3),
            worse: Some(2.5),
            variables: vec![("MAX_ATTEMPTS".to_owned(), "2".to_owned())],
        };
        let plan = Plan::draw(Scenario::Outage, 5, Mode::Simulated, &options).expect("a plan");
        assert_eq!(
            plan.replay,
            "cargo run --release -p lab -- simulate --scenario outage --seed 5 --messages 9 --duration 60000ms \
             --environments 3 --worse 2.5 --set MAX_ATTEMPTS=2"
        );
        assert_eq!((plan.traffic.messages, plan.mapping.max_concurrency), (9, 3));
        assert!(plan.faults.outages.iter().all(|outage| outage.until <= MINUTE));
    }

    #[test]
    fn the_factor_worse_multiplies_the_probability_of_faults() {
        let error = |worse| {
            let options = Options { worse, ..Options::default() };
            Plan::draw(Scenario::Flaky, 5, Mode::Simulated, &options).expect("a plan").faults.error
        };
        assert!((error(Some(3.0)) - 3.0 * error(None)).abs() < 1e-9);
    }
}
