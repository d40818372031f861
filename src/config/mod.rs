//! Everything that can be set, read from the environment in one place, once, at start.

mod authorities;
mod headers;
mod sqs;
mod token;

use std::{ffi::OsString, fmt, ops::RangeInclusive, time::Duration};

use reqwest::{Url, header::HeaderMap};
use rustls::pki_types::TrustAnchor;
use tracing::warn;

use crate::value::{
    aws::Settings,
    format::{Ack, BatchFormat, Compression},
    host::{is_loopback, names_a_host},
    limits::BatchLimits,
    token::Source,
};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// An environment variable and the value it has when it is unset or empty.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What holds when it is unset; none if it then has no value at all.
    pub default: Option<&'static str>,
}

macro_rules! variables {
    ($($name:ident = $default:expr;)+) => {
        $(const $name: Variable = Variable { name: stringify!($name), default: $default };)+

        /// Every variable the function reads for itself (not those that Lambda sets).
        pub const VARIABLES: &[Variable] = &[$($name),+];
    };
}

variables! {
    PERSEUS_URL = None;
    PERSEUS_ALLOW_HTTP = Some("false");
    PERSEUS_TOKEN = None;
    PERSEUS_TOKEN_SECRET = None;
    PERSEUS_TOKEN_PARAMETER = None;
    PERSEUS_HEADERS = None;
    PERSEUS_CA_CERT = None;
    PERSEUS_ACK = Some("status");
    PERSEUS_COMPRESSION = Some("none");
    BATCH_FORMAT = Some("records");
    BATCH_MAX_RECORDS = Some("100");
    BATCH_MAX_BYTES = Some("1MiB");
    MAX_IN_FLIGHT = Some("10");
    MAX_ATTEMPTS = Some("4");
    RETRY_BASE = Some("100ms");
    RETRY_CAP = Some("5s");
    REQUEST_TIMEOUT = Some("10s");
    CUTOFF_RESERVE = Some("1s");
    SQS_VISIBILITY = Some("off");
    REJECTED_QUEUE_URL = None;
    METRICS = Some("off");
}

/// A variable of earlier versions. A configuration that still sets it is told so, and works.
const BATCH_MAX_WAIT: &str = "BATCH_MAX_WAIT";

/// Warns of a variable that is set and no longer read.
pub fn warn_of_removed(lookup: impl Fn(&str) -> Option<OsString>) {
    if lookup(BATCH_MAX_WAIT).is_some_and(|value| !value.is_empty()) {
        warn!("BATCH_MAX_WAIT is set and has no effect any more: no batch waits for more records");
    }
}

/// What the function was told to do.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where batches are posted.
    pub url: Url,
    /// Where the bearer token comes from.
    pub token: Source,
    /// Headers of each request besides the function's own, marked as sensitive so that no one prints them.
    pub headers: HeaderMap,
    /// Who may vouch for Perseus, besides the public certificate authorities.
    pub authorities: Vec<TrustAnchor<'static>>,
    /// What acknowledges a batch.
    pub ack: Ack,
    /// How a request's body is compressed.
    pub compression: Compression,
    /// What a request's body looks like.
    pub format: BatchFormat,
    /// When a batch is full.
    pub batch: BatchLimits,
    /// Requests at once, in the whole process.
    pub max_in_flight: usize,
    /// Attempts for the same records, the first one counted.
    pub max_attempts: u32,
    /// The longest first backoff.
    pub retry_base: Duration,
    /// The longest backoff.
    pub retry_cap: Duration,
    /// The longest attempt, connection and reply included.
    pub request_timeout: Duration,
    /// Kept before the deadline for the answer to reach Lambda.
    pub cutoff_reserve: Duration,
    /// What is asked of SQS; none if nothing is.
    pub sqs: Option<Settings>,
    /// Whether each invocation writes its metrics.
    pub metrics: bool,
}

