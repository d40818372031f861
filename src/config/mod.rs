//! The configuration: read from environment variables in one place, once, at start.

mod authorities;
mod aws;
mod breaker;
mod credential;
mod headers;
mod platform;
mod prober;
mod problem;
mod proxy;
mod quantity;
mod reader;
mod sigv4;
mod sqs;
#[cfg(test)]
mod testing;
mod url;
mod variables;

use std::{ffi::OsString, time::Duration};

use reqwest::{
    Url,
    header::{HeaderMap, HeaderValue},
};
use rustls::pki_types::TrustAnchor;

pub use self::{
    platform::Platform,
    prober::ProberConfig,
    problem::ConfigError,
    variables::{PROBER_VARIABLES, VARIABLES, Variable, has_removed},
};
use self::{
    problem::Problem,
    quantity::{KIB, MIB},
    reader::Reader,
    variables::{
        BATCH_FORMAT, BATCH_MAX_BYTES, BATCH_MAX_RECORDS, CUTOFF_RESERVE, MAX_ATTEMPTS, MAX_IN_FLIGHT,
        METRICS, PERSEUS_ACK, PERSEUS_CLIENT_CERT, PERSEUS_COMPRESSION, PERSEUS_TOKEN, REQUEST_TIMEOUT,
        RETRY_BASE, RETRY_CAP,
    },
};
use crate::value::{
    aws::{SIGNATURE_HEADERS, SigningSettings, SqsSettings},
    breaker::BreakerSettings,
    client_certificate::ClientCertificate,
    credential::Source,
    format::{Ack, BatchFormat, Compression},
    limits::BatchLimits,
    proxy::Proxy,
    wall_clock::WallClock,
};

/// The function's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where batches are posted.
    pub url: Url,
    /// Where the bearer token comes from: the `authorization` header.
    pub token: Source<HeaderValue>,
    /// Where the client certificate comes from.
    pub client_certificate: Source<ClientCertificate>,
    /// How requests are signed; `None` if they are not.
    pub signing: Option<SigningSettings>,
    /// Headers of each request besides the function's own, marked as sensitive so that they are never printed.
    pub headers: HeaderMap,
    /// Certificate authorities that are trusted besides the public ones.
    pub authorities: Vec<TrustAnchor<'static>>,
    /// The proxy on the way to Perseus.
    pub proxy: Option<Proxy>,
    /// What acknowledges a batch.
    pub ack: Ack,
    /// How a request's body is compressed.
    pub compression: Compression,
    /// The format of a request's body.
    pub format: BatchFormat,
    /// When a batch is full.
    pub batch: BatchLimits,
    /// The most requests at once, in the whole process.
    pub max_in_flight: usize,
    /// The most attempts for the same records, including the first.
    pub max_attempts: u32,
    /// The upper bound of the first backoff.
    pub retry_base: Duration,
    /// The upper bound of every backoff.
    pub retry_cap: Duration,
    /// The longest attempt, including connection and reply.
    pub request_timeout: Duration,
    /// The time before the deadline that is kept for the answer to reach Lambda.
    pub cutoff_reserve: Duration,
    /// The settings for calls to SQS; `None` if there are no calls.
    pub sqs: Option<SqsSettings>,
    /// The settings of the circuit breaker; `None` if it is off.
    pub circuit_breaker: Option<BreakerSettings>,
    /// Whether each invocation writes metrics.
    pub metrics: bool,
    /// The time of day. No variable sets it: simulated runs have a clock of their own.
    pub wall_clock: WallClock,
}

