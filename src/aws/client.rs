//! The client for AWS APIs: signs requests with the keys of the function's role and sends them.
//!
//! Its HTTP client is built at the first call.

use std::{sync::OnceLock, time::SystemTime};

use bytes::Bytes;
use reqwest::{Client, Method, Response, Url, header::USER_AGENT};

use crate::{
    aws::{
        date::timestamp,
        sigv4::{Request, Scope, authorization, payload_hash},
    },
    http::{NAME_AND_VERSION, POOL_IDLE, client_builder},
    value::{aws::Caller, text::sensitive},
};

/// Calls in flight at once, and connections kept for them.
pub(crate) const AT_ONCE: usize = 8;

/// A call to an AWS API.
#[derive(Debug, Clone)]
pub(crate) struct Call<'a> {
    /// The service that it is signed for.
    pub service: &'a str,
    /// The region that it is signed for.
    pub region: &'a str,
    /// The method.
    pub method: Method,
    /// Where it is sent.
    pub url: Url,
    /// Headers to sign, with names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: Bytes,
}

/// The client for AWS APIs.
#[derive(Debug)]
pub(crate) struct AwsClient {
    caller: Caller,
    client: OnceLock<Client>,
}

impl AwsClient {
    /// A client that signs as `caller`. It does not connect yet.
    pub(crate) fn new(caller: Caller) -> Self {
        AwsClient { caller, client: OnceLock::new() }
    }

    /// Sends a call once.
    pub(crate) async fn send_once(&self, call: &Call<'_>) -> Result<Response, reqwest::Error> {
        let credentials = &self.caller.credentials;
        #[expect(clippy::disallowed_methods, reason = "a signature is valid for minutes of the wall clock")]
        let timestamp = timestamp(SystemTime::now());
        let host = host(&call.url);
        let mut headers = call.headers.to_vec();
        headers.extend([("host", host.as_str()), ("x-amz-date", timestamp.as_str())]);
        headers.extend(credentials.session_token.as_deref().map(|token| ("x-amz-security-token", token)));
        let scope = Scope { region: call.region, service: call.service, timestamp: &timestamp };
        let request = Request {
            method: call.method.as_str(),
            path: call.url.path(),
            query: call.url.query().unwrap_or_default(),
            headers: &headers,
            payload_hash: &payload_hash(&call.body),
        };
        let authorization = authorization(credentials, scope, request);

        let mut send = self.client()?.request(call.method.clone(), call.url.clone()).body(call.body.clone());
        headers.push(("authorization", &authorization));
        for (name, value) in headers.into_iter().filter(|(name, _)| *name != "host") {
            send = send.header(name, sensitive(value));
        }
        send.header(USER_AGENT, NAME_AND_VERSION).send().await
    }

    /// Sends a call that can be repeated: a second time if its connection fails, which may have died while the environment
    /// was frozen.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Response, reqwest::Error> {
        match self.send_once(call).await {
            Err(error) if !error.is_connect() => self.send_once(call).await,
            reply => reply,
        }
    }

    fn client(&self) -> Result<&Client, reqwest::Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = client_builder().pool_idle_timeout(POOL_IDLE).pool_max_idle_per_host(AT_ONCE).build()?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// The `host` header of a request to this URL.
pub(crate) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