/// Everything that is wrong with the configuration, a line each.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.0.len() == 1 { "" } else { "s" };
        write!(f, "{} problem{s} with the configuration: {}", self.0.len(), self.0.join("; "))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the environment through `lookup`.
    ///
    /// # Errors
    ///
    /// If any value is missing or wrong; the error lists all that are.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let mut reader = Reader { lookup, problems: Vec::new() };

        let allow_http = reader
            .read(&PERSEUS_ALLOW_HTTP, "true or false", |v| choice(v, &[("true", true), ("false", false)]));
        let url =
            reader.read_secret(&PERSEUS_URL, URL_ALLOWED, |v| perseus_url(v, allow_http.unwrap_or(false)));
        let token = reader.token();
        let headers = reader.headers(!matches!(token, Some(Source::Nowhere)));
        let authorities = reader.authorities();
        let ack = reader.read(&PERSEUS_ACK, "status or body", |v| {
            choice(v, &[("status", Ack::Status), ("body", Ack::Body)])
        });
        let compression = reader.read(&PERSEUS_COMPRESSION, "none, gzip or zstd", |v| {
            choice(v, &Compression::ALL.map(|compression| (compression.name(), compression)))
        });
        let format = reader.read(&BATCH_FORMAT, "records, array or ndjson", |v| {
            choice(v, &BatchFormat::ALL.map(|format| (format.name(), format)))
        });
        let max_records = reader.read(&BATCH_MAX_RECORDS, "1 to 10000", |v| number(v, 1..=10_000));
        let max_bytes = reader.read(&BATCH_MAX_BYTES, "1KiB to 6MiB", |v| size(v, KIB..=6 * MIB));
        let max_in_flight = reader.read(&MAX_IN_FLIGHT, "1 to 1000", |v| number(v, 1..=1_000));
        let max_attempts = reader.read(&MAX_ATTEMPTS, "1 to 100", |v| number(v, 1..=100));
        let retry_base = reader.read(&RETRY_BASE, "1ms to 60s", |v| duration(v, 1..=60_000));
        let retry_cap = reader.read(&RETRY_CAP, "RETRY_BASE to 900s", |v| duration(v, 1..=900_000));
        let request_timeout = reader.read(&REQUEST_TIMEOUT, "10ms to 900s", |v| duration(v, 10..=900_000));
        let cutoff_reserve = reader.read(&CUTOFF_RESERVE, "50ms to 300s", |v| duration(v, 50..=300_000));
        let sqs = reader.sqs();
        let metrics = reader.read(&METRICS, "off or on", |v| choice(v, &[("off", false), ("on", true)]));
        // A value that could not be read is a problem of its own.
        if retry_base.zip(retry_cap).is_some_and(|(base, cap)| base > cap) {
            reader
                .problems
                .push("RETRY_CAP: is less than RETRY_BASE (allowed: RETRY_BASE to 900s)".to_owned());
        }

        let config = || {
            Some(Config {
                url: url?,
                token: token?,
                headers: headers?,
                authorities: authorities?,
                ack: ack?,
                compression: compression?,
                format: format?,
                batch: BatchLimits { max_records: as_usize(max_records?), max_bytes: as_usize(max_bytes?) },
                max_in_flight: as_usize(max_in_flight?),
                max_attempts: u32::try_from(max_attempts?).ok()?,
                retry_base: retry_base?,
                retry_cap: retry_cap?,
                request_timeout: request_timeout?,
                cutoff_reserve: cutoff_reserve?,
                sqs: sqs?,
                metrics: metrics?,
            })
        };
        match config() {
            Some(config) if reader.problems.is_empty() => Ok(config),
            _ => Err(ConfigError(reader.problems)),
        }
    }

    /// The variables to look at if Perseus does not let the function in.
    pub fn credentials(&self) -> String {
        let others = if self.headers.is_empty() { "" } else { " and PERSEUS_HEADERS" };
        format!("{}{others}", self.token.variable())
    }
}

/// What Lambda sets around the function, as far as it is read here.
#[derive(Debug, Default)]
pub struct Platform {
    /// `host:port` of the runtime API, or its URL; none outside Lambda and its emulators.
    pub runtime_api: Option<String>,
    /// The most detailed level that is logged, in words (`INFO`).
    pub log_level: Option<String>,
    /// `JSON` if the function is configured to log JSON.
    pub log_format: Option<String>,
    /// Whether several invocations may run in this process at once.
    pub concurrent: bool,
}

impl Platform {
    /// Reads the environment through `lookup`. Nothing here can be wrong: Lambda sets it.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name| lookup(name).and_then(|value| value.into_string().ok()).filter(|v| !v.is_empty());
        Platform {
            runtime_api: text("AWS_LAMBDA_RUNTIME_API"),
            // `RUST_LOG` is what Rust's local tools set.
            log_level: text("AWS_LAMBDA_LOG_LEVEL").or_else(|| text("RUST_LOG")),
            log_format: text("AWS_LAMBDA_LOG_FORMAT"),
            concurrent: text("AWS_LAMBDA_MAX_CONCURRENCY")
                .and_then(|most| most.parse::<u32>().ok())
                .is_some_and(|most| most > 1),
        }
    }
}

