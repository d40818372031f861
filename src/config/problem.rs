//! What can be wrong with the configuration.

use std::str::FromStr;

use reqwest::Url;
use thiserror::Error;

use crate::value::client_certificate::CertificateProblem;

/// Everything that is wrong with the configuration.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{} problem{} with the configuration: {}", .0.len(), plural(.0), joined(.0))]
pub struct ConfigError(pub(super) Vec<WrongValue>);

/// A variable with a missing or wrong value.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{variable}: {}{problem} (allowed: {allowed})", shown(.value))]
pub(super) struct WrongValue {
    pub(super) variable: &'static str,
    /// The beginning of the value; `None` if the value may be a secret.
    pub(super) value: Option<String>,
    #[source]
    pub(super) problem: Problem,
    pub(super) allowed: &'static str,
}

/// What is wrong with a value. No variant holds a part of the value, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Problem {
    #[error("is required")]
    Missing,
    #[error("is not UTF-8")]
    NotUtf8,
    #[error("is none of the choices")]
    NotAChoice,

    #[error("is not a whole number")]
    NotANumber,
    #[error("is not a whole number with a unit ({units})")]
    NotAQuantity { units: String },
    #[error("is out of range")]
    OutOfRange,
    #[error("is less than RETRY_BASE")]
    BelowRetryBase,

    // The parser's errors do not quote the URL, which may hold a key.
    #[error("is not a URL ({0})")]
    NotAUrl(#[source] <Url as FromStr>::Err),
    #[error("has no host")]
    NoHost,
    #[error("is plain http to a host that is not loopback")]
    PlainHttp,
    #[error("is neither https nor http")]
    NotHttp,
    #[error("has user info")]
    UserInfo,
    #[error("has a fragment")]
    Fragment,
    #[error("has an IPv6 address, which no https request reaches through PERSEUS_PROXY")]
    Ipv6BehindProxy,
    #[error("has a query or a fragment")]
    QueryOrFragment,
    #[error("has more than user info, a host and a port")]
    MoreThanAHost,
    #[error("has user info that cannot be sent (not UTF-8, a colon in the user, or control characters)")]
    UnusableUserInfo,
    #[error("is not that of a queue")]
    NotAQueueUrl,
    #[error("has a path that requests are not signed for here")]
    UnsignablePath,
    #[error("is no UUID")]
    NotAUuid,

    #[error("has a path or a query that requests are not signed for (PERSEUS_SIGV4)")]
    UnsignableUrl,
    #[error("is no service")]
    NotAService,
    #[error("is no region")]
    NotARegion,
    #[error("holds a character that none has")]
    NotACredential,

    #[error("holds a character that no token has, or is too long")]
    NotAToken,
    #[error("is set beside {other}")]
    SetBeside { other: &'static str },
    #[error("is set without {other}")]
    SetWithout { other: &'static str },
    #[error("is no name and no ARN")]
    NotANameOrArn,
    #[error("names no field behind the #")]
    NoField,

    #[error("is no JSON object of texts")]
    NotHeaders,
    #[error("has no header name in place {place}")]
    NotAHeaderName { place: usize },
    #[error("has no header value in place {place}")]
    NotAHeaderValue { place: usize },
    #[error("has {name}, which the function sets itself")]
    ReservedHeader { name: &'static str },
    #[error("has in place {place} a name that it had before")]
    RepeatedHeader { place: usize },

    #[error("{0}")]
    NotAClientCertificate(#[source] CertificateProblem),
    #[error("is set, but PERSEUS_URL is not https")]
    NeedsHttps,
    #[error("holds a private key, which has no business here")]
    PrivateKey,
    #[error("breaks off, or is no PEM, in certificate {place}")]
    NotPem { place: usize },
    #[error("is no X.509 certificate in certificate {place}")]
    NotACertificate { place: usize },
    #[error("holds no certificate")]
    NoCertificate,
}

fn plural(wrong: &[WrongValue]) -> &'static str {
    if wrong.len() == 1 { "" } else { "s" }
}

fn joined(wrong: &[WrongValue]) -> String {
    wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn shown(value: &Option<String>) -> String {
    value.as_ref().map(|value| format!("{value:?} ")).unwrap_or_default()
}
