//! The environment variables and their defaults.

use std::ffi::OsString;

/// An environment variable and the value it has when it is unset or empty.
#[derive(Debug)]
pub struct Variable {
    /// The name.
    pub name: &'static str,
    /// The value when it is unset or empty; `None` if there is no default.
    pub default: Option<&'static str>,
}

macro_rules! variables {
    ($($name:ident = $default:expr;)+) => {
        $(pub(super) const $name: Variable = Variable { name: stringify!($name), default: $default };)+

        /// Every variable of the function itself (not those that Lambda sets).
        pub const VARIABLES: &[Variable] = &[$($name),+];
    };
}

variables! {
    PERSEUS_URL = None;
    PERSEUS_ALLOW_HTTP = Some("false");
    PERSEUS_TOKEN = None;
    PERSEUS_TOKEN_SECRET = None;
    PERSEUS_TOKEN_PARAMETER = None;
    PERSEUS_CLIENT_CERT = None;
    PERSEUS_CLIENT_CERT_SECRET = None;
    PERSEUS_CLIENT_CERT_PARAMETER = None;
    PERSEUS_SIGV4 = None;
    PERSEUS_SIGV4_REGION = None;
    PERSEUS_HEADERS = None;
    PERSEUS_CA_CERT = None;
    PERSEUS_PROXY = None;
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
    CIRCUIT_BREAKER = Some("off");
    CIRCUIT_BREAKER_AFTER = Some("60s");
    METRICS = Some("off");
}

pub(super) const PROBE_MAPPING: Variable = without_default("PROBE_MAPPING");
pub(super) const PROBE_QUEUE_URL: Variable = without_default("PROBE_QUEUE_URL");

/// The variables that only the prober reads.
pub const PROBER_VARIABLES: &[Variable] = &[PROBE_MAPPING, PROBE_QUEUE_URL];

// Lambda sets these for every AWS client in the function. SnapStart sets AWS_CONTAINER_CREDENTIALS_FULL_URI instead of
// the keys; it is not available to custom runtimes, so it is not supported here.
pub(super) const AWS_REGION: Variable = without_default("AWS_REGION");
pub(super) const AWS_ACCESS_KEY_ID: Variable = without_default("AWS_ACCESS_KEY_ID");
pub(super) const AWS_SECRET_ACCESS_KEY: Variable = without_default("AWS_SECRET_ACCESS_KEY");
pub(super) const AWS_SESSION_TOKEN: Variable = without_default("AWS_SESSION_TOKEN");

// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>
pub(super) const AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: Variable =
    without_default("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
pub(super) const AWS_ENDPOINT_URL_SQS: Variable = without_default("AWS_ENDPOINT_URL_SQS");
pub(super) const AWS_ENDPOINT_URL_LAMBDA: Variable = without_default("AWS_ENDPOINT_URL_LAMBDA");
pub(super) const AWS_ENDPOINT_URL: Variable = without_default("AWS_ENDPOINT_URL");

pub(super) const PARAMETERS_SECRETS_EXTENSION_HTTP_PORT: Variable =
    Variable { name: "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", default: Some("2773") };

const fn without_default(name: &'static str) -> Variable {
    Variable { name, default: None }
}

/// A variable of earlier versions. A configuration that still sets it works, and logs a warning.
const BATCH_MAX_WAIT: &str = "BATCH_MAX_WAIT";

/// Whether a variable is set that is no longer read.
pub fn has_removed(lookup: impl Fn(&str) -> Option<OsString>) -> bool {
    lookup(BATCH_MAX_WAIT).is_some_and(|value| !value.is_empty())
}