const URL_ALLOWED: &str = "an https URL without user info and fragment; plain http to a loopback host alone, \
                           unless PERSEUS_ALLOW_HTTP=true";

/// Reads variables and gathers what is wrong with them.
struct Reader<F> {
    lookup: F,
    problems: Vec<String>,
}

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    fn read<T>(
        &mut self,
        variable: &Variable,
        allowed: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let shown = |value: &str| parse(value).map_err(|problem| format!("{:?} {problem}", excerpt(value)));
        self.read_secret(variable, allowed, shown)
    }

    /// Reads a variable whose value must not be shown by `parse`, and is not shown here.
    fn read_secret<T>(
        &mut self,
        variable: &Variable,
        allowed: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let required = |value: Option<String>| parse(&value.ok_or("is required")?);
        let parsed = self.text(variable).and_then(required);
        self.note_problem(variable, allowed, parsed)
    }

    /// Reads a secret that may be unset.
    fn read_optional_secret<T>(
        &mut self,
        variable: &Variable,
        allowed: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Option<T>> {
        let parsed = self.text(variable).and_then(|value| value.as_deref().map(parse).transpose());
        self.note_problem(variable, allowed, parsed)
    }

    fn note_problem<T>(
        &mut self,
        variable: &Variable,
        allowed: &str,
        parsed: Result<T, String>,
    ) -> Option<T> {
        parsed
            .map_err(|problem| {
                self.problems.push(format!("{}: {problem} (allowed: {allowed})", variable.name))
            })
            .ok()
    }

    /// The variable's value. Unset and empty are the same: a template passes an optional parameter
    /// that was left out as an empty string.
    fn text(&self, variable: &Variable) -> Result<Option<String>, String> {
        match (self.lookup)(variable.name).filter(|value| !value.is_empty()) {
            Some(value) => value.into_string().map(Some).map_err(|_| "is not UTF-8".to_owned()),
            None => Ok(variable.default.map(str::to_owned)),
        }
    }
}

fn excerpt(value: &str) -> String {
    value.chars().take(40).collect()
}

fn choice<T: Clone>(value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let chosen = choices.iter().find(|(name, _)| value.eq_ignore_ascii_case(name));
    chosen.map(|(_, choice)| choice.clone()).ok_or_else(|| "is none of the choices".to_owned())
}

fn number(value: &str, allowed: RangeInclusive<u64>) -> Result<u64, String> {
    quantity(value, &[("", 1)], allowed)
}

fn size(value: &str, allowed: RangeInclusive<u64>) -> Result<u64, String> {
    quantity(value, &[("", 1), ("KiB", KIB), ("MiB", MIB)], allowed)
}

/// A duration, `allowed` in milliseconds.
fn duration(value: &str, allowed: RangeInclusive<u64>) -> Result<Duration, String> {
    quantity(value, &[("ms", 1), ("s", 1_000)], allowed).map(Duration::from_millis)
}

/// A whole number with one of these units, in the smallest of them.
fn quantity(value: &str, units: &[(&str, u64)], allowed: RangeInclusive<u64>) -> Result<u64, String> {
    let (digits, unit) = value.split_at(value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len()));
    let one = units.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, one)| one);
    if digits.is_empty() || one.is_none() {
        let names: Vec<_> = units.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect();
        return Err(match names[..] {
            [] => "is not a whole number".to_owned(),
            _ => format!("is not a whole number with a unit ({})", names.join(", ")),
        });
    }
    // Digits that do not fit are a number out of range, not a malformed one.
    let quantity = digits.parse::<u64>().ok().zip(one).and_then(|(n, one)| n.checked_mul(*one));
    quantity.filter(|quantity| allowed.contains(quantity)).ok_or_else(|| "is out of range".to_owned())
}

