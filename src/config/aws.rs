//! Who calls AWS, and at which endpoints. Lambda's own variables are read only if a setting needs them.

use std::ffi::OsString;

use reqwest::Url;

use super::{
    problem::Problem,
    reader::{Reader, choice},
    url::has_user_info,
    variables::{
        AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS, AWS_REGION,
        AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, Variable,
    },
};
use crate::value::{
    aws::{Caller, Credentials, is_region},
    host::names_a_host,
    text::is_visible,
};

const ENDPOINT_ALLOWED: &str = "an https or http URL without user info, query and fragment, and of its path \
                                only letters, digits, slashes and ._~-";
const CREDENTIAL_ALLOWED: &str = "what Lambda sets, for SQS_VISIBILITY=on, REJECTED_QUEUE_URL, \
                                  CIRCUIT_BREAKER=on and PERSEUS_SIGV4; credentials from AWS_CONTAINER_CREDENTIALS_FULL_URI are \
                                  not supported";

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    /// Who calls AWS.
    pub(super) fn caller(&mut self) -> Option<Caller> {
        let region = self.read_secret(&AWS_REGION, "a region, as Lambda sets it", region);
        let credentials = self.aws_credentials();
        Some(Caller { region: region?, credentials: credentials? })
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

    /// A custom endpoint, found in the order in which the SDKs look for it; `Some(None)` if there is none. `of_service` is
    /// the variable for this service alone.
    pub(super) fn endpoint(&mut self, of_service: &Variable) -> Option<Option<Url>> {
        let ignore =
            self.read_optional_secret(&AWS_IGNORE_CONFIGURED_ENDPOINT_URLS, "true or false", |value| {
                choice(value, &[("true", true), ("false", false)])
            });
        if ignore? == Some(true) {
            return Some(None);
        }
        let of_service = self.read_optional_secret(of_service, ENDPOINT_ALLOWED, endpoint_url)?;
        if of_service.is_some() {
            return Some(of_service);
        }
        self.read_optional_secret(&AWS_ENDPOINT_URL, ENDPOINT_ALLOWED, endpoint_url)
    }
}

pub(super) fn region(value: &str) -> Result<String, Problem> {
    is_region(value).then(|| value.to_owned()).ok_or(Problem::NotARegion)
}

pub(super) fn credential(value: &str) -> Result<String, Problem> {
    is_visible(value).then(|| value.to_owned()).ok_or(Problem::NotACredential)
}

fn endpoint_url(value: &str) -> Result<Url, Problem> {
    let url = http_url(value)?;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'~' | b'-');
    if !url.path().bytes().all(is_plain) {
        return Err(Problem::UnsignablePath);
    }
    Ok(url)
}

pub(super) fn http_url(value: &str) -> Result<Url, Problem> {
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
