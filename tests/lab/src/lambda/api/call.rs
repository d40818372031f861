//! Parsing a call of Lambda's API. A call that breaks the API, or that the function must not make, is an error in words.

use std::{borrow::Cow, collections::BTreeMap};

use http::{Method, header, request::Parts};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::lambda::names::{self, MAPPING, PAUSED_FOR, PAUSED_SINCE};

const MAPPINGS: &str = "/2015-03-31/event-source-mappings/";
const TAGS: &str = "/2017-03-31/tags/";
/// Lambda's longest value of a tag.
const LONGEST_VALUE: usize = 256;

/// A valid call for the function's own mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// `ListEventSourceMappings`
    List,
    /// `GetEventSourceMapping`
    Get,
    /// `UpdateEventSourceMapping`, which enables or disables it.
    Update(bool),
    /// `ListTags`
    ListTags,
    /// `TagResource`
    Tag(BTreeMap<String, String>),
    /// `UntagResource`
    Untag(Vec<String>),
}

impl Call {
    /// Reads a call. `queue` is the ARN of the queue.
    pub(super) fn read(head: &Parts, body: &[u8], queue: &str) -> Result<Self, String> {
        let path = head.uri.path();
        let query = pairs(head.uri.query().unwrap_or_default());
        if let Some(uuid) = path.strip_prefix(MAPPINGS) {
            return match (&head.method, uuid) {
                (&Method::GET, "") => list(&query, queue),
                (_, uuid) if uuid != MAPPING => Err("another mapping".to_owned()),
                (&Method::GET, _) => Ok(Self::Get),
                (&Method::PUT, _) => update(&json(head, body)?),
                (method, _) => Err(format!("{method} of a mapping")),
            };
        }
        let arn = path.strip_prefix(TAGS).ok_or("an unknown path")?;
        if percent_decode_str(arn).decode_utf8_lossy() != names::mapping(MAPPING) {
            return Err("the tags of something else".to_owned());
        }
        match head.method {
            Method::GET => Ok(Self::ListTags),
            Method::POST => tag(&json(head, body)?),
            Method::DELETE => untag(query),
            _ => Err(format!("{} of tags", head.method)),
        }
    }
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8().map(Cow::into_owned).unwrap_or_default();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(k, v)| (decode(k), decode(v)))
        .collect()
}

fn json(head: &Parts, body: &[u8]) -> Result<Value, String> {
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if kind != Some("application/json") {
        return Err("another content-type than application/json".to_owned());
    }
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

/// Only the mappings of this queue may be looked for, and of this function, if one is named.
fn list(query: &[(String, String)], queue: &str) -> Result<Call, String> {
    let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    if value("FunctionName").is_some_and(|name| name != names::function()) {
        return Err("another FunctionName".to_owned());
    }
    if value("EventSourceArn") != Some(queue) {
        return Err("no EventSourceArn, or another queue's".to_owned());
    }
    Ok(Call::List)
}

/// Only `Enabled` may be changed.
fn update(body: &Value) -> Result<Call, String> {
    let fields = body.as_object().ok_or("an update that is no object")?;
    match (fields.len(), fields.get("Enabled").and_then(Value::as_bool)) {
        (1, Some(enabled)) => Ok(Call::Update(enabled)),
        _ => Err("an update of something else than Enabled".to_owned()),
    }
}

/// Only the breaker's own tags may be changed.
fn is_own(key: &str) -> bool {
    key == PAUSED_SINCE || key == PAUSED_FOR
}

fn tag(body: &Value) -> Result<Call, String> {
    let tags = body["Tags"].as_object().filter(|tags| !tags.is_empty()).ok_or("no Tags")?;
    let mut valid = BTreeMap::new();
    for (key, value) in tags {
        let value =
            value.as_str().filter(|value| value.len() <= LONGEST_VALUE && value.chars().all(is_of_tag));
        let value = value.ok_or_else(|| format!("an invalid value of the tag {key}"))?;
        if !is_own(key) {
            return Err(format!("the tag {key}"));
        }
        valid.insert(key.clone(), value.to_owned());
    }
    Ok(Call::Tag(valid))
}

/// Characters that AWS allows in the value of a tag.
fn is_of_tag(c: char) -> bool {
    c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c)
}