impl Config {
    /// Reads the environment through `lookup`.
    ///
    /// # Errors
    ///
    /// If any value is missing or wrong; the error lists all of them.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(lookup);
        let config = Config::read(&mut reader);
        reader.finish(config)
    }

    /// Reads the variables. None if any is wrong.
    fn read(reader: &mut Reader<impl Fn(&str) -> Option<OsString>>) -> Option<Self> {
        let url = reader.perseus_url();
        let token = reader.token();
        let client_certificate = reader.client_certificate(url.as_ref());
        let signing = reader.signing(url.as_ref(), token.as_ref());
        let headers = reader.headers(own_headers(token.as_ref(), signing.as_ref()));
        let authorities = reader.authorities();
        let proxy = reader.proxy(url.as_ref());
        let acks = [("status", Ack::Status), ("body", Ack::Body)];
        let ack = reader.choice(&PERSEUS_ACK, "status or body", &acks);
        let compressions = Compression::ALL.map(|compression| (compression.name(), compression));
        let compression = reader.choice(&PERSEUS_COMPRESSION, "none, gzip or zstd", &compressions);
        let formats = BatchFormat::ALL.map(|format| (format.name(), format));
        let format = reader.choice(&BATCH_FORMAT, "records, array or ndjson", &formats);
        let batch = reader.batch_limits();
        let max_in_flight = reader.number(&MAX_IN_FLIGHT, "1 to 1000", 1..=1_000);
        let max_attempts = reader.number(&MAX_ATTEMPTS, "1 to 100", 1..=100);
        let backoff = reader.backoff();
        let request_timeout = reader.duration(&REQUEST_TIMEOUT, "10ms to 900s", 10..=900_000);
        let cutoff_reserve = reader.duration(&CUTOFF_RESERVE, "50ms to 300s", 50..=300_000);
        let sqs = reader.sqs();
        let circuit_breaker = reader.circuit_breaker();
        let metrics = reader.choice(&METRICS, "off or on", &[("off", false), ("on", true)]);
        let (retry_base, retry_cap) = backoff?;
        Some(Config {
            url: url?,
            token: token?,
            client_certificate: client_certificate?,
            signing: signing?,
            headers: headers?,
            authorities: authorities?,
            proxy: proxy?,
            ack: ack?,
            compression: compression?,
            format: format?,
            batch: batch?,
            max_in_flight: max_in_flight?,
            max_attempts: max_attempts?,
            retry_base,
            retry_cap,
            request_timeout: request_timeout?,
            cutoff_reserve: cutoff_reserve?,
            sqs: sqs?,
            circuit_breaker: circuit_breaker?,
            metrics: metrics?,
            wall_clock: WallClock::default(),
        })
    }

    /// The variable to look at if Perseus refuses the client certificate, or demands one.
    pub(crate) fn certificate(&self) -> &'static str {
        if self.client_certificate.is_nowhere() {
            return "PERSEUS_CLIENT_CERT_SECRET and PERSEUS_CLIENT_CERT_PARAMETER (Perseus demands a client certificate, and \
                    none is set)";
        }
        self.client_certificate.variable(PERSEUS_CLIENT_CERT.name)
    }

    /// The variables to look at if Perseus rejects the credentials.
    pub(crate) fn credentials(&self) -> String {
        let mut variables = vec![match self.signing {
            Some(_) => "PERSEUS_SIGV4 (service, region, and the permissions of the function's role)",
            None => self.token.variable(PERSEUS_TOKEN.name),
        }];
        if !self.client_certificate.is_nowhere() {
            variables.push(self.certificate());
        }
        if !self.headers.is_empty() {
            variables.push("PERSEUS_HEADERS");
        }
        // Without a tunnel the proxy's replies look like those of Perseus.
        if self.proxy.is_some() && self.url.scheme() == "http" {
            variables.push("PERSEUS_PROXY");
        }
        variables.join(" and ")
    }
}

