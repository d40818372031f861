//! Requests to the stand-in, as the contract wants them, and changed.

use lab::perseus::Perseus;
use reqwest::{
    Client, ClientBuilder, RequestBuilder,
    header::{HeaderMap, HeaderValue},
    redirect,
};
use serde_json::{Value, json};

/// A client without TLS. In the workspace, reqwest may have its TLS feature on.
pub(crate) fn builder() -> ClientBuilder {
    // The second test of a process finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy()
}

fn client() -> Client {
    builder().redirect(redirect::Policy::none()).build().expect("a client")
}

/// A request as the contract wants it.
pub(crate) fn request(perseus: &Perseus, key: &str, body: &str) -> RequestBuilder {
    client()
        .post(perseus.url())
        .header("content-type", "application/json")
        .header("user-agent", "perseus-forwarder/0.2.0")
        .header("idempotency-key", key)
        .body(body.to_owned())
}

pub(crate) fn records(ids: &[&str]) -> String {
    let records: Vec<Value> = ids.iter().map(|id| json!({ "messageId": id, "body": { "a": 1 } })).collect();
    json!({ "records": records }).to_string()
}

pub(crate) fn replace(request: RequestBuilder, name: &'static str, value: &'static str) -> RequestBuilder {
    with_headers(request, |headers| {
        headers.insert(name, HeaderValue::from_static(value));
    })
}

pub(crate) fn remove(request: RequestBuilder, name: &str) -> RequestBuilder {
    with_headers(request, |headers| {
        headers.remove(name);
    })
}

fn with_headers(request: RequestBuilder, change: impl FnOnce(&mut HeaderMap)) -> RequestBuilder {
    let (client, request) = request.build_split();
    let mut request = request.expect("a request");
    change(request.headers_mut());
    RequestBuilder::from_parts(client, request)
}
