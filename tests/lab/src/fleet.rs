//! Lambda's execution environments: started when they are needed, frozen between invocations, recycled after a while.

mod invocation;
mod surroundings;

use std::{ffi::OsString, time::Duration};

use perseus_forwarder::{config::Config, lambda::handler::Handler};
use rand::{RngExt, rngs::ChaCha8Rng};

pub(crate) use self::{
    invocation::{Done, Job, Sabotage, invoke},
    surroundings::Surroundings,
};
use crate::{
    clock::{Ms, span},
    dice::Dice,
    environment::{Builder, Environment, StartError},
};

/// How environments live and die.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// How long the start of one takes, at least and at most.
    pub(crate) cold_start: (Ms, Ms),
    /// How long one is used, at least and at most.
    pub(crate) life: (Ms, Ms),
    /// An environment that was not used for this long is taken away.
    pub(crate) idle: Ms,
    /// How probable it is that an environment dies during an invocation.
    pub(crate) crash: f64,
    /// How probable it is that one gets no more processor time during an invocation.
    pub(crate) stall: f64,
    /// How probable it is that a connection dies while its environment is frozen.
    pub(crate) frozen_loss: f64,
}

/// What environments are made of.
#[derive(Debug)]
pub(crate) enum Origin {
    /// The library, with these variables.
    Library(Vec<(String, String)>),
    /// The same, but with a function that does not adapt to Perseus.
    Ungoverned(Vec<(String, String)>),
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
pub(crate) struct Seat {
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
    dice: Dice,
    warm: Vec<Seat>,
    started: u32,
}

/// Why an environment does not start.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
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

impl Origin {
    /// Starts one environment in these surroundings.
    pub(crate) async fn start(&self, surroundings: &Surroundings) -> Result<Worker, OriginError> {
        match self {
            Self::Library(variables) => library(Handler::new(config(variables, surroundings)?)),
            Self::Ungoverned(variables) => library(Handler::ungoverned(config(variables, surroundings)?)),
            Self::Binary(builder) => {
                let set = |builder: Builder, (name, value): (&str, &str)| builder.env(name, value);
                let builder = surroundings.variables().into_iter().fold(builder.clone(), set);
                Ok(Worker::Binary(Box::new(builder.start().await?)))
            }
        }
    }
}

fn library<E>(handler: Result<Handler, E>) -> Result<Worker, OriginError> {
    Ok(Worker::Library(Box::new(handler.map_err(|_| OriginError::Client)?)))
}

/// The function's configuration under these variables.
pub(crate) fn config(
    variables: &[(String, String)],
    surroundings: &Surroundings,
) -> Result<Config, OriginError> {
    let value = |name: &str| {
        let own = variables.iter().rev().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut pairs = own.chain(surroundings.variables());
        pairs.find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
    };
    Ok(Config::from_lookup(value)?)
}

impl Fleet {
    pub(crate) fn new(settings: Settings, dice: Dice) -> Self {
        Self { settings, dice, warm: Vec::new(), started: 0 }
    }

    /// The environment used last, or a new one; and those that are gone.
    pub(crate) fn take(&mut self, now: Ms) -> (Seat, Vec<Seat>) {
        let idle = self.settings.idle;
        let has_to_go =
            |seat: &mut Seat| now >= seat.retire_at || now >= seat.idle_since.saturating_add(idle);
        let gone = self.warm.extract_if(.., has_to_go).collect();
        (self.warm.pop().unwrap_or_else(|| self.new_seat(now)), gone)
    }

    /// Takes back an environment that has answered, to be frozen.
    pub(crate) fn put_back(&mut self, seat: Seat, now: Ms) {
        self.warm.push(Seat { idle_since: now, ..seat });
    }

    pub(crate) fn started(&self) -> u32 {
        self.started
    }

    /// How long the start of this environment takes in a simulated run.
    pub(crate) fn cold_start(&self, seat: &Seat) -> Duration {
        let (least, most) = self.settings.cold_start;
        span(self.dice.of(seat.id).of(1_u64).roll().random_range(least..=most))
    }

    /// What is done to the environment of this invocation, which has `timeout` for it.
    pub(crate) fn sabotage(&self, invocation: u32, timeout: Duration) -> Option<Sabotage> {
        let mut rng: ChaCha8Rng = self.dice.of(2_u64).of(invocation).roll();
        let roll: f64 = rng.random();
        // Most invocations are short.
        let after = timeout.mul_f64(rng.random::<f64>().powi(4));
        if roll < self.settings.crash {
            Some(Sabotage::Crash { after })
        } else if roll < self.settings.crash + self.settings.stall {
            Some(Sabotage::Stall { after })
        } else {
            None
        }
    }

    pub(crate) fn frozen_loss(&self) -> f64 {
        self.settings.frozen_loss
    }

    fn new_seat(&mut self, now: Ms) -> Seat {
        let id = self.started;
        self.started += 1;
        let (least, most) = self.settings.life;
        let life = self.dice.of(id).of(3_u64).roll().random_range(least..=most);
        Seat { id, worker: None, retire_at: now.saturating_add(life), idle_since: now }
    }
}