/// The headers that the function sets with these settings.
fn own_headers(
    token: Option<&Source<HeaderValue>>,
    signing: Option<&Option<SigningSettings>>,
) -> &'static [&'static str] {
    match (token, signing) {
        (_, Some(Some(_))) => &SIGNATURE_HEADERS,
        (Some(Source::Nowhere), _) => &[],
        _ => &["authorization"],
    }
}

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    fn batch_limits(&mut self) -> Option<BatchLimits> {
        let max_records = self.number(&BATCH_MAX_RECORDS, "1 to 10000", 1..=10_000);
        let max_bytes = self.size(&BATCH_MAX_BYTES, "1KiB to 6MiB", KIB..=6 * MIB);
        Some(BatchLimits { max_records: max_records?, max_bytes: max_bytes? })
    }

    /// The upper bounds of the first backoff and of every backoff.
    fn backoff(&mut self) -> Option<(Duration, Duration)> {
        const CAP_ALLOWED: &str = "RETRY_BASE to 900s";
        let base = self.duration(&RETRY_BASE, "1ms to 60s", 1..=60_000);
        let cap = self.duration(&RETRY_CAP, CAP_ALLOWED, 1..=900_000);
        let (base, cap) = (base?, cap?);
        if base > cap {
            self.note_secret(&RETRY_CAP, Problem::BelowRetryBase, CAP_ALLOWED);
        }
        Some((base, cap))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        testing::{problem, read},
        *,
    };

    #[test]
    fn only_the_url_is_required() {
        let config = read(&[]).unwrap();
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
        assert!(config.sqs.is_none() && config.circuit_breaker.is_none() && !config.metrics);

        let error = Config::from_lookup(|_| None).unwrap_err().to_string();
        assert!(error.contains("PERSEUS_URL: is required"), "{error}");
    }

    #[test]
    fn every_wrong_value_is_reported_at_once_with_its_range() {
        let wrong = [
            ("PERSEUS_ALLOW_HTTP", "yes"),
            ("PERSEUS_URL", "ftp://perseus.example"),
            ("PERSEUS_TOKEN", "two words"),
            ("PERSEUS_TOKEN_SECRET", "two words"),
            ("PERSEUS_TOKEN_PARAMETER", "two words"),
            ("PERSEUS_CLIENT_CERT", "cert.pem"),
            ("PERSEUS_CLIENT_CERT_SECRET", "two words"),
            ("PERSEUS_CLIENT_CERT_PARAMETER", "two words"),
            ("PERSEUS_SIGV4", "Execute API"),
            ("PERSEUS_SIGV4_REGION", "Ireland"),
            ("PERSEUS_HEADERS", "x-api-key: x"),
            ("PERSEUS_CA_CERT", "ca.pem"),
            ("PERSEUS_PROXY", "proxy:3128"),
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
            ("CIRCUIT_BREAKER", "yes"),
            ("CIRCUIT_BREAKER_AFTER", "901s"),
            ("METRICS", "yes"),
        ];
        assert_eq!(wrong.len(), VARIABLES.len());
        let error = read(&wrong).unwrap_err();
        assert_eq!(error.0.len(), wrong.len(), "{error}");
        for (found, (name, _)) in error.0.iter().zip(wrong) {
            let found = found.to_string();
            assert!(found.starts_with(&format!("{name}: ")) && found.contains("(allowed: "), "{found}");
        }
    }

    #[test]
    fn the_retry_cap_is_at_least_the_retry_base() {
        assert!(problem("RETRY_CAP", "99ms").contains("RETRY_CAP: is less than RETRY_BASE"));
        assert!(read(&[("RETRY_CAP", "100ms")]).is_ok());
    }

    #[test]
    fn a_malformed_backoff_is_reported_once() {
        for name in ["RETRY_CAP", "RETRY_BASE"] {
            let error = read(&[(name, "banana")]).unwrap_err();
            assert_eq!(error.0.len(), 1, "{error}");
        }
    }

    #[test]
    fn the_name_of_a_choice_is_case_insensitive() {
        for (value, ack) in
            [("status", Ack::Status), ("body", Ack::Body), ("Body", Ack::Body), ("", Ack::Status)]
        {
            assert_eq!(read(&[("PERSEUS_ACK", value)]).unwrap().ack, ack, "{value}");
        }
    }

    #[test]
    fn a_variable_of_earlier_versions_is_accepted_with_any_value() {
        assert!(read(&[("BATCH_MAX_WAIT", "banana")]).is_ok());
    }
}