fn perseus_url(value: &str, allow_http: bool) -> Result<Url, String> {
    // The parser's errors do not quote the value; a URL can hold a key.
    let url = Url::parse(value).map_err(|error| format!("is not a URL ({error})"))?;
    let host = url.host_str().unwrap_or_default();
    if !names_a_host(value, &url) {
        return Err("has no host".to_owned());
    }
    match url.scheme() {
        "https" => {}
        "http" if allow_http || is_loopback(host) => {}
        "http" => return Err("is plain http to a host that is not loopback".to_owned()),
        _ => return Err("is neither https nor http".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has user info".to_owned());
    }
    if url.fragment().is_some() {
        return Err("has a fragment".to_owned());
    }
    Ok(url)
}

/// For values that were checked to be small.
fn as_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: (&str, &str) = ("PERSEUS_URL", "https://perseus.example/ingest");

    fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_lookup(|name| {
            variables.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    }

    /// What is wrong with one value beside a good URL.
    fn problem(name: &str, value: &str) -> String {
        read(&[URL, (name, value)]).expect_err(&format!("{name}={value} was taken")).to_string()
    }

    #[test]
    fn only_the_url_is_required() {
        let config = read(&[URL]).unwrap();
        assert_eq!(config.url.as_str(), "https://perseus.example/ingest");
        assert!(matches!(config.token, Source::Nowhere));
        assert!(config.headers.is_empty() && config.authorities.is_empty());
        assert_eq!(config.ack, Ack::Status);
        assert_eq!(config.compression, Compression::None);
        assert_eq!(config.format, BatchFormat::Records);
        assert_eq!(config.batch, BatchLimits { max_records: 100, max_bytes: 1 << 20 });
        assert_eq!(config.max_in_flight, 10);
        assert_eq!(config.max_attempts, 4);
        assert_eq!(config.retry_base, Duration::from_millis(100));
        assert_eq!(config.retry_cap, Duration::from_secs(5));
        assert_eq!(config.request_timeout, Duration::from_secs(10));
        assert_eq!(config.cutoff_reserve, Duration::from_secs(1));
        assert!(config.sqs.is_none() && !config.metrics);

        let error = read(&[]).unwrap_err().to_string();
        assert!(error.contains("PERSEUS_URL: is required"), "{error}");
    }

    #[test]
    fn empty_is_unset() {
        let config = read(&[URL, ("PERSEUS_TOKEN", ""), ("BATCH_MAX_RECORDS", "")]).unwrap();
        assert!(matches!(config.token, Source::Nowhere));
        assert_eq!(config.batch.max_records, 100);
        assert!(read(&[("PERSEUS_URL", "")]).is_err());
    }

    #[test]
    fn every_wrong_value_is_reported_at_once_with_its_range() {
        let wrong = [
            ("PERSEUS_URL", "ftp://perseus.example"),
            ("PERSEUS_ALLOW_HTTP", "yes"),
            ("PERSEUS_TOKEN", "two words"),
            ("PERSEUS_TOKEN_SECRET", "two words"),
            ("PERSEUS_TOKEN_PARAMETER", "two words"),
            ("PERSEUS_HEADERS", "x-api-key: x"),
            ("PERSEUS_CA_CERT", "ca.pem"),
            ("PERSEUS_ACK", "always"),
            ("PERSEUS_COMPRESSION", "brotli"),
            ("BATCH_FORMAT", "xml"),
            ("BATCH_MAX_RECORDS", "0"),
            ("BATCH_MAX_BYTES", "7MiB"),
            ("MAX_IN_FLIGHT", "1001"),
            ("MAX_ATTEMPTS", "many"),
            ("RETRY_BASE", "1m"),
            ("RETRY_CAP", "5 hours"),
            ("REQUEST_TIMEOUT", "1.5s"),
            ("CUTOFF_RESERVE", "-1s"),
            ("SQS_VISIBILITY", "yes"),
            ("REJECTED_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/"),
            ("METRICS", "yes"),
        ];
        assert_eq!(wrong.len(), VARIABLES.len());
        let error = read(&wrong).unwrap_err();
        assert_eq!(error.0.len(), wrong.len(), "{error}");
        for (line, (name, _)) in error
            .0
            .iter()
            .zip(["PERSEUS_ALLOW_HTTP", "PERSEUS_URL"].map(|n| (n, "")).iter().chain(&wrong[2..]))
        {
            assert!(line.starts_with(name) && line.contains("(allowed: "), "{line}");
        }
    }

    #[test]
    fn limits_are_inclusive() {
        for (name, least, most, beyond) in [
            ("BATCH_MAX_RECORDS", "1", "10000", ["0", "10001"]),
            ("BATCH_MAX_BYTES", "1KiB", "6MiB", ["1023", "6291457"]),
            ("MAX_IN_FLIGHT", "1", "1000", ["0", "1001"]),
            ("MAX_ATTEMPTS", "1", "100", ["0", "101"]),
            ("REQUEST_TIMEOUT", "10ms", "900s", ["9ms", "99999999999999999999s"]),
            ("CUTOFF_RESERVE", "50ms", "300s", ["0s", "18446744073709551615s"]),
        ] {
            for good in [least, most] {
                assert!(read(&[URL, (name, good)]).is_ok(), "{name}={good}");
            }
            for bad in beyond {
                assert!(problem(name, bad).contains("is out of range (allowed: "), "{name}={bad}");
            }
        }
    }

    #[test]
    fn sizes_and_durations_have_units() {
        let config = read(&[URL, ("BATCH_MAX_BYTES", "2048"), ("REQUEST_TIMEOUT", "2 s")]).unwrap();
        assert_eq!((config.batch.max_bytes, config.request_timeout), (2048, Duration::from_secs(2)));
        let config = read(&[URL, ("BATCH_MAX_BYTES", "512KiB"), ("RETRY_BASE", "10ms")]).unwrap();
        assert_eq!((config.batch.max_bytes, config.retry_base), (512 << 10, Duration::from_millis(10)));
        for (name, value) in [("BATCH_MAX_BYTES", "1MB"), ("BATCH_MAX_BYTES", "MiB"), ("RETRY_BASE", "5")] {
            assert!(problem(name, value).contains("is not a whole number with a unit"), "{name}={value}");
        }
    }

    #[test]
    fn backoff_starts_below_its_cap() {
        assert!(problem("RETRY_CAP", "99ms").contains("RETRY_CAP: is less than RETRY_BASE"));
        assert!(read(&[URL, ("RETRY_CAP", "100ms")]).is_ok());
    }

    #[test]
    fn a_backoff_that_cannot_be_read_is_one_problem() {
        for name in ["RETRY_CAP", "RETRY_BASE"] {
            let error = read(&[URL, (name, "banana")]).unwrap_err();
            assert_eq!(error.0.len(), 1, "{error}");
        }
    }

    #[test]
    fn an_acknowledgement_is_a_status_or_a_body() {
        for (value, ack) in
            [("status", Ack::Status), ("body", Ack::Body), ("Body", Ack::Body), ("", Ack::Status)]
        {
            assert_eq!(read(&[URL, ("PERSEUS_ACK", value)]).unwrap().ack, ack, "{value}");
        }
    }

    #[test]
    fn a_variable_of_earlier_versions_is_not_refused_whatever_its_value() {
        assert!(read(&[URL, ("BATCH_MAX_WAIT", "banana")]).is_ok());
    }

    #[test]
    fn plain_http_stays_on_the_machine_unless_allowed() {
        for url in ["http://localhost:1/", "http://127.9.9.9/", "http://[::1]:8080/x?y=z"] {
            assert!(read(&[("PERSEUS_URL", url)]).is_ok(), "{url}");
        }
        for url in ["http://perseus.internal/", "http://10.0.0.1/", "http://localhost.evil.example/"] {
            assert!(read(&[("PERSEUS_URL", url)]).is_err(), "{url}");
            assert!(read(&[("PERSEUS_URL", url), ("PERSEUS_ALLOW_HTTP", "true")]).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_bad_url_is_never_shown() {
        for url in [
            "https://user:hunter2@perseus.example/",
            "https://hunter2@perseus.example/",
            "https://perseus.example/?key=hunter2#fragment",
            "hunter2",
            "https://",
            "https:///hunter2",
            "https:hunter2.example",
            "https:\\\\hunter2.example",
            "ftp://hunter2.example/",
            "http://hunter2.example/",
        ] {
            let error = read(&[("PERSEUS_URL", url)]).expect_err(url).to_string();
            assert!(error.contains("PERSEUS_URL: ") && !error.contains("hunter2"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_no_text_is_reported() {
        use std::os::unix::ffi::OsStringExt;
        let error = Config::from_lookup(|_| Some(OsString::from_vec(vec![0xff]))).unwrap_err();
        assert_eq!(error.0.len(), VARIABLES.len());
    }

    #[test]
    fn lambdas_level_comes_before_rusts() {
        let both = |name: &str| Some(OsString::from(if name == "RUST_LOG" { "debug" } else { "WARN" }));
        assert_eq!(Platform::from_lookup(both).log_level.as_deref(), Some("WARN"));
        let one = |name: &str| (name == "RUST_LOG").then(|| "debug".into());
        assert_eq!(Platform::from_lookup(one).log_level.as_deref(), Some("debug"));
    }

    #[test]
    fn one_invocation_at_a_time_is_the_rule() {
        let most = |value: &'static str| {
            move |name: &str| (name == "AWS_LAMBDA_MAX_CONCURRENCY").then(|| OsString::from(value))
        };
        assert!(!Platform::from_lookup(most("1")).concurrent);
        assert!(!Platform::from_lookup(most("many")).concurrent);
        assert!(Platform::from_lookup(most("2")).concurrent);
    }
}
