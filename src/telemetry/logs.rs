//! Sets up log lines: JSON in Lambda, plain text on a terminal, private data in neither.

use std::io::{self, ErrorKind::TimedOut, IsTerminal, stdout};

use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{Layer, Registry, filter::Targets, fmt, layer::SubscriberExt};

use crate::{
    config::Platform,
    telemetry::{
        messages::{self, log_line},
        stdout::STDOUT,
    },
};

/// The level for other crates. At lower levels they log data: the runtime crate logs whole events.
const OTHERS: LevelFilter = LevelFilter::WARN;

/// This module logs the errors that the handler returns. Our own line already has them, with the request id.
const LOGS_ERRORS_AGAIN: &str = "lambda_runtime::layers::panic";

/// Writes log lines to [`STDOUT`].
struct Writer;

impl io::Write for Writer {
    /// The subscriber calls this with one whole line at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match STDOUT.put(line) {
            // STDOUT counted the dropped line, and a later line has the count.
            Err(error) if error.kind() == TimedOut => Ok(line.len()),
            result => result.map(|()| line.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts logging to standard output. Panics are logged too.
pub fn init(platform: &Platform) {
    let as_json = platform.log_format.as_deref().is_some_and(|format| format.eq_ignore_ascii_case("json"))
        || !stdout().is_terminal();
    // `log_internal_errors` would write to standard error, which may be full too and would block.
    let layer = fmt::layer().with_target(false).with_writer(|| Writer).log_internal_errors(false);
    let lines = if as_json {
        layer.json().flatten_event(true).boxed()
    } else {
        layer.compact().with_ansi(false).boxed()
    };
    let level = level(platform.log_level.as_deref());
    let shown = Targets::new()
        .with_target(env!("CARGO_CRATE_NAME"), level)
        .with_target(LOGS_ERRORS_AGAIN, LevelFilter::OFF)
        .with_default(level.min(OTHERS));
    // This fails only if a subscriber is set already. That one stays.
    let _ = tracing::subscriber::set_global_default(Registry::default().with(lines.with_filter(shown)));
    std::panic::set_hook(Box::new(|panic| {
        // The panic's message is left out, because it can quote data.
        let at = panic.location().map(ToString::to_string);
        log_line!(messages::PANIC, at);
    }));
}

/// The most message ids in a line. CloudWatch accepts lines of 1 MiB; 10,000 ids would take a third of that.
const MOST_IDS: usize = 20;

/// The first of these message ids, for a log line that also has their number. All reported ids are in the function's answer,
/// and in the log at debug level.
pub(crate) fn first_ids(ids: &[&str]) -> String {
    ids[..ids.len().min(MOST_IDS)].join(" ")
}

/// Parses one of Lambda's application log levels. Unknown names mean `INFO`.
fn level(name: Option<&str>) -> LevelFilter {
    let name = name.unwrap_or_default();
    if name.eq_ignore_ascii_case("fatal") {
        return LevelFilter::ERROR;
    }
    name.parse().map_or(LevelFilter::INFO, |level: Level| LevelFilter::from_level(level))
}

/// Says that the binary was started outside of Lambda.
pub fn not_in_lambda() {
    log_line!(messages::NOT_IN_LAMBDA);
}

/// Says why the function ends.
pub fn function_ends(reason: &str) {
    log_line!(messages::FUNCTION_ENDS, reason);
}

/// Warns that `BATCH_MAX_WAIT` is set.
pub fn batch_max_wait_is_set() {
    log_line!(messages::BATCH_MAX_WAIT_SET);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_lambdas_log_levels_is_known() {
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
