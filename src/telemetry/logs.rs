//! Log lines: JSON in Lambda, readable on a terminal, and nothing private in either.

use std::io::{self, ErrorKind::TimedOut, IsTerminal, stdout};

use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{Layer, Registry, filter::Targets, fmt, layer::SubscriberExt};

use crate::{config::Platform, telemetry::stdout::STDOUT};

/// What other crates may log. Below this level they log what they handle: the runtime crate whole events.
const OTHERS: LevelFilter = LevelFilter::WARN;

/// Logs the errors that the handler returns, which were logged with the invocation's id already.
const TWICE: &str = "lambda_runtime::layers::panic";

/// Where log lines go.
struct Lines;

impl io::Write for Lines {
    /// Takes a whole line: that is how it is called.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match STDOUT.put(line) {
            // It is counted there, and told later.
            Err(error) if error.kind() == TimedOut => Ok(line.len()),
            result => result.map(|()| line.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends log lines and the news of panics to standard output, from now on.
pub fn init(platform: &Platform) {
    let as_json = platform.log_format.as_deref().is_some_and(|format| format.eq_ignore_ascii_case("json"))
        || !stdout().is_terminal();
    // What it would say of its own failures goes to standard error, which may be full as well.
    let layer = fmt::layer().with_target(false).with_writer(|| Lines).log_internal_errors(false);
    let lines = if as_json {
        layer.json().flatten_event(true).boxed()
    } else {
        layer.compact().with_ansi(false).boxed()
    };
    let level = level(platform.log_level.as_deref());
    let shown = Targets::new()
        .with_target(env!("CARGO_CRATE_NAME"), level)
        .with_target(TWICE, LevelFilter::OFF)
        .with_default(level.min(OTHERS));
    // It fails only if there is one already, which then goes on.
    let _ = tracing::subscriber::set_global_default(Registry::default().with(lines.with_filter(shown)));
    std::panic::set_hook(Box::new(|panic| {
        // Not its message: it can quote what it choked on.
        let at = panic.location().map(ToString::to_string);
        tracing::error!(at, "panic");
    }));
}

/// So many ids are named in a line. CloudWatch takes 1 MiB, and ten thousand ids are a third of that.
const NAMED: usize = 20;

/// The first of these message ids, for a log line that tells their number beside them. All that are reported are in the
/// function's answer, and in the log at debug level.
pub(crate) fn first_ids(ids: &[&str]) -> String {
    ids[..ids.len().min(NAMED)].join(" ")
}

/// Lambda's application log levels (`FATAL` included), or Rust's.
fn level(name: Option<&str>) -> LevelFilter {
    let name = name.unwrap_or_default();
    if name.eq_ignore_ascii_case("fatal") {
        return LevelFilter::ERROR;
    }
    name.parse().map_or(LevelFilter::INFO, |level: Level| LevelFilter::from_level(level))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lambdas_levels_are_known() {
        for (name, expected) in [
            ("TRACE", LevelFilter::TRACE),
            ("DEBUG", LevelFilter::DEBUG),
            ("INFO", LevelFilter::INFO),
            ("WARN", LevelFilter::WARN),
            ("ERROR", LevelFilter::ERROR),
            ("FATAL", LevelFilter::ERROR),
            ("debug", LevelFilter::DEBUG),
            ("loud", LevelFilter::INFO),
        ] {
            assert_eq!(level(Some(name)), expected, "{name}");
        }
        assert_eq!(level(None), LevelFilter::INFO);
    }
}