fn untag(query: Vec<(String, String)>) -> Result<Call, String> {
    if query.is_empty() || query.iter().any(|(name, key)| name != "tagKeys" || !is_own(key)) {
        return Err("no tagKeys, or another's".to_owned());
    }
    Ok(Call::Untag(query.into_iter().map(|(_, key)| key).collect()))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn read(method: &str, uri: &str, body: &str) -> Result<Call, String> {
        let request = Request::builder().method(method).uri(uri).header("content-type", "application/json");
        let (head, ()) = request.body(()).expect("a request").into_parts();
        Call::read(&head, body.as_bytes(), &names::queue(false))
    }

    fn encoded(arn: &str) -> String {
        arn.replace(':', "%3A")
    }

    #[test]
    fn each_call_of_the_breaker_is_read() {
        let mapping = format!("{MAPPINGS}{MAPPING}");
        let tags = format!("{TAGS}{}", encoded(&names::mapping(MAPPING)));
        let list = format!(
            "{MAPPINGS}?FunctionName={}&EventSourceArn={}",
            encoded(&names::function()),
            names::queue(false)
        );
        assert_eq!(read("GET", &list, ""), Ok(Call::List));
        assert_eq!(read("GET", &mapping, ""), Ok(Call::Get));
        assert_eq!(read("PUT", &mapping, r#"{"Enabled":false}"#), Ok(Call::Update(false)));
        assert_eq!(read("GET", &tags, ""), Ok(Call::ListTags));
        let body = format!(r#"{{"Tags":{{"{PAUSED_SINCE}":"2026-01-01T00:00:00Z"}}}}"#);
        let marked = BTreeMap::from([(PAUSED_SINCE.to_owned(), "2026-01-01T00:00:00Z".to_owned())]);
        assert_eq!(read("POST", &tags, &body), Ok(Call::Tag(marked)));
        let keys = format!("{tags}?tagKeys={}&tagKeys={PAUSED_FOR}", encoded(PAUSED_SINCE));
        assert_eq!(
            read("DELETE", &keys, ""),
            Ok(Call::Untag(vec![PAUSED_SINCE.to_owned(), PAUSED_FOR.to_owned()]))
        );
    }

    #[test]
    fn nothing_but_the_functions_own_mapping_may_be_touched() {
        let mapping = format!("{MAPPINGS}{MAPPING}");
        let tags = format!("{TAGS}{}", names::mapping(MAPPING));
        for (method, uri, body) in [
            ("GET", format!("{MAPPINGS}?FunctionName={}", names::function()), ""),
            ("GET", format!("{MAPPINGS}?FunctionName=x&EventSourceArn={}", names::queue(false)), ""),
            ("PUT", format!("{MAPPINGS}{}", names::OTHER_MAPPING), r#"{"Enabled":false}"#),
            ("PUT", mapping.clone(), r#"{"Enabled":false,"BatchSize":1}"#),
            ("PUT", mapping.clone(), r#"{"Enabled":"false"}"#),
            ("DELETE", mapping, ""),
            ("POST", format!("{TAGS}{}", names::mapping(names::OTHER_MAPPING)), r#"{"Tags":{}}"#),
            ("POST", tags.clone(), r#"{"Tags":{"team":"x"}}"#),
            ("POST", tags.clone(), r#"{"Tags":{"perseus-forwarder:paused-for":"<x>"}}"#),
            ("DELETE", tags.clone(), ""),
            ("DELETE", format!("{tags}?tagKeys=team"), ""),
        ] {
            assert!(read(method, &uri, body).is_err(), "{method} {uri} {body}");
        }
    }
}
