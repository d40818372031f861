//! Why a call to AWS is not known to be done.

use std::time::Duration;

use reqwest::{Response, StatusCode, header::HeaderMap};
use serde::{Deserialize, de::DeserializeOwned};
use thiserror::Error;

use crate::http::{read_at_most, root_cause};

/// The most time for a single call. AWS normally answers within 100 ms; waiting longer does not help.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A call that failed.
#[derive(Debug, Error)]
#[error("{action}: {failure}")]
pub struct CallError {
    /// The action's name, which is also that of its permission.
    pub(crate) action: &'static str,
    /// Why it is not known to be done.
    #[source]
    pub(crate) failure: Failure,
}

/// Why a call, or an entry of a batch call, is not known to be done.
#[derive(Debug, Error)]
pub enum Failure {
    /// There was no time to send the call, or no reply in time.
    #[error("no time left")]
    Timeout,
    /// No connection could be made.
    #[error("no connection ({})", root_cause(.0))]
    Unreachable(#[source] reqwest::Error),
    /// The connection was lost.
    #[error("connection lost ({})", root_cause(.0))]
    Lost(#[source] reqwest::Error),
    /// The service refused it, with this status and error code.
    #[error("status {}{}{}", .0, if .1.is_empty() { "" } else { ": " }, .1)]
    Refused(u16, String),
    /// The connection ended before the reply did.
    #[error("a reply cut short")]
    CutShort(#[source] reqwest::Error),
    /// The reply is too long to be read.
    #[error("a reply that is too long")]
    TooLong,
    /// The reply is not the documented JSON.
    #[error("a reply that cannot be read")]
    Unreadable,
    /// The reply contradicts itself or the call.
    #[error("a reply that names an entry twice, or one that was not sent")]
    WrongEntry,
    /// The reply is about another event source mapping, or about none.
    #[error("a reply that does not name the mapping of this function and queue")]
    OtherMapping,
    /// The reply does not say that the change is made.
    #[error("a reply that does not confirm the change")]
    NotConfirmed,
    /// The reply neither confirms nor refuses an entry.
    #[error("a reply that does not confirm every message")]
    Unconfirmed,
}

impl Failure {
    /// Whether the service is too busy for the call, or busy with another one for the same thing.
    pub(crate) fn is_busy(&self) -> bool {
        // ResourceConflictException, ResourceInUseException, TooManyRequestsException.
        matches!(self, Failure::Refused(409 | 429, _))
            || matches!(self, Failure::Refused(400, code) if code == "ResourceInUseException")
    }

    /// Whether the same call may succeed a moment later.
    pub(crate) fn may_pass(&self) -> bool {
        !matches!(self, Failure::Refused(400..=428 | 430..=499, _))
    }

    /// Whether other calls will fail likewise: wrong names, missing permissions, throttling.
    pub(crate) fn is_for_all(&self) -> bool {
        matches!(self, Failure::Refused(400..500, _) | Failure::Unreachable(_))
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        if error.is_connect() { Failure::Unreachable(error) } else { Failure::Lost(error) }
    }
}

/// Reads the body of a reply whose status `is_success`, of at most `longest` bytes.
///
/// # Errors
///
/// If the status is another one, or the body cannot be read.
pub(crate) async fn read_success(
    response: Response,
    longest: usize,
    is_success: impl Fn(StatusCode) -> bool,
) -> Result<Vec<u8>, Failure> {
    let (status, headers) = (response.status(), response.headers().clone());
    let body = read_at_most(response, longest).await;
    let body = body.map_err(Failure::CutShort)?;
    let body = body.ok_or(Failure::TooLong)?;
    if is_success(status) { Ok(body) } else { Err(refused(status, &headers, &body)) }
}

/// Reads a reply that has to be a JSON object. serde would read a list into a struct too.
///
/// # Errors
///
/// If it is something else.
pub(crate) fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    let reply = body.starts_with(b"{").then(|| serde_json::from_slice(body).ok()).flatten();
    reply.ok_or(Failure::Unreadable)
}

/// A refusal. The error code is in a header or in the body, depending on the protocol
/// (<https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization>).
fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    #[derive(Deserialize)]
    struct Error {
        #[serde(rename = "__type")]
        kind: String,
    }
    let header = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
    let in_body = || serde_json::from_slice(body).map(|Error { kind }| kind).unwrap_or_default();
    Failure::Refused(status.as_u16(), plain(&header.map_or_else(in_body, str::to_owned)))
}

/// The short name of an error code: `com.amazonaws.sqs#QueueDoesNotExist` becomes `QueueDoesNotExist`, and
/// `TooManyRequestsException:http://…` becomes `TooManyRequestsException`. Drops characters that no error code has, because
/// the name is logged.
pub(crate) fn plain(code: &str) -> String {
    let name = code.split(':').next().unwrap_or_default().rsplit('#').next().unwrap_or_default();
    name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').take(60).collect()
}

#[cfg(test)]
mod tests {
    use std::iter::successors;

