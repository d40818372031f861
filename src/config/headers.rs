//! Headers that the operator adds to each request.

use std::{ffi::OsString, fmt};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

use super::{problem::Problem, reader::Reader, variables::PERSEUS_HEADERS};

/// Headers that the function or the HTTP client sets.
const RESERVED: &[&str] = &[
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "traceparent",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-amzn-trace-id",
];

const HEADERS_ALLOWED: &str = "a JSON object of header names and values; none that the function sets itself, \
                               none twice, values of visible ASCII characters and spaces between them";

impl<F: Fn(&str) -> Option<OsString>> Reader<F> {
    /// The headers. Those that other settings `set` are refused too.
    pub(super) fn headers(&mut self, set: &[&'static str]) -> Option<HeaderMap> {
        let parse = |value: &str| headers(value, set);
        self.read_optional_secret(&PERSEUS_HEADERS, HEADERS_ALLOWED, parse).map(Option::unwrap_or_default)
    }
}

fn headers(value: &str, set: &[&'static str]) -> Result<HeaderMap, Problem> {
    // serde's error is dropped: it quotes the value.
    let Pairs(pairs) = serde_json::from_str(value).map_err(|_| Problem::NotHeaders)?;
    let mut headers = HeaderMap::new();
    for (place, (name, value)) in (1..).zip(pairs) {
        // The name is not shown: somebody may put the value there.
        let name = HeaderName::try_from(name).map_err(|_| Problem::NotAHeaderName { place })?;
        if let Some(reserved) = RESERVED.iter().chain(set).find(|reserved| name == **reserved) {
            return Err(Problem::ReservedHeader { name: reserved });
        }
        let value = header(&value).ok_or(Problem::NotAHeaderValue { place })?;
        if headers.insert(name, value).is_some() {
            return Err(Problem::RepeatedHeader { place });
        }
    }
    Ok(headers)
}

fn header(value: &str) -> Option<HeaderValue> {
    let is_plain = |b: u8| b.is_ascii_graphic() || b == b' ';
    let is_value = !value.is_empty() && value.trim() == value && value.bytes().all(is_plain);
    let mut header = is_value.then(|| HeaderValue::from_str(value).ok())??;
    header.set_sensitive(true);
    Some(header)
}

/// The fields of an object, including repeated ones: a map would keep one of them and hide the mistake.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = fields.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, testing};

    fn read(headers: &str, token: &str) -> Result<Config, String> {
        let config = testing::read(&[("PERSEUS_HEADERS", headers), ("PERSEUS_TOKEN", token)]);
        config.map_err(|error| error.to_string())
    }

    #[test]
    fn headers_are_accepted_and_never_shown() {
        let config = read(r#"{"X-Api-Key":"hunter2","x-tenant":"a, b"}"#, "t").unwrap();
        assert_eq!(config.headers["x-api-key"], "hunter2");
        assert_eq!(config.headers["x-tenant"], "a, b");
        assert!(!format!("{config:?}").contains("hunter2"));
        for none in ["", "{}"] {
            assert!(read(none, "").unwrap().headers.is_empty());
        }
    }

    #[test]
    fn a_malformed_header_is_refused_and_not_shown() {
        for headers in [
            "hunter2",
            "[]",
            r#"["hunter2"]"#,
            r#"{"x-api-key":"hunter2""#,
            r#"{"x-api-key":{"hunter2":1}}"#,
            r#"{"x-api-key":7}"#,
            r#"{"hunter2 x":"y"}"#,
            r#"{"":"hunter2"}"#,
            r#"{"x-api-key":""}"#,
            r#"{"x-api-key":"hunter2\n"}"#,
            r#"{"x-api-key":" hunter2"}"#,
            r#"{"x-api-key":"hünter2"}"#,
            r#"{"x-api-key":"a","x-api-key":"hunter2"}"#,
            r#"{"x-api-key":"a","X-API-Key":"hunter2"}"#,
        ] {
            let error = read(headers, "").expect_err(headers);
            assert!(error.starts_with("1 problem") && error.contains("PERSEUS_HEADERS: "), "{error}");
            assert!(!error.contains("nter2"), "{error}");
        }
    }

    #[test]
    fn headers_that_the_function_sets_are_refused() {
        for name in RESERVED {
            let error = read(&format!(r#"{{"{}":"hunter2"}}"#, name.to_uppercase()), "").unwrap_err();
            assert!(error.contains(&format!("has {name}, which")) && !error.contains("hunter2"), "{error}");
        }
        let basic = r#"{"Authorization":"Basic aHVudGVyMg=="}"#;
        assert_eq!(read(basic, "").unwrap().headers["authorization"], "Basic aHVudGVyMg==");
        assert!(read(basic, "token").unwrap_err().contains("has authorization, which"));
    }

    #[test]
    fn headers_of_a_signature_are_refused_if_requests_are_signed() {
        for name in ["authorization", "x-amz-date", "X-Amz-Security-Token", "x-amz-content-sha256"] {
            let headers = format!(r#"{{"{name}":"hunter2"}}"#);
            let signed = [("PERSEUS_HEADERS", headers.as_str()), ("PERSEUS_SIGV4", "lambda")];
            let error = testing::read(&[&testing::ROLE[..], &signed].concat()).unwrap_err().to_string();
            assert!(error.contains(&format!("has {}, which", name.to_lowercase())), "{error}");
            assert!(read(&headers, "").is_ok());
        }
    }
}
