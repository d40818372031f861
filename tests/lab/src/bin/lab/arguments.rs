//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

use crate::{commands::Command, faults::Fault, text::COLUMNS, variable::variable};

const EXAMPLES: &str = "\
Examples:
  lab                                    every event in events/
  lab events/fifo-two-groups.json --logs
                                         one event, with the function's log
  lab --records 5000 --bytes 400         one generated event of 5,000 messages
  lab --records 100 --groups 7           the same from a FIFO queue
  lab --records 500 --fail 503:20% --fail 400:0.01 --latency 20ms
                                         a Perseus that is slow and fails one
                                         request in five
  lab --set BATCH_MAX_RECORDS=10 --set MAX_IN_FLIGHT=2
                                         the function configured differently
  lab --fail 503 --timeout 5s            an outage: the answer comes before the
                                         deadline
  lab run --scenario flaky               messages through a queue, environments
                                         as processes, on the wall clock
  lab simulate --scenario day --seed 7   a day of traffic on a paused clock, the
                                         same for the same seed
  lab simulate --scenario day --report day.html
                                         the same, and its report as a page
  lab soak --seeds 100                   every scenario with a hundred seeds
  lab evidence kinds                     what each kind of outage costs
  lab perseus --latency 2s --fail 503:0.2
                                         a slow, unreliable Perseus alone

Exit status:
  0  every message was either committed or returned to the queue, in time and as agreed
  1  a message was lost, an answer was late or missing, or the contract was broken
  2  the lab could not do its work";

/// Runs the real function on this machine: an emulated Lambda hands it SQS events, and a stand-in for Perseus takes
/// what it posts and checks every request.
///
/// Without arguments every event in the workspace's events/ folder is sent once. In a checkout, `cargo run -p lab --`
/// stands for `lab` in the examples below.
#[derive(Debug, Parser)]
#[command(name = "lab", after_help = EXAMPLES, version = perseus_forwarder::VERSION, max_term_width = COLUMNS, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Files of one SQS event each [default: events/*.json]
    #[arg(value_name = "EVENT")]
    pub(crate) events: Vec<PathBuf>,

    /// Send a generated event of this many messages instead of files
    #[arg(long, value_name = "N", conflicts_with = "events", help_heading = "Events")]
    pub(crate) records: Option<usize>,

    /// The size of each generated message's body, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 256, requires = "records", help_heading = "Events")]
    pub(crate) bytes: usize,

    /// Generate the messages of a FIFO queue, in this many groups
    #[arg(long, value_name = "GROUPS", requires = "records", help_heading = "Events")]
    pub(crate) groups: Option<usize>,

    /// Send everything this many times, to the same warm environment; repeated files keep their message ids
    #[arg(long, value_name = "TIMES", default_value_t = 1, help_heading = "Events")]
    pub(crate) repeat: usize,

    /// How long Perseus takes for every answer, as in 20ms
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "0s", help_heading = "Perseus")]
    pub(crate) latency: Duration,

    /// Answer with this status, to all requests or to a share of them: 503:20% or 503:0.2; may be repeated
    #[arg(long = "fail", value_name = "STATUS[:SHARE]", help_heading = "Perseus")]
    pub(crate) faults: Vec<Fault>,

    /// Which requests fail: the same seed, the same sequence of answers
    #[arg(long, value_name = "NUMBER", default_value_t = 1, help_heading = "Perseus")]
    pub(crate) seed: u64,

    /// The function's timeout, from which its deadlines follow
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "30s", help_heading = "Function")]
    pub(crate) timeout: Duration,

    /// Set a configuration variable of the function; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = variable, help_heading = "Function")]
    pub(crate) variables: Vec<(String, String)>,

    /// Run this executable instead of building the function [env: LAB_FUNCTION]
    #[arg(long, value_name = "PATH", help_heading = "Function")]
    pub(crate) function: Option<PathBuf>,

    /// Build the function with optimisations
    #[arg(long, help_heading = "Function")]
    pub(crate) release: bool,

    /// Show the function's own log lines
    #[arg(long, help_heading = "Output")]
    pub(crate) logs: bool,

    /// Show every request with all its message ids and its body
    #[arg(long, short, help_heading = "Output")]
    pub(crate) verbose: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    /// The commands of the examples, without their comments.
    fn examples() -> Vec<Vec<&'static str>> {
        let lines = EXAMPLES.lines().filter_map(|line| line.strip_prefix("  lab"));
        let commands = lines.map(|line| line.split("  ").next().unwrap_or_default());
        commands.map(|command| std::iter::once("lab").chain(command.split_whitespace()).collect()).collect()
    }

    #[test]
    fn every_example_is_a_command_that_exists() {
        assert!(examples().len() > 10);
        for example in examples() {
            let arguments = Arguments::try_parse_from(&example);
            let arguments = arguments.unwrap_or_else(|error| panic!("{example:?}: {error}"));
            for event in arguments.events {
                assert!(lab::function::workspace().join(&event).is_file(), "{}", event.display());
            }
        }
    }

    #[test]
    fn the_help_fits_80_columns() {
        let mut lab = Arguments::command();
        lab.build();
        let names: Vec<String> = lab.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        let mut texts = vec![lab.render_long_help().to_string()];
        for name in names {
            let command = lab.find_subcommand_mut(&name).expect("a command of this name");
            texts.push(command.render_help().to_string());
            texts.push(command.render_long_help().to_string());
        }
        assert!(texts.len() > 10);
        for line in texts.iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
    }

    #[test]
    fn a_size_without_records_is_refused() {
        assert!(Arguments::try_parse_from(["lab", "--bytes", "9"]).is_err());
        assert!(Arguments::try_parse_from(["lab", "--records", "9"]).is_ok());
        assert!(Arguments::try_parse_from(["lab", "--records", "9", "event.json"]).is_err());
    }
}
