//! Requests that are signed with AWS Signature Version 4 (`PERSEUS_SIGV4`). AWS' own signer checks each signature.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4::SigningParams,
};
use lab::perseus::{Perseus, Received, Reply};

use crate::support::*;

const ROLE: [(&str, &str); 4] = [
    ("AWS_REGION", "eu-west-1"),
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
    ("AWS_SESSION_TOKEN", "session/token+with="),
];

/// What the signature should be for.
struct Expected<'a> {
    url: &'a str,
    service: &'a str,
    region: &'a str,
    session_token: Option<&'a str>,
    is_body_signed: bool,
}

/// The headers that AWS' signer makes for this request at this time.
fn signed(request: &Received, expected: &Expected<'_>, time: SystemTime) -> Vec<(String, String)> {
    let token = expected.session_token.map(str::to_owned);
    let identity = Credentials::new(ROLE[1].1, ROLE[2].1, token, None, "test").into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(expected.region)
        .name(expected.service)
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let text = |name: &str| request.headers[name].to_str().unwrap();
    let headers = ["content-type", "x-amz-content-sha256"].map(|name| (name, text(name)));
    let body = match expected.is_body_signed {
        true => SignableBody::Bytes(&request.body),
        false => SignableBody::UnsignedPayload,
    };
    let signable = SignableRequest::new("POST", expected.url, headers.into_iter(), body).unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Asserts that the request has the headers that AWS' signer makes for some second of the last minute.
fn assert_signed(request: &Received, expected: &Expected<'_>) {
    let sent = |name: &str| request.headers.get(name).map(|value| value.to_str().unwrap());
    let date = sent("x-amz-date").expect("x-amz-date");
    let has_date = |headers: &Vec<(String, String)>| headers.iter().any(|(_, value)| value == date);
    #[expect(clippy::disallowed_methods, reason = "the function reads the same clock")]
    let now = SystemTime::now();
    let headers = (0..60).map(|ago| signed(request, expected, now - Duration::from_secs(ago))).find(has_date);
    for (name, value) in headers.expect("a signature of the last minute") {
        assert_eq!(sent(&name), Some(value.as_str()), "{name}");
    }
    assert_eq!(sent("x-amz-security-token"), expected.session_token);
}

#[tokio::test(start_paused = true)]
async fn each_service_gets_the_signature_that_aws_signer_makes() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let url = format!("{}?stage=a%20b&x", perseus.url());
    for (service, compression, is_body_signed) in [
        ("execute-api", "none", true),
        ("lambda", "gzip", true),
        ("osis", "zstd", true),
        ("vpc-lattice-svcs", "none", false),
    ] {
        let settings = [("PERSEUS_SIGV4", service), ("PERSEUS_COMPRESSION", compression)];
        let handler = handler(&url, &[&ROLE[..], &settings].concat());
        assert_eq!(report(&handler, &event("a b")).await, [""; 0], "{service}");
        let request = perseus.received().pop().unwrap();
        let session_token = Some(ROLE[3].1);
        let expected = Expected { url: &url, service, region: "eu-west-1", session_token, is_body_signed };
        assert_signed(&request, &expected);
        let hash = request.headers["x-amz-content-sha256"].to_str().unwrap();
        assert_eq!(hash == "UNSIGNED-PAYLOAD", !is_body_signed, "{service}: {hash}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_region_and_keys_without_a_session_token_can_sign() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let settings =
        [("PERSEUS_SIGV4", "lambda"), ("PERSEUS_SIGV4_REGION", "us-east-1"), ("AWS_SESSION_TOKEN", "")];
    let handler = handler(&perseus.url(), &[&ROLE[..], &settings].concat());
    assert_eq!(report(&handler, &event("a")).await, [""; 0]);
    let url = perseus.url();
    let expected = Expected {
        url: &url,
        service: "lambda",
        region: "us-east-1",
        session_token: None,
        is_body_signed: true,
    };
    assert_signed(&perseus.received()[0], &expected);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_signed_anew_and_the_halves_of_a_split_too() {
    let perseus = Perseus::start(|request| match request.number {
        0 => Reply::status(503),
        1 => Reply::status(400),
        _ => Reply::ok(),
    })
    .await;
    let handler = handler(&perseus.url(), &[&ROLE[..], &[("PERSEUS_SIGV4", "execute-api")]].concat());
    assert_eq!(report(&handler, &event("a b")).await, [""; 0]);
    let requests = perseus.received();
    assert_eq!(requests.len(), 4);
    let url = perseus.url();
    for request in &requests {
        let expected = Expected {
            url: &url,
            service: "execute-api",
            region: "eu-west-1",
            session_token: Some(ROLE[3].1),
            is_body_signed: true,
        };
        assert_signed(request, &expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_body_is_signed_as_a_whole() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let settings = [("PERSEUS_SIGV4", "lambda"), ("BATCH_MAX_BYTES", "6MiB")];
    let handler = handler(&perseus.url(), &[&ROLE[..], &settings].concat());
    let large = event_of([record("a", &"x".repeat(700_000))]);
    assert_eq!(report(&handler, &large).await, [""; 0]);
    let url = perseus.url();
    let expected = Expected {
        url: &url,
        service: "lambda",
        region: "eu-west-1",
        session_token: Some(ROLE[3].1),
        is_body_signed: true,
    };
    assert_signed(&perseus.received()[0], &expected);
}

#[tokio::test(start_paused = true)]
async fn a_refused_signature_ends_all_sending() {
    let perseus = Perseus::start(|_| Reply::status(403)).await;
    let settings = [("PERSEUS_SIGV4", "lambda"), ("BATCH_MAX_RECORDS", "1"), ("MAX_IN_FLIGHT", "1")];
    let handler = handler(&perseus.url(), &[&ROLE[..], &settings].concat());
    assert_eq!(report(&handler, &event("a b")).await, ["a", "b"]);
    assert_eq!(perseus.received().len(), 1);
}
