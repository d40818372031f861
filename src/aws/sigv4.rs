//! AWS Signature Version 4
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::{
    digest::{SHA256, digest},
    hmac,
};

use crate::value::aws::Credentials;

/// Stands for the hash of a body that is not signed.
pub(crate) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What is encoded in a query: all but the unreserved characters.
pub(crate) const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What is encoded in a path.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// Where and when a signature is valid.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// The region of the service.
    pub region: &'a str,
    /// The service.
    pub service: &'a str,
    /// The time of the request, see [`timestamp`](crate::aws::date::timestamp).
    pub timestamp: &'a str,
}

/// What is signed of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The path, as it is sent.
    pub path: &'a str,
    /// The query without its question mark, as it is sent.
    pub query: &'a str,
    /// The headers to sign, with names in lower case; `host` and `x-amz-date` must be among them.
    pub headers: &'a [(&'a str, &'a str)],
    /// The [`payload_hash`] of the body, or [`UNSIGNED_PAYLOAD`].
    pub payload_hash: &'a str,
}

/// The `authorization` header of a request. Not for S3, which does not encode the path a second time.
pub(crate) fn authorization(credentials: &Credentials, scope: Scope<'_>, request: Request<'_>) -> String {
    let mut headers = request.headers.to_vec();
    headers.sort_unstable();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let path = utf8_percent_encode(request.path, PATH);
    let mut canonical = format!("{}\n{path}\n{}\n", request.method, canonical_query(request.query));
    for (name, value) in headers {
        writeln!(canonical, "{name}:{}", value.trim()).expect("a string takes any text");
    }
    write!(canonical, "\n{names}\n{}", request.payload_hash).expect("a string takes any text");

    let Scope { region, service, timestamp } = scope;
    let day = timestamp.get(..8).unwrap_or_default();
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let to_sign =
        format!("{ALGORITHM}\n{timestamp}\n{scope}\n{}", hex(digest(&SHA256, canonical.as_bytes())));
    let secret = format!("AWS4{}", credentials.secret_access_key);
    let key = [day, region, service, "aws4_request"]
        .iter()
        .fold(key(secret.as_bytes()), |with, text| key(hmac::sign(&with, text.as_bytes()).as_ref()));
    let signature = hex(hmac::sign(&key, to_sign.as_bytes()));
    let id = &credentials.access_key_id;
    format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
}

/// The hash of a body for its signature.
pub(crate) fn payload_hash(body: &[u8]) -> String {
    hex(digest(&SHA256, body))
}

/// The query's parameters, encoded in one way and sorted.
fn canonical_query(query: &str) -> String {
    let encode = |text| utf8_percent_encode(&percent_decode_str(text).decode_utf8_lossy(), QUERY).to_string();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<_> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(n, v)| (encode(n), encode(v)))
        .collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn key(value: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, value)
}

pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes any text");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

    /// The signature for a request of AWS' test suite
    /// (<https://docs.aws.amazon.com/general/latest/gr/signature-v4-test-suite.html>).
    fn signature(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> String {
        let credentials = Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: None,
        };
        let scope = Scope { region: "us-east-1", service: "service", timestamp: "20150830T123600Z" };
        let mut all = vec![("x-amz-date", "20150830T123600Z"), ("host", "example.amazonaws.com")];
        all.extend_from_slice(headers);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let payload_hash = &payload_hash(body.as_bytes());
        let request = Request { method, path, query, headers: &all, payload_hash };
        let header = authorization(&credentials, scope, request);
        let (start, signature) = header.split_once(", Signature=").unwrap();
        let scope = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, ";
        assert!(start.starts_with(scope), "{start}");
        signature.to_owned()
    }

    #[test]
    fn signatures_match_the_published_test_suite() {
        for (name, headers, body, expected) in [
            ("post-vanilla", &[][..], "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            (
                "post-header-key-sort",
                &[("my-header1", "value1")],
                "",
                "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
            ),
            (
                "post-header-value-case",
                &[("my-header1", "VALUE1")],
                "",
                "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
            ),
            (
                "post-x-www-form-urlencoded",
                &[("content-type", "application/x-www-form-urlencoded")],
                "Param1=value1",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
            (
                "post-sts-header-before",
                &[("x-amz-security-token", TOKEN)],
                "",
                "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
            ),
        ] {
            assert_eq!(signature("POST", "/", headers, body), expected, "{name}");
        }
    }

    #[test]
    fn other_methods_paths_and_queries_match_it_too() {
        for (method, target, expected) in [
            ("POST", "/?Param1=value1", "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
            (
                "GET",
                "/?Param2=value2&Param1=value1",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "GET",
                "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
                "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
            ),
        ] {
            assert_eq!(signature(method, target, &[], ""), expected, "{target}");
        }
    }

    #[test]
    fn a_path_is_encoded_once_more() {
        // From `double-encode-path` and `double-url-encode` of the test suite.
        for (path, canonical) in [
            ("/test/@connections/JBDvjfGEIAMCERw%3D", "/test/%40connections/JBDvjfGEIAMCERw%253D"),
            ("/2015-03-31/functions/arn%3Aaws%3Alambda", "/2015-03-31/functions/arn%253Aaws%253Alambda"),
        ] {
            assert_eq!(utf8_percent_encode(path, PATH).to_string(), canonical);
        }
    }

    #[test]
    fn credentials_are_never_printed() {
        let secret = || "hunter2".to_owned();
        let credentials = Credentials {
            access_key_id: secret(),
            secret_access_key: secret(),
            session_token: Some(secret()),
        };
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