    use proptest::prelude::*;

    use super::*;
    use crate::http::client_builder;

    fn reqwest_error() -> reqwest::Error {
        client_builder().build().unwrap().get("no URL").build().unwrap_err()
    }

    /// One failure of each kind: the compiler asks for new ones.
    fn each() -> impl Iterator<Item = Failure> {
        successors(Some(Failure::Timeout), |failure| match failure {
            Failure::Timeout => Some(Failure::Unreachable(reqwest_error())),
            Failure::Unreachable(_) => Some(Failure::Lost(reqwest_error())),
            Failure::Lost(_) => Some(Failure::Refused(403, String::new())),
            Failure::Refused(..) => Some(Failure::CutShort(reqwest_error())),
            Failure::CutShort(_) => Some(Failure::TooLong),
            Failure::TooLong => Some(Failure::Unreadable),
            Failure::Unreadable => Some(Failure::WrongEntry),
            Failure::WrongEntry => Some(Failure::Unconfirmed),
            Failure::Unconfirmed => Some(Failure::OtherMapping),
            Failure::OtherMapping => Some(Failure::NotConfirmed),
            Failure::NotConfirmed => None,
        })
    }

    #[test]
    fn each_failure_is_explained_in_the_documents() {
        let page = include_str!("../../docs/log-lines.md");
        for failure in each() {
            let reason = failure.to_string().replace(&root_cause(&reqwest_error()).to_string(), "…");
            let reason = reason.replace("403", "");
            assert!(page.contains(&format!("`{reason}")), "docs/log-lines.md does not have `{reason}`");
        }
    }

    proptest! {
        #[test]
        fn no_refusal_causes_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            refused(StatusCode::BAD_REQUEST, &HeaderMap::new(), &body);
        }
    }

    #[test]
    fn only_the_error_code_of_a_refusal_is_shown() {
        let told =
            |body: &str| refused(StatusCode::BAD_REQUEST, &HeaderMap::new(), body.as_bytes()).to_string();
        assert_eq!(
            told(r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"handle"}"#),
            "status 400: QueueDoesNotExist"
        );
        assert_eq!(told("<html>"), "status 400");
        let long = told(&format!(r#"{{"__type":"a b\n{}"}}"#, "x".repeat(100)));
        assert_eq!(long, format!("status 400: ab{}", "x".repeat(58)));
    }

    #[test]
    fn the_error_code_in_the_header_comes_first() {
        let code = "TooManyRequestsException:http://internal.amazon.com/coral/";
        let headers = HeaderMap::from_iter([("x-amzn-errortype".parse().unwrap(), code.parse().unwrap())]);
        let told = refused(StatusCode::TOO_MANY_REQUESTS, &headers, br#"{"__type":"Other"}"#).to_string();
        assert_eq!(told, "status 429: TooManyRequestsException");
    }
}
