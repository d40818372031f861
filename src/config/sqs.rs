//! The settings for calls to SQS. Lambda's own variables are read only if there are such calls.

use std::ffi::OsString;

use reqwest::Url;

use super::{
    problem::Problem,
    reader::{Reader, choice},
    url::has_user_info,
    variables::{
        AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_SQS, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS,
        AWS_REGION, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, REJECTED_QUEUE_URL, SQS_VISIBILITY,
    },
};
use crate::value::{
    aws::{Credentials, Settings, is_localstack, is_queue_url, is_region},
    host::{is_loopback, names_a_host},
    text::is_visible,
};

const QUEUE_URL_ALLOWED: &str = "the URL of an SQS queue, https://sqs.<region>.amazonaws.com/<account>/<name>; \
                                 plain http to a loopback host or LocalStack alone, or to that of \
                                 AWS_ENDPOINT_URL_SQS or AWS_ENDPOINT_URL";
const ENDPOINT_ALLOWED: &str = "an https or http URL without user info, query and fragment, and of its path \
                                only letters, digits, slashes and ._~-";
const CREDENTIAL_ALLOWED: &str = "what Lambda sets, for SQS_VISIBILITY=on and REJECTED_QUEUE_URL; credentials \
                                  from AWS_CONTAINER_CREDENTIALS_FULL_URI are not supported";

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    /// The settings for calls to SQS; `Some(None)` if there are no calls.
    pub(super) fn sqs(&mut self) -> Option<Option<Settings>> {
        let visibility = self.choice(&SQS_VISIBILITY, "off or on", &[("off", false), ("on", true)]);
        let rejected_queue = self.read_optional_secret(&REJECTED_QUEUE_URL, QUEUE_URL_ALLOWED, queue_url);
        if visibility != Some(true) && !matches!(rejected_queue, Some(Some(_))) {
            return visibility.and(rejected_queue).map(|_| None);
        }

        let region = self.read_secret(&AWS_REGION, "a region, as Lambda sets it", region);
        let credentials = self.aws_credentials();
        let endpoint = self.endpoint();
        if let (Some(Some(queue)), Some(endpoint)) = (&rejected_queue, &endpoint)
            && !is_safe(queue, endpoint.as_ref())
        {
            self.note_secret(&REJECTED_QUEUE_URL, Problem::PlainHttp, QUEUE_URL_ALLOWED);
        }
        Some(Some(Settings {
            visibility: visibility?,
            rejected_queue: rejected_queue?,
            endpoint: endpoint?,
            region: region?,
            credentials: credentials?,
        }))
    }

    fn aws_credentials(&mut self) -> Option<Credentials> {
        let access_key_id = self.read_secret(&AWS_ACCESS_KEY_ID, CREDENTIAL_ALLOWED, credential);
        let secret_access_key = self.read_secret(&AWS_SECRET_ACCESS_KEY, CREDENTIAL_ALLOWED, credential);
        let session_token = self.read_optional_secret(&AWS_SESSION_TOKEN, CREDENTIAL_ALLOWED, credential);
        Some(Credentials {
            access_key_id: access_key_id?,
            secret_access_key: secret_access_key?,
            session_token: session_token?,
        })
    }

    /// A custom endpoint, found in the order in which the SDKs look for it; `Some(None)` if there is none.
    fn endpoint(&mut self) -> Option<Option<Url>> {
        let ignore =
            self.read_optional_secret(&AWS_IGNORE_CONFIGURED_ENDPOINT_URLS, "true or false", |value| {
                choice(value, &[("true", true), ("false", false)])
            });
        if ignore? == Some(true) {
            return Some(None);
        }
        let of_sqs = self.read_optional_secret(&AWS_ENDPOINT_URL_SQS, ENDPOINT_ALLOWED, endpoint_url)?;
        if of_sqs.is_some() {
            return Some(of_sqs);
        }
        self.read_optional_secret(&AWS_ENDPOINT_URL, ENDPOINT_ALLOWED, endpoint_url)
    }
}

/// Whether rejected messages may be sent to this URL: not in plain text, except to hosts that are known to be local.
fn is_safe(queue: &Url, endpoint: Option<&Url>) -> bool {
    let is_local =
        |host| is_loopback(host) || is_localstack(host) || endpoint.and_then(Url::host_str) == Some(host);
    queue.scheme() != "http" || queue.host_str().is_some_and(is_local)
}

fn region(value: &str) -> Result<String, Problem> {
    is_region(value).then(|| value.to_owned()).ok_or(Problem::NotARegion)
}

pub(super) fn credential(value: &str) -> Result<String, Problem> {
    is_visible(value).then(|| value.to_owned()).ok_or(Problem::NotACredential)
}

fn queue_url(value: &str) -> Result<Url, Problem> {
    let url = http_url(value)?;
    if !is_queue_url(&url) {
        return Err(Problem::NotAQueueUrl);
    }
    Ok(url)
}

fn endpoint_url(value: &str) -> Result<Url, Problem> {
    let url = http_url(value)?;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'~' | b'-');
    if !url.path().bytes().all(is_plain) {
        return Err(Problem::UnsignablePath);
    }
    Ok(url)
}

fn http_url(value: &str) -> Result<Url, Problem> {
    let url = Url::parse(value).map_err(Problem::NotAUrl)?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(Problem::NotHttp);
    }
    if !names_a_host(value, &url) {
        return Err(Problem::NoHost);
    }
    if has_user_info(&url) {
        return Err(Problem::UserInfo);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Problem::QueryOrFragment);
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

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        testing::read(variables).map(|config| config.sqs).map_err(|error| error.to_string())
    }

    fn with_lambda(variables: &[(&str, &str)]) -> Result<Settings, String> {
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
        assert_eq!(settings.region, "eu-west-1");
        assert_eq!(settings.credentials.session_token.as_deref(), Some("hunter2"));
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
