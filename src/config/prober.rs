//! The configuration of the prober: the forwarder's, and which mapping and queue it looks after.

use std::ffi::OsString;

use reqwest::Url;

use super::{
    Config,
    problem::{ConfigError, Problem},
    reader::Reader,
    variables::{CIRCUIT_BREAKER, PROBE_MAPPING, PROBE_QUEUE_URL, REJECTED_QUEUE_URL, SQS_VISIBILITY},
};
use crate::value::aws::{LambdaSettings, SqsSettings, is_uuid};

/// What only the forwarder does. A probe that fails must be visible again at once, so the prober itself decides what
/// becomes of its message.
const FORWARDER_ONLY: [&str; 3] = [SQS_VISIBILITY.name, REJECTED_QUEUE_URL.name, CIRCUIT_BREAKER.name];

/// The prober's settings.
#[derive(Debug, Clone)]
pub struct ProberConfig {
    /// How a message is delivered: as by the forwarder.
    pub delivery: Config,
    /// The UUID of the event source mapping.
    pub mapping: String,
    /// The queue that the mapping reads.
    pub queue: Url,
    /// How SQS is called.
    pub sqs: SqsSettings,
    /// How Lambda's API is called.
    pub lambda: LambdaSettings,
}

impl ProberConfig {
    /// Reads the environment through `lookup`.
    ///
    /// # Errors
    ///
    /// If any value is missing or wrong; the error lists all of them.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let lookup = |name: &str| lookup(name).filter(|_| !FORWARDER_ONLY.contains(&name));
        let mut reader = Reader::new(lookup);
        let config = ProberConfig::read(&mut reader);
        reader.finish(config)
    }

    fn read(reader: &mut Reader<impl Fn(&str) -> Option<OsString>>) -> Option<Self> {
        let delivery = Config::read(reader);
        let mapping = reader.read_secret(&PROBE_MAPPING, "the UUID of an event source mapping", uuid);
        let queue = reader.probed_queue();
        let lambda = reader.lambda();
        let endpoint = reader.sqs_endpoint(&PROBE_QUEUE_URL, Some(&queue));
        let (queue, lambda) = (queue?, lambda?);
        let caller = lambda.caller.clone();
        let sqs = SqsSettings { visibility: false, rejected_queue: None, endpoint: endpoint?, caller };
        Some(ProberConfig { delivery: delivery?, mapping: mapping?, queue, sqs, lambda })
    }
}

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    /// The queue that the prober receives from. It is required.
    fn probed_queue(&mut self) -> Option<Url> {
        if !self.is_set(&PROBE_QUEUE_URL) {
            self.note_secret(&PROBE_QUEUE_URL, Problem::Missing, "the URL of an SQS queue");
        }
        self.queue_url(&PROBE_QUEUE_URL)?
    }
}

fn uuid(value: &str) -> Result<String, Problem> {
    is_uuid(value).then(|| value.to_owned()).ok_or(Problem::NotAUuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 6] = [
        ("PERSEUS_URL", "https://perseus.example/"),
        ("PROBE_MAPPING", "14e0db71-5d35-4eb5-b481-8945cf9d10c2"),
        ("PROBE_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];

    /// The good settings, with these instead.
    fn read(changed: &[(&str, &str)]) -> Result<ProberConfig, String> {
        let last = |name: &str| GOOD.iter().chain(changed).rev().find(|(known, _)| *known == name);
        ProberConfig::from_lookup(|name| last(name).map(|(_, value)| value.into()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_prober_needs_the_mapping_the_queue_and_all_that_the_forwarder_needs() {
        let config = read(&[]).unwrap();
        assert_eq!(config.mapping, GOOD[1].1);
        assert_eq!(config.queue.as_str(), GOOD[2].1);
        for (name, _) in GOOD {
            let error = read(&[(name, "")]).unwrap_err();
            assert!(
                error.starts_with("1 problem ") && error.contains(&format!("{name}: is required")),
                "{error}"
            );
        }
    }

    #[test]
    fn each_wrong_value_is_reported() {
        for (name, value) in [
            ("PERSEUS_ACK", "always"),
            ("PROBE_MAPPING", "14e0db71"),
            ("PROBE_MAPPING", "14e0db71-5d35-4eb5-b481-8945cf9d10c2/.."),
            ("PROBE_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/orders"),
            ("PROBE_QUEUE_URL", "http://queue.example/123456789012/orders"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.starts_with("1 problem ") && error.contains(&format!("{name}: ")), "{error}");
        }
    }

    #[test]
    fn what_only_the_forwarder_does_is_off_in_the_prober() {
        let config =
            read(&[("SQS_VISIBILITY", "on"), ("REJECTED_QUEUE_URL", "?"), ("CIRCUIT_BREAKER", "on")])
                .unwrap();
        assert!(config.delivery.sqs.is_none() && config.delivery.circuit_breaker.is_none());
    }
}
