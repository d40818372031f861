//! The log lines of the function: level and message of each. docs/log-lines.md explains them, and tests/docs.rs compares
//! the two, so that no line is left unexplained.

use tracing::Level;

/// A log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLine {
    /// Its level.
    pub level: Level,
    /// Its message.
    pub message: &'static str,
}

/// Defines the lines, and `ALL` of them.
macro_rules! log_lines {
    ($($name:ident: $level:ident, $message:literal;)*) => {
        $(pub(crate) const $name: LogLine = LogLine { level: Level::$level, message: $message };)*

        /// Every log line.
        pub const ALL: &[LogLine] = &[$($name),*];
    };
}

/// Logs one of these lines with the given fields.
macro_rules! log_line {
    ($line:expr $(, $name:ident $(= $value:expr)?)* $(,)?) => {
        tracing::event!($line.level, $($name $(= $value)?,)* message = $line.message)
    };
}
pub(crate) use log_line;

log_lines! {
    // Every invocation.
    SETTLED: INFO, "invocation settled";

    // Records that come back.
    BATCH_FAILED: WARN, "batch failed";
    RECORDS_NOT_SENT: WARN, "records not sent";
    RECORDS_UNREADABLE: WARN, "records cannot be read";
    RECORDS_REPORTED: DEBUG, "records reported";

    // The set-up.
    SET_UP_WRONG: ERROR, "Perseus does not take what this set-up sends; nothing more is sent in this invocation";
    REFUSES_EVERYTHING: ERROR,
        "Perseus refuses everything: no record is rejected, and one batch is tried in each invocation";
    NOT_PERSEUS: ERROR, "a reply that does not come from Perseus: nothing in it counts as acknowledged";
    NO_TOKEN: ERROR, "there is no token for Perseus; nothing is sent in this invocation";
    TOKEN_RENEWED: INFO, "the token was refused; there is another one";
    TOKEN_NOT_RENEWED: WARN, "the token was refused, and could not be read again";
    NO_CERTIFICATE: ERROR, "there is no client certificate for Perseus; nothing is sent in this invocation";
    CERTIFICATE_RENEWED: INFO, "the client certificate was refused; there is another one";
    CERTIFICATE_NOT_RENEWED: WARN, "the client certificate was refused, and could not be read again";
    NO_TIME_TO_SEND: ERROR,
        "no time to send anything: the invocation began with no more than CUTOFF_RESERVE";
    BATCH_MAX_WAIT_SET: WARN,
        "BATCH_MAX_WAIT is set and has no effect any more: no batch waits for more records";
    EVENT_REFUSED: ERROR, "event refused";

    // SQS.
    VISIBILITY_NOT_CHANGED: WARN,
        "visibility timeouts not changed: these records come back when the queue's own timeout ends";
    DEAD_LETTERS_NOT_SENT: WARN, "rejected records not sent to REJECTED_QUEUE_URL: they come back";
    ATTRIBUTES_OMITTED: WARN,
        "attributes of rejected records not sent to REJECTED_QUEUE_URL: SQS takes ten of a message";
    SQS_PANICKED: ERROR, "a request to SQS panicked; its records are reported";

    // The circuit breaker.
    DELIVERY_PAUSED: WARN,
        "delivery is paused: messages wait in the queue, and one a minute is tried";
    DELIVERY_NOT_PAUSED: WARN, "delivery not paused: the calls to Lambda's API failed";
    PAUSE_PANICKED: ERROR, "the circuit breaker panicked; the answer is not affected";
    PROBE_SETTLED: INFO, "probe settled";
    REDRIVE_UNKNOWN: WARN,
        "the queue's redrive policy could not be read: each trial costs a message a receive";
    DELIVERY_RESUMED: INFO, "delivery is resumed";
    MARK_REMOVED: INFO, "the mapping is enabled: the mark of the circuit breaker is taken off";

    // The process.
    PANIC: ERROR, "panic";
    A_DELIVERY_PANICKED: ERROR, "a delivery panicked; its records are reported";
    THE_DELIVERY_PANICKED: ERROR, "the delivery panicked; its records are reported";
    FUNCTION_ENDS: ERROR, "the function ends";
    LAMBDA_NOT_TOLD: ERROR, "Lambda could not be told";
    NOT_IN_LAMBDA: ERROR,
        "this is an AWS Lambda function: it runs in Lambda or an emulator of it (AWS_LAMBDA_RUNTIME_API is not set)";
    DEADLINE_IS_NO_DATE: WARN,
        "the deadline is no date; read as milliseconds from now (local tools send that)";
    LINES_DROPPED: WARN, "log lines dropped: standard output was full";
    METRICS_NOT_WRITTEN: WARN, "metrics not written";
}
