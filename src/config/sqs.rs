//! The settings for calls to SQS.

use std::ffi::OsString;

use reqwest::Url;

use super::{
    aws::http_url,
    problem::Problem,
    reader::Reader,
    variables::{AWS_ENDPOINT_URL_SQS, REJECTED_QUEUE_URL, SQS_VISIBILITY, Variable},
};
use crate::value::{
    aws::{SqsSettings, is_localstack, is_queue_url},
    host::is_loopback,
};

const QUEUE_URL_ALLOWED: &str = "the URL of an SQS queue, https://sqs.<region>.amazonaws.com/<account>/<name>; \
                                 plain http to a loopback host or LocalStack alone, or to that of \
                                 AWS_ENDPOINT_URL_SQS or AWS_ENDPOINT_URL";

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    /// The settings for calls to SQS; `Some(None)` if there are no calls.
    pub(super) fn sqs(&mut self) -> Option<Option<SqsSettings>> {
        let visibility = self.choice(&SQS_VISIBILITY, "off or on", &[("off", false), ("on", true)]);
        let rejected_queue = self.queue_url(&REJECTED_QUEUE_URL);
        if visibility != Some(true) && !matches!(rejected_queue, Some(Some(_))) {
            return visibility.and(rejected_queue).map(|_| None);
        }
        let caller = self.caller();
        let endpoint = self.sqs_endpoint(&REJECTED_QUEUE_URL, rejected_queue.as_ref());
        Some(Some(SqsSettings {
            visibility: visibility?,
            rejected_queue: rejected_queue?,
            endpoint: endpoint?,
            caller: caller?,
        }))
    }

    /// The URL of a queue; `Some(None)` if it is not set.
    pub(super) fn queue_url(&mut self, variable: &Variable) -> Option<Option<Url>> {
        self.read_optional_secret(variable, QUEUE_URL_ALLOWED, queue_url)
    }

    /// The custom endpoint of SQS; `Some(None)` if there is none. Notes a problem if calls to the queue that this variable
    /// names would be in plain text.
    pub(super) fn sqs_endpoint(
        &mut self,
        variable: &Variable,
        queue: Option<&Option<Url>>,
    ) -> Option<Option<Url>> {
        let endpoint = self.endpoint(&AWS_ENDPOINT_URL_SQS);
        if let (Some(Some(queue)), Some(endpoint)) = (queue, &endpoint)
            && !is_safe(queue, endpoint.as_ref())
        {
            self.note_secret(variable, Problem::PlainHttp, QUEUE_URL_ALLOWED);
        }
        endpoint
    }
}

/// Whether messages may be sent to this URL: not in plain text, except to hosts that are known to be local.
fn is_safe(queue: &Url, endpoint: Option<&Url>) -> bool {
    let is_local =
        |host| is_loopback(host) || is_localstack(host) || endpoint.and_then(Url::host_str) == Some(host);
    queue.scheme() != "http" || queue.host_str().is_some_and(is_local)
}

