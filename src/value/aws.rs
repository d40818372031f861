//! AWS names, and the settings for calls to AWS.

use std::fmt;

use reqwest::Url;

/// Who calls AWS: the function's role, in its region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The function's region.
    pub region: String,
    /// The keys that sign requests.
    pub credentials: Credentials,
}

/// The settings for calls to SQS.
#[derive(Debug, Clone)]
pub struct SqsSettings {
    /// Whether the visibility timeout of returned messages is changed.
    pub visibility: bool,
    /// The queue that rejected records are moved to.
    pub rejected_queue: Option<Url>,
    /// A custom endpoint for all requests.
    pub endpoint: Option<Url>,
    /// Who calls.
    pub caller: Caller,
}

/// The settings for calls to Lambda's API.
#[derive(Debug, Clone)]
pub struct LambdaSettings {
    /// A custom endpoint for all requests.
    pub endpoint: Option<Url>,
    /// Who calls.
    pub caller: Caller,
}

/// The headers that a signature adds to a request.
pub(crate) const SIGNATURE_HEADERS: [&str; 4] =
    ["authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"];

/// How requests to Perseus are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningSettings {
    /// The service that they are signed for.
    pub service: String,
    /// Who signs. Its region is the one that they are signed for.
    pub signer: Caller,
}

/// The keys of the function's role, from the environment that Lambda sets.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name of the key, which is sent.
    pub access_key_id: String,
    /// The key, which is never sent.
    pub secret_access_key: String,
    /// Sent with the temporary keys of a role.
    pub session_token: Option<String>,
}

impl Credentials {
    /// All of them.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        [&self.access_key_id, &self.secret_access_key]
            .into_iter()
            .chain(&self.session_token)
            .map(String::as_str)
    }
}

// Written by hand so that no secret can be logged by accident.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Whether the path is that of a queue: `/123456789012/orders.fifo`, or `/queue/eu-west-1/000000000000/orders.fifo` with
/// LocalStack's `SQS_ENDPOINT_STRATEGY=path`.
pub(crate) fn is_queue_url(url: &Url) -> bool {
    let parts: Vec<&str> = url.path().split('/').collect();
    match parts[..] {
        ["", account, name] => is_account(account) && is_queue_name(name),
        ["", "queue", region, account, name] => {
            is_region(region) && is_account(account) && is_queue_name(name)
        }
        _ => false,
    }
}

/// Whether it is a host name of LocalStack (`sqs.eu-west-1.localhost.localstack.cloud`). It resolves to 127.0.0.1, or in
/// LocalStack's own containers to LocalStack.
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

/// Whether the text has the form of a UUID, as the names of event source mappings have it.
pub(crate) fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

/// Whether it can be the name of a service in a signature.
pub(crate) fn is_service(service: &str) -> bool {
    (1..=64).contains(&service.len()) && is_region(service)
}

/// Whether the characters are those of a region. The region becomes a part of a host name, so nothing else is allowed.
pub(crate) fn is_region(region: &str) -> bool {
    !region.is_empty() && region.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// The partition of a region.
pub(crate) fn partition(region: &str) -> &'static str {
    const PREFIXES: [(&str, &str); 7] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("eusc-", "aws-eusc"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("eu-isoe-", "aws-iso-e"),
        ("us-isof-", "aws-iso-f"),
    ];
    let of_prefix = PREFIXES.iter().find(|(prefix, _)| region.starts_with(prefix));
    of_prefix.map_or("aws", |(_, partition)| partition)
}

/// The domain of a partition's endpoints
/// (<https://github.com/boto/botocore/blob/develop/botocore/data/partitions.json>).
pub(crate) fn domain(partition: &str) -> Option<&'static str> {
    Some(match partition {
        "aws" | "aws-us-gov" => "amazonaws.com",
        "aws-cn" => "amazonaws.com.cn",
        "aws-eusc" => "amazonaws.eu",
        "aws-iso" => "c2s.ic.gov",
        "aws-iso-b" => "sc2s.sgov.gov",
        "aws-iso-e" => "cloud.adc-e.uk",
        "aws-iso-f" => "csp.hci.ic.gov",
        _ => return None,
    })
}
