//! The settings of the circuit breaker in the forwarder.

use std::ffi::OsString;

use super::{
    reader::Reader,
    variables::{AWS_ENDPOINT_URL_LAMBDA, CIRCUIT_BREAKER, CIRCUIT_BREAKER_AFTER},
};
use crate::value::{aws::LambdaSettings, breaker::BreakerSettings};

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    /// The settings of the circuit breaker; `Some(None)` if it is off.
    pub(super) fn circuit_breaker(&mut self) -> Option<Option<BreakerSettings>> {
        let is_on = self.choice(&CIRCUIT_BREAKER, "off or on", &[("off", false), ("on", true)]);
        let after = self.duration(&CIRCUIT_BREAKER_AFTER, "0s to 900s", 0..=900_000);
        if !is_on? {
            return after.map(|_| None);
        }
        let lambda = self.lambda();
        Some(Some(BreakerSettings { after: after?, lambda: lambda? }))
    }

    /// How Lambda's API is called.
    pub(super) fn lambda(&mut self) -> Option<LambdaSettings> {
        let caller = self.caller();
        let endpoint = self.endpoint(&AWS_ENDPOINT_URL_LAMBDA);
        Some(LambdaSettings { endpoint: endpoint?, caller: caller? })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::testing::read;

    const ON: [(&str, &str); 4] = [
        ("CIRCUIT_BREAKER", "on"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];

    #[test]
    fn the_breaker_is_off_unless_it_is_turned_on() {
        let off = [("AWS_REGION", "?"), ("AWS_ENDPOINT_URL_LAMBDA", "?"), ("CIRCUIT_BREAKER_AFTER", "5s")];
        assert!(read(&off).unwrap().circuit_breaker.is_none());
        let settings = read(&ON).unwrap().circuit_breaker.unwrap();
        assert_eq!(settings.after, Duration::from_secs(60));
        assert_eq!(settings.lambda.caller.region, "eu-west-1");
        assert!(settings.lambda.endpoint.is_none());
    }

    #[test]
    fn the_time_of_failures_is_at_most_a_quarter_of_an_hour() {
        for (value, after) in [("0s", Some(0)), ("900s", Some(900)), ("901s", None), ("banana", None)] {
            let settings = read(&[&ON[..], &[("CIRCUIT_BREAKER_AFTER", value)]].concat());
            let found = settings.ok().map(|config| config.circuit_breaker.unwrap().after);
            assert_eq!(found, after.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn the_endpoint_of_lambda_comes_before_the_general_one() {
        let [general, own] =
            [("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:2")];
        for (set, port) in [(vec![general], 1), (vec![general, own], 2), (vec![own], 2)] {
            let settings = read(&[&ON[..], &set].concat()).unwrap().circuit_breaker.unwrap();
            assert_eq!(settings.lambda.endpoint.unwrap().port(), Some(port));
        }
    }

    #[test]
    fn the_keys_of_the_role_are_required_if_the_breaker_is_on() {
        let error = read(&ON[..1]).unwrap_err().to_string();
        for name in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            assert!(error.contains(&format!("{name}: is required")), "{error}");
        }
    }
}