fn queue_url(value: &str) -> Result<Url, Problem> {
    let url = http_url(value)?;
    if !is_queue_url(&url) {
        return Err(Problem::NotAQueueUrl);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing;

    const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/dead.fifo";
    const LAMBDA: [(&str, &str); 4] = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_SESSION_TOKEN", "hunter2"),
    ];

    fn read(variables: &[(&str, &str)]) -> Result<Option<SqsSettings>, String> {
        testing::read(variables).map(|config| config.sqs).map_err(|error| error.to_string())
    }

    fn with_lambda(variables: &[(&str, &str)]) -> Result<SqsSettings, String> {
        read(&[&LAMBDA, variables].concat()).map(Option::unwrap)
    }

    #[test]
    fn the_variables_of_aws_are_read_only_if_sqs_is_called() {
        let wrong = [("AWS_REGION", "?"), ("AWS_ENDPOINT_URL", "?"), ("AWS_ACCESS_KEY_ID", " ")];
        assert!(read(&wrong).unwrap().is_none());
        assert!(
            read(&[&wrong[..], &[("SQS_VISIBILITY", "off"), ("REJECTED_QUEUE_URL", "")]].concat())
                .unwrap()
                .is_none()
        );
        assert!(read(&[&wrong[..], &[("SQS_VISIBILITY", "on")]].concat()).is_err());
    }

    #[test]
    fn each_setting_turns_on_its_own_calls() {
        let settings = with_lambda(&[("SQS_VISIBILITY", "on")]).unwrap();
        assert_eq!((settings.visibility, settings.rejected_queue), (true, None));
        assert_eq!(settings.caller.region, "eu-west-1");
        assert_eq!(settings.caller.credentials.session_token.as_deref(), Some("hunter2"));
        let settings = with_lambda(&[("REJECTED_QUEUE_URL", QUEUE)]).unwrap();
        assert_eq!((settings.visibility, settings.rejected_queue.unwrap().as_str()), (false, QUEUE));
    }

    #[test]
    fn the_variables_of_lambda_are_required_and_never_shown() {
        for (name, _) in &LAMBDA[..3] {
            let error = with_lambda(&[("SQS_VISIBILITY", "on"), (name, "")]).unwrap_err();
            assert!(error.contains(&format!("{name}: is required")), "{error}");
        }
        assert!(with_lambda(&[("SQS_VISIBILITY", "on"), ("AWS_SESSION_TOKEN", "")]).is_ok());
        let error =
            with_lambda(&[("SQS_VISIBILITY", "on"), ("AWS_SECRET_ACCESS_KEY", "hunter2\n")]).unwrap_err();
        assert!(error.contains("AWS_SECRET_ACCESS_KEY: ") && !error.contains("hunter2"), "{error}");
        let error = with_lambda(&[("SQS_VISIBILITY", "on"), ("AWS_REGION", "evil.example/")]).unwrap_err();
        assert!(error.contains("AWS_REGION: is no region"), "{error}");
    }

    #[test]
    fn only_the_url_of_a_queue_is_accepted() {
        for url in [
            "https://sqs.eu-west-1.amazonaws.com/123456789012/",
            "https://sqs.eu-west-1.amazonaws.com/queue/dead",
            "https://sqs.eu-west-1.amazonaws.com/123456789012/dead/more",
            "https://sqs.eu-west-1.amazonaws.com/123456789012/dead?x=y",
            "https://sqs.eu-west-1.amazonaws.com/123456789012/dead#x",
            "https://user@sqs.eu-west-1.amazonaws.com/123456789012/dead",
            "http://sqs.eu-west-1.amazonaws.com/123456789012/dead",
            "http://evil-localhost.localstack.cloud/123456789012/dead",
            "ftp://127.0.0.1/123456789012/dead",
            "https:///123456789012/dead",
            "arn:aws:sqs:eu-west-1:123456789012:dead",
            "dead",
        ] {
            let error = with_lambda(&[("REJECTED_QUEUE_URL", url)]).expect_err(url);
            assert!(
                error.starts_with("1 problem") && error.contains("REJECTED_QUEUE_URL: "),
                "{url}: {error}"
            );
        }
        for url in [
            "http://127.0.0.1:9324/000000000000/dead",
            "http://sqs.eu-west-1.localhost.localstack.cloud:4566/000000000000/dead",
            "http://localhost.localstack.cloud:4566/000000000000/dead",
            "http://localhost:4566/000000000000/dead",
            "http://localhost:4566/queue/eu-west-1/000000000000/dead",
        ] {
            assert!(with_lambda(&[("REJECTED_QUEUE_URL", url)]).is_ok(), "{url}");
        }
    }

    #[test]
    fn plain_http_is_for_local_hosts_and_the_custom_endpoint() {
        let queue = ("REJECTED_QUEUE_URL", "http://moto.internal:5000/123456789012/dead");
        assert!(with_lambda(&[queue]).is_err());
        assert!(with_lambda(&[queue, ("AWS_ENDPOINT_URL", "http://moto.internal:5000")]).is_ok());
        assert!(with_lambda(&[queue, ("AWS_ENDPOINT_URL", "http://other.internal:5000")]).is_err());
    }

    #[test]
    fn endpoints_are_found_in_the_order_of_the_sdks() {
        let endpoint = |variables: &[(&str, &str)]| {
            let settings = with_lambda(&[&[("SQS_VISIBILITY", "on")], variables].concat()).unwrap();
            settings.endpoint.map(|url| url.to_string())
        };
        let (own, all) =
            (("AWS_ENDPOINT_URL_SQS", "http://own:1/path"), ("AWS_ENDPOINT_URL", "http://all:2"));
        let ignore = |value| ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", value);
        assert_eq!(endpoint(&[]), None);
        assert_eq!(endpoint(&[all]).as_deref(), Some("http://all:2/"));
        assert_eq!(endpoint(&[all, own]).as_deref(), Some("http://own:1/path"));
        assert_eq!(endpoint(&[all, own, ignore("false")]).as_deref(), Some("http://own:1/path"));
        assert_eq!(endpoint(&[all, own, ignore("TRUE")]), None);
        for wrong in
            ["moto", "ftp://moto", "http://u@moto", "http://moto/?x", "http://moto/a%20b", "http:///moto"]
        {
            let error =
                with_lambda(&[("SQS_VISIBILITY", "on"), ("AWS_ENDPOINT_URL", wrong)]).expect_err(wrong);
            assert!(error.contains("AWS_ENDPOINT_URL: "), "{error}");
        }
    }
}
