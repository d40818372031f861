//! The command line of runs through a queue.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use lab::scenario::{Options, Scenario};

use crate::{faults::Fault, variable::variable};

/// Runs through a model of SQS and Lambda's event source mapping, with a Perseus that misbehaves on a seed.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send messages through a queue for real: each environment is a process of the function, on the wall clock
    ///
    /// Ctrl-C sends no more messages, drains the queue and reports; a second one ends the lab at once.
    Run(Run),
    /// Simulate the same on a paused clock: a day in seconds, the same for the same seed
    Simulate(Simulate),
    /// Simulate many seeds of every scenario, and print a table of the totals
    Soak(Soak),
    /// Simulate outages, poison and too little capacity, and print what they cost as tables
    Evidence(crate::evidence::Evidence),
    /// Serve the stand-in for Perseus alone, for a function that is started by other means
    ///
    /// It prints each body as it came to standard output, and everything else to standard error. Ctrl-C ends it.
    Perseus(Perseus),
}

#[derive(Args, Debug)]
pub(crate) struct Perseus {
    /// The port of the loopback interface to serve on
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub(crate) port: u16,

    /// How long it takes for every answer, as in 20ms
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "0s")]
    pub(crate) latency: Duration,

    /// Answer with this status, to all requests or to a share of them: 503:20% or 503:0.2; may be repeated
    #[arg(long = "fail", value_name = "STATUS[:SHARE]")]
    pub(crate) faults: Vec<Fault>,

    /// Which requests fail: the same seed, the same sequence of answers
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Args, Debug)]
pub(crate) struct Run {
    #[arg(long, default_value = "flaky", help = scenarios())]
    pub(crate) scenario: Scenario,

    #[command(flatten)]
    pub(crate) run: RunOptions,

    /// Run this executable instead of building the function [env: LAB_FUNCTION]
    #[arg(long, value_name = "PATH")]
    pub(crate) function: Option<PathBuf>,

    /// Build the function with optimisations
    #[arg(long)]
    pub(crate) release: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Simulate {
    #[arg(long, default_value = "day", help = scenarios())]
    pub(crate) scenario: Scenario,

    #[command(flatten)]
    pub(crate) run: RunOptions,
}

#[derive(Args, Debug)]
pub(crate) struct RunOptions {
    /// The seed of every random choice [default: a random one, printed]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Write the report as JSON, time series included
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write the report as an HTML page with charts
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    #[command(flatten)]
    options: OptionArguments,
}

#[derive(Args, Debug)]
pub(crate) struct Soak {
    /// How many seeds of each scenario
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub(crate) seeds: u64,

    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub(crate) from: u64,

    /// Only this scenario; may be repeated
    #[arg(long = "scenario", value_name = "SCENARIO")]
    pub(crate) scenarios: Vec<Scenario>,

    /// Print the table as Markdown, for a document
    #[arg(long)]
    pub(crate) markdown: bool,

    #[command(flatten)]
    pub(crate) options: OptionArguments,
}

#[derive(Args, Debug)]
pub(crate) struct OptionArguments {
    /// How many messages are sent [default: drawn]
    #[arg(long, value_name = "NUMBER")]
    messages: Option<u32>,

    /// Over what time, as in 10m [default: drawn]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,

    /// The most environments at once [default: drawn]
    #[arg(long, value_name = "NUMBER")]
    environments: Option<usize>,

    /// Multiply the probability of everything that can go wrong with a request
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    worse: Option<f64>,

    /// Set a configuration variable of the function; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
}

impl RunOptions {
    /// The given seed, or a random one.
    pub(crate) fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| fastrand::u32(..).into())
    }

    pub(crate) fn options(&self) -> Options {
        self.options.options()
    }
}

impl OptionArguments {
    pub(crate) fn options(&self) -> Options {
        Options {
            messages: self.messages,
            duration: self.duration,
            environments: self.environments,
            worse: self.worse,
            variables: self.variables.clone(),
        }
    }
}

fn factor(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor| (0.0..=1_000.0).contains(factor));
    factor.ok_or_else(|| "expected a number from 0 to 1000".to_owned())
}

fn scenarios() -> String {
    let names: Vec<&str> = Scenario::ALL.iter().map(|scenario| scenario.name()).collect();
    format!("What Perseus, Lambda and the queue do: {}", names.join(", "))
}
