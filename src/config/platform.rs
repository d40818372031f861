//! What Lambda tells the function about its surroundings.

use std::ffi::OsString;

/// The variables that Lambda sets, as far as the function reads them before its own.
#[derive(Debug, Default)]
pub struct Platform {
    /// `host:port` of the runtime API, or its URL; `None` outside Lambda and its emulators.
    pub runtime_api: Option<String>,
    /// The most detailed level that is logged, as a word (`INFO`).
    pub(crate) log_level: Option<String>,
    /// `JSON` if the function is configured to log JSON.
    pub(crate) log_format: Option<String>,
    /// Whether this function is the prober of the circuit breaker, by the name of its handler.
    pub is_prober: bool,
    /// Whether several invocations may run in this process at once.
    pub concurrent: bool,
}

impl Platform {
    /// Reads the environment through `lookup`. There are no errors: Lambda sets these values, not the operator.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name| lookup(name).and_then(|value| value.into_string().ok()).filter(|v| !v.is_empty());
        Platform {
            runtime_api: text("AWS_LAMBDA_RUNTIME_API"),
            // `RUST_LOG` is set by Rust's local tools.
            log_level: text("AWS_LAMBDA_LOG_LEVEL").or_else(|| text("RUST_LOG")),
            log_format: text("AWS_LAMBDA_LOG_FORMAT"),
            is_prober: text("_HANDLER").is_some_and(|handler| handler == "prober"),
            concurrent: text("AWS_LAMBDA_MAX_CONCURRENCY")
                .and_then(|most| most.parse::<u32>().ok())
                .is_some_and(|most| most > 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lambdas_log_level_takes_precedence_over_rust_log() {
        let both = |name: &str| Some(OsString::from(if name == "RUST_LOG" { "debug" } else { "WARN" }));
        assert_eq!(Platform::from_lookup(both).log_level.as_deref(), Some("WARN"));
        let one = |name: &str| (name == "RUST_LOG").then(|| "debug".into());
        assert_eq!(Platform::from_lookup(one).log_level.as_deref(), Some("debug"));
    }

    #[test]
    fn the_prober_has_a_handler_of_its_own() {
        let handler =
            |name: &'static str| move |variable: &str| (variable == "_HANDLER").then(|| OsString::from(name));
        assert!(Platform::from_lookup(handler("prober")).is_prober);
        for name in ["bootstrap", "probers", ""] {
            assert!(!Platform::from_lookup(handler(name)).is_prober, "{name}");
        }
    }

    #[test]
    fn invocations_are_concurrent_only_if_lambda_allows_more_than_one() {
        let most = |value: &'static str| {
            move |name: &str| (name == "AWS_LAMBDA_MAX_CONCURRENCY").then(|| OsString::from(value))
        };
        assert!(!Platform::from_lookup(most("1")).concurrent);
        assert!(!Platform::from_lookup(most("many")).concurrent);
        assert!(Platform::from_lookup(most("2")).concurrent);
    }
}
