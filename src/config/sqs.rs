//! The settings of what is asked of SQS, and Lambda's own variables that it needs: read only if it is on.

use std::ffi::OsString;

use reqwest::Url;

use super::{REJECTED_QUEUE_URL, Reader, SQS_VISIBILITY, Variable, choice};
use crate::value::{
    aws::{Credentials, Settings, is_localstack, is_queue_url, is_region},
    host::{is_loopback, names_a_host},
    text::is_visible,
};

// Set by Lambda, and meant for every AWS client in it. SnapStart hands credentials over by
// AWS_CONTAINER_CREDENTIALS_FULL_URI instead; it is not for custom runtimes, and not supported here.
const AWS_REGION: Variable = Variable { name: "AWS_REGION", default: None };
const AWS_ACCESS_KEY_ID: Variable = Variable { name: "AWS_ACCESS_KEY_ID", default: None };
const AWS_SECRET_ACCESS_KEY: Variable = Variable { name: "AWS_SECRET_ACCESS_KEY", default: None };
pub(super) const AWS_SESSION_TOKEN: Variable = Variable { name: "AWS_SESSION_TOKEN", default: None };

// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>
const AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: Variable =
    Variable { name: "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", default: None };
const AWS_ENDPOINT_URL_SQS: Variable = Variable { name: "AWS_ENDPOINT_URL_SQS", default: None };
const AWS_ENDPOINT_URL: Variable = Variable { name: "AWS_ENDPOINT_URL", default: None };

const QUEUE_URL_ALLOWED: &str = "the URL of an SQS queue, https://sqs.<region>.amazonaws.com/<account>/<name>; \
                                 plain http to a loopback host or LocalStack alone, or to that of \
                                 AWS_ENDPOINT_URL_SQS or AWS_ENDPOINT_URL";
const ENDPOINT_ALLOWED: &str = "an https or http URL without user info, query and fragment, and of its path \
                                only letters, digits, slashes and ._~-";
const CREDENTIAL_ALLOWED: &str = "what Lambda sets, for SQS_VISIBILITY=on and REJECTED_QUEUE_URL; credentials \
                                  from AWS_CONTAINER_CREDENTIALS_FULL_URI are not supported";

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    /// What is asked of SQS; none if nothing is.
    pub(super) fn sqs(&mut self) -> Option<Option<Settings>> {
        let visibility =
            self.read(&SQS_VISIBILITY, "off or on", |value| choice(value, &[("off", false), ("on", true)]));
        let rejected_queue = self.read_optional_secret(&REJECTED_QUEUE_URL, QUEUE_URL_ALLOWED, queue_url);
        if visibility != Some(true) && !matches!(rejected_queue, Some(Some(_))) {
            return visibility.and(rejected_queue).map(|_| None);
        }

        let region = self.read_secret(&AWS_REGION, "a region, as Lambda sets it", |value| {
            is_region(value).then(|| value.to_owned()).ok_or("is no region".to_owned())
        });
        let access_key_id = self.read_secret(&AWS_ACCESS_KEY_ID, CREDENTIAL_ALLOWED, credential);
        let secret_access_key = self.read_secret(&AWS_SECRET_ACCESS_KEY, CREDENTIAL_ALLOWED, credential);
        let session_token = self.read_optional_secret(&AWS_SESSION_TOKEN, CREDENTIAL_ALLOWED, credential);
        let endpoint = self.endpoint();
        if let (Some(Some(url)), Some(endpoint)) = (&rejected_queue, &endpoint) {
            let is_allowed = |host| {
                is_loopback(host)
                    || is_localstack(host)
                    || endpoint.as_ref().and_then(Url::host_str) == Some(host)
            };
            if url.scheme() == "http" && !url.host_str().is_some_and(is_allowed) {
                let problem = Err::<(), _>("is plain http to a host that is not loopback".to_owned());
                self.note_problem(&REJECTED_QUEUE_URL, QUEUE_URL_ALLOWED, problem);
            }
        }
        Some(Some(Settings {
            visibility: visibility?,
            rejected_queue: rejected_queue?,
            endpoint: endpoint?,
            region: region?,
            credentials: Credentials {
                access_key_id: access_key_id?,
                secret_access_key: secret_access_key?,
                session_token: session_token?,
            },
        }))
    }

    /// Where requests go instead of to AWS, in the order in which the SDKs look for it.
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

fn queue_url(value: &str) -> Result<Url, String> {
    let url = http_url(value)?;
    if !is_queue_url(&url) {
        return Err("is not that of a queue".to_owned());
    }
    Ok(url)
}

fn endpoint_url(value: &str) -> Result<Url, String> {
    let url = http_url(value)?;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'~' | b'-');
    if !url.path().bytes().all(is_plain) {
        return Err("has a path that requests are not signed for here".to_owned());
    }
    Ok(url)
}

fn http_url(value: &str) -> Result<Url, String> {
    let url = Url::parse(value).map_err(|error| format!("is not a URL ({error})"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err("is neither https nor http".to_owned());
    }
    if !names_a_host(value, &url) {
        return Err("has no host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has user info".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment".to_owned());
    }
    Ok(url)
}

pub(super) fn credential(value: &str) -> Result<String, String> {
    is_visible(value).then(|| value.to_owned()).ok_or_else(|| "holds a character that none has".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const QUEUE: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/dead.fifo";
    const LAMBDA: [(&str, &str); 4] = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_SESSION_TOKEN", "hunter2"),
    ];

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        let config = Config::from_lookup(|name| match name {
            "PERSEUS_URL" => Some("https://perseus.example".into()),
            _ => variables.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.into()),
        });
        config.map(|config| config.sqs).map_err(|error| error.to_string())
    }

    fn with_lambda(variables: &[(&str, &str)]) -> Result<Settings, String> {
        read(&[&LAMBDA, variables].concat()).map(Option::unwrap)
    }

    #[test]
    fn nothing_of_aws_is_read_unless_it_is_needed() {
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
    fn either_setting_turns_its_own_part_on() {
        let settings = with_lambda(&[("SQS_VISIBILITY", "on")]).unwrap();
        assert_eq!((settings.visibility, settings.rejected_queue), (true, None));
        assert_eq!(settings.region, "eu-west-1");
        assert_eq!(settings.credentials.session_token.as_deref(), Some("hunter2"));
        let settings = with_lambda(&[("REJECTED_QUEUE_URL", QUEUE)]).unwrap();
        assert_eq!((settings.visibility, settings.rejected_queue.unwrap().as_str()), (false, QUEUE));
    }

    #[test]
    fn what_lambda_sets_is_required_and_never_shown() {
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
    fn rejected_records_go_to_a_queue_and_nowhere_else() {
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
    fn plain_http_is_for_this_machine_and_the_endpoint_that_was_named() {
        let queue = ("REJECTED_QUEUE_URL", "http://moto.internal:5000/123456789012/dead");
        assert!(with_lambda(&[queue]).is_err());
        assert!(with_lambda(&[queue, ("AWS_ENDPOINT_URL", "http://moto.internal:5000")]).is_ok());
        assert!(with_lambda(&[queue, ("AWS_ENDPOINT_URL", "http://other.internal:5000")]).is_err());
    }

    #[test]
    fn endpoints_are_found_as_the_sdks_find_them() {
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
