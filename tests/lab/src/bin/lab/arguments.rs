//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

use crate::{commands::Command, faults::Fault};

const EXAMPLES: &str = "\
Examples:
  lab                                        every event in events/
  lab events/fifo-two-groups.json --logs     one event, with the function's own log lines
  lab --records 5000 --bytes 400             one generated event of 5,000 messages
  lab --records 100 --groups 7               the same from a FIFO queue with seven groups
  lab --records 500 --fail 503:20 --fail 400:1 --latency 20ms
                                             a Perseus that is slow and fails one request in five
  lab --set BATCH_MAX_RECORDS=10 --set MAX_IN_FLIGHT=2
                                             the function configured differently
  lab --fail 503 --timeout 5s                an outage: the answer comes before the deadline
  lab run --scenario flaky                   messages through a queue, environments as processes, on the wall clock
  lab simulate --scenario day --seed 7       a day of traffic on a paused clock, the same for the same seed
  lab simulate --scenario day --report day.html
                                             the same, and its report as a page with charts
  lab soak --seeds 100                       every scenario with a hundred seeds, as a table

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
#[command(name = "lab", after_help = EXAMPLES, max_term_width = 110, args_conflicts_with_subcommands = true)]
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

    /// Answer with this status, for this percentage of the requests or for all; may be repeated
    #[arg(long = "fail", value_name = "STATUS[:PERCENT]", help_heading = "Perseus")]
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

pub(crate) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_variable_keeps_the_equals_signs_of_its_value() {
        assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(variable("A="), Ok(("A".to_owned(), String::new())));
        assert!(variable("A").is_err() && variable("=b").is_err());
    }

    #[test]
    fn a_size_without_records_is_refused() {
        assert!(Arguments::try_parse_from(["lab", "--bytes", "9"]).is_err());
        assert!(Arguments::try_parse_from(["lab", "--records", "9"]).is_ok());
        assert!(Arguments::try_parse_from(["lab", "--records", "9", "event.json"]).is_err());
    }
}
