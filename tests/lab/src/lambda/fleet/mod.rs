//! The execution environments of a run: started when needed, frozen between invocations, recycled after a while.

mod endpoints;
mod invocation;

use std::{ffi::OsString, time::Duration};

use perseus_forwarder::{config::Config, lambda::handler::Handler};
use rand::{RngExt, rngs::ChaCha8Rng};

pub use self::invocation::End;
pub(crate) use self::{
    endpoints::{Endpoints, key, signer},
    invocation::{Done, InjectedFault, Job, invoke},
};
use crate::{
    clock::{Clock, Ms, span},
    lambda::environment::{Builder, Environment, StartError},
    seeded_rng::SeededRng,
};

/// How environments live and die.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The shortest and the longest start.
    pub(crate) cold_start: (Ms, Ms),
    /// The shortest and the longest lifetime.
    pub(crate) life: (Ms, Ms),
    /// An environment that was not used for this long is taken away.
    pub(crate) idle: Ms,
    /// The probability that an environment dies during an invocation.
    pub(crate) crash: f64,
    /// The probability that an environment gets no more processor time during an invocation.
    pub(crate) stall: f64,
    /// The probability that a connection dies while its environment is frozen.
    pub(crate) frozen_loss: f64,
}

/// How environments are started.
#[derive(Debug)]
pub(crate) enum Launcher {
    /// The library, with these variables.
    Library(Vec<(String, String)>),
    /// The same, with a fixed limit instead of the adaptive one.
    FixedLimit(Vec<(String, String)>),
    /// The binary.
    Binary(Builder),
}

/// A started function.
#[derive(Debug)]
pub(crate) enum Worker {
    Library(Box<Handler>),
    Binary(Box<Environment>),
}

/// One environment.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) id: u32,
    /// None while it is not started.
    pub(crate) worker: Option<Worker>,
    retire_at: Ms,
    idle_since: Ms,
}

/// All environments that are not busy.
#[derive(Debug)]
pub(crate) struct Fleet {
    settings: Settings,
    seeded: SeededRng,
    warm: Vec<Instance>,
    started: u32,
}

/// Why an environment cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] perseus_forwarder::config::ConfigError),
    /// The library has no client.
    #[error("the function's client cannot be set up")]
    Client,
    /// The binary does not come up.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Launcher {
    /// Starts one environment that talks to these servers. In a library the time of day is the clock's.
    pub(crate) async fn start(&self, endpoints: &Endpoints, clock: Clock) -> Result<Worker, LaunchError> {
        let config = |variables| -> Result<Config, LaunchError> {
            Ok(Config { wall_clock: clock.wall_clock(), ..config(variables, endpoints)? })
        };
        match self {
            Self::Library(variables) => library(Handler::new(config(variables)?)),
            Self::FixedLimit(variables) => library(Handler::with_fixed_limit(config(variables)?)),
            Self::Binary(builder) => {
                let set = |builder: Builder, (name, value): (&str, &str)| builder.env(name, value);
                let builder = endpoints.variables().into_iter().fold(builder.clone(), set);
                Ok(Worker::Binary(Box::new(builder.start().await?)))
            }
        }
    }
}

fn library<E>(handler: Result<Handler, E>) -> Result<Worker, LaunchError> {
    Ok(Worker::Library(Box::new(handler.map_err(|_| LaunchError::Client)?)))
}

/// The function's configuration under these variables.
pub(crate) fn config(variables: &[(String, String)], endpoints: &Endpoints) -> Result<Config, LaunchError> {
    let value = |name: &str| {
        let own = variables.iter().rev().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut pairs = own.chain(endpoints.variables());
        pairs.find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
    };
    Ok(Config::from_lookup(value)?)
}

impl Fleet {
    pub(crate) fn new(settings: Settings, seeded: SeededRng) -> Self {
        Self { settings, seeded, warm: Vec::new(), started: 0 }
    }

    /// The environment used last, or a new one, and those whose lifetime is over.
    pub(crate) fn take(&mut self, now: Ms) -> (Instance, Vec<Instance>) {
        let idle = self.settings.idle;
        let has_to_go = |instance: &mut Instance| {
            now >= instance.retire_at || now >= instance.idle_since.saturating_add(idle)
        };
        let gone = self.warm.extract_if(.., has_to_go).collect();
        (self.warm.pop().unwrap_or_else(|| self.new_instance(now)), gone)
    }

    /// Takes back an environment that has answered, to be frozen.
    pub(crate) fn put_back(&mut self, instance: Instance, now: Ms) {
        self.warm.push(Instance { idle_since: now, ..instance });
    }

    pub(crate) fn started(&self) -> u32 {
        self.started
    }

    /// How long the start of this environment takes in a simulated run.
    pub(crate) fn cold_start(&self, instance: &Instance) -> Duration {
        let (least, most) = self.settings.cold_start;
        span(self.seeded.fork(instance.id).fork(1_u64).rng().random_range(least..=most))
    }

    /// The fault that is injected into this invocation, if any.
    pub(crate) fn injected_fault(&self, invocation: u32, timeout: Duration) -> Option<InjectedFault> {
        let mut rng: ChaCha8Rng = self.seeded.fork(2_u64).fork(invocation).rng();
        let roll: f64 = rng.random();
        // Most invocations are short.
        let after = timeout.mul_f64(rng.random::<f64>().powi(4));
        if roll < self.settings.crash {
            Some(InjectedFault::Crash { after })
        } else if roll < self.settings.crash + self.settings.stall {
            Some(InjectedFault::Stall { after })
        } else {
            None
        }
    }

    pub(crate) fn frozen_loss(&self) -> f64 {
        self.settings.frozen_loss
    }

    fn new_instance(&mut self, now: Ms) -> Instance {
        let id = self.started;
        self.started += 1;
        let (least, most) = self.settings.life;
        let life = self.seeded.fork(id).fork(3_u64).rng().random_range(least..=most);
        Instance { id, worker: None, retire_at: now.saturating_add(life), idle_since: now }
    }
}
