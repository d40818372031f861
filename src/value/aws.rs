//! What AWS calls things, and what the function was told about SQS.

use std::fmt;

use reqwest::Url;

/// What the function was told about SQS.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether the visibility of messages that come back is changed.
    pub visibility: bool,
    /// Where rejected records are sent.
    pub rejected_queue: Option<Url>,
    /// Where all requests go instead of to AWS.
    pub endpoint: Option<Url>,
    /// The function's region.
    pub region: String,
    /// What requests are signed with.
    pub credentials: Credentials,
}

/// The keys of the function's role, as Lambda puts them into the environment.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Names the key; it is sent along.
    pub access_key_id: String,
    /// The key, which signs and is never sent.
    pub secret_access_key: String,
    /// Goes along with the keys of a role, which are temporary.
    pub session_token: Option<String>,
}

// No secret may be printed by accident.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Whether the path is that of a queue: `/123456789012/orders.fifo`, or `/queue/eu-west-1/000000000000/orders.fifo`, as
/// LocalStack's `SQS_ENDPOINT_STRATEGY=path` has it.
pub fn is_queue_url(url: &Url) -> bool {
    let parts: Vec<&str> = url.path().split('/').collect();
    match parts[..] {
        ["", account, name] => is_account(account) && is_queue_name(name),
        ["", "queue", region, account, name] => {
            is_region(region) && is_account(account) && is_queue_name(name)
        }
        _ => false,
    }
}

/// Whether it is a name that LocalStack gives its queues' hosts (`sqs.eu-west-1.localhost.localstack.cloud`): the address
/// behind it is 127.0.0.1, or in LocalStack's own containers LocalStack's.
pub(crate) fn is_localstack(host: &str) -> bool {
    const DOMAIN: &str = "localhost.localstack.cloud";
    host.strip_suffix(DOMAIN).is_some_and(|labels| labels.is_empty() || labels.ends_with('.'))
}

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html>
pub(crate) fn is_queue_name(name: &str) -> bool {
    let stem = name.strip_suffix(".fifo").unwrap_or(name);
    let is_letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    !stem.is_empty() && name.len() <= 80 && stem.bytes().all(is_letter)
}

pub(crate) fn is_account(account: &str) -> bool {
    account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())
}

/// Whether this can be a region, and nothing else that would be part of a host name.
pub(crate) fn is_region(region: &str) -> bool {
    !region.is_empty() && region.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}
