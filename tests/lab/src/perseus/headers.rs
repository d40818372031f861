//! The headers of a request, against the contract.

use http::{HeaderMap, HeaderName, header};

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What is wrong with the headers by themselves, in words. The content-type is checked with the body.
pub(super) fn findings(headers: &HeaderMap, body_length: usize) -> Vec<String> {
    [
        one_of_each(headers),
        content_length(headers, body_length),
        user_agent(headers),
        idempotency_key(headers),
        traceparent(headers),
        authorization(headers),
        unwanted(headers),
    ]
    .concat()
}

/// A header's text; `None` when it is missing or not text.
pub(super) fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn one_of_each(headers: &HeaderMap) -> Vec<String> {
    headers
        .keys()
        .filter(|name| headers.get_all(*name).iter().nth(1).is_some())
        .map(|name| format!("{name} is there more than once"))
        .collect()
}

fn content_length(headers: &HeaderMap, actual: usize) -> Vec<String> {
    match text(headers, &header::CONTENT_LENGTH).map(|value| value.parse::<usize>()) {
        None => vec!["no content-length".to_owned()],
        Some(Ok(stated)) if stated == actual => Vec::new(),
        Some(_) => vec![format!("content-length is not the {actual} bytes of the body")],
    }
}

fn user_agent(headers: &HeaderMap) -> Vec<String> {
    let agent = text(headers, &header::USER_AGENT).unwrap_or_default();
    let well_formed = agent.split_once('/').is_some_and(|(name, version)| {
        let token = |text: &str| !text.is_empty() && !text.contains([' ', '/']);
        token(name) && token(version) && version.starts_with(|first: char| first.is_ascii_digit())
    });
    if well_formed { Vec::new() } else { vec![format!("user-agent is `{agent}`, not `name/version`")] }
}

fn idempotency_key(headers: &HeaderMap) -> Vec<String> {
    match text(headers, &IDEMPOTENCY_KEY) {
        Some(key) if !key.trim().is_empty() => Vec::new(),
        _ => vec!["no idempotency-key".to_owned()],
    }
}

fn traceparent(headers: &HeaderMap) -> Vec<String> {
    let Some(value) = headers.get(TRACEPARENT) else {
        return Vec::new();
    };
    let value = String::from_utf8_lossy(value.as_bytes());
    let fields: Vec<&str> = value.split('-').collect();
    let hex = |field: &str, length: usize| {
        field.len() == length && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let set = |field: &str| field.bytes().any(|byte| byte != b'0');
    let well_formed = match fields[..] {
        ["00", trace, parent, flags] => {
            hex(trace, 32) && set(trace) && hex(parent, 16) && set(parent) && hex(flags, 2)
        }
        _ => false,
    };
    if well_formed { Vec::new() } else { vec![format!("traceparent `{value}` is malformed")] }
}

fn authorization(headers: &HeaderMap) -> Vec<String> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Vec::new();
    };
    let bearer =
        value.as_bytes().strip_prefix(b"Bearer ").is_some_and(|token| !token.trim_ascii().is_empty());
    if bearer { Vec::new() } else { vec!["authorization is not a bearer token".to_owned()] }
}

fn unwanted(headers: &HeaderMap) -> Vec<String> {
    let never_leaves = |name: &HeaderName| name.as_str().contains("receipt") || name.as_str().contains("md5");
    let mut findings: Vec<String> = headers
        .keys()
        .filter(|name| never_leaves(name))
        .map(|name| format!("{name} must not leave the function"))
        .collect();
    if headers.contains_key(header::ACCEPT_ENCODING) {
        findings.push("accept-encoding is sent, but the function does not decompress replies".to_owned());
    }
    findings
}
