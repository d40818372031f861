//! What `template.yaml` promises, where no linter looks: that it agrees with the function, and with
//! itself wherever CloudFormation cannot compute.

mod alarms;
mod breaker;
mod dashboard;
mod document;
mod function;
mod parameters;
mod queues;
mod stack;

/// What the function, and the prober, say of an invocation in their documents of metrics.
pub(crate) const METRICS: [&str; 18] = [
    "Acknowledged",
    "BreakerPaused",
    "BytesSent",
    "DeadLettered",
    "Errored",
    "Headroom",
    "InFlightLimit",
    "MessageAge",
    "Outage",
    "PerseusLatency",
    "Received",
    "Rejected",
    "Requests",
    "Retries",
    "RefusesAll",
    "SetUpErrors",
    "Splits",
    "Unattempted",
];

/// The variables of the extension that fetches the token.
pub(crate) const OF_THE_EXTENSION: [&str; 5] = [
    "PARAMETERS_SECRETS_EXTENSION_LOG_LEVEL",
    "SECRETS_MANAGER_TIMEOUT_MILLIS",
    "SECRETS_MANAGER_TTL",
    "SSM_PARAMETER_STORE_TIMEOUT_MILLIS",
    "SSM_PARAMETER_STORE_TTL",
];
