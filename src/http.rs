//! What every HTTP client of the function shares.

use std::{error, sync::Arc, time::Duration};

use reqwest::{Client, ClientBuilder, Response, redirect};
use rustls::{ClientConfig, RootCertStore, pki_types::TrustAnchor};

/// How long a connection may be unused and still be trusted. While an environment is frozen nobody
/// answers keep-alives, and load balancers forget connections without a word.
pub(crate) const POOL_IDLE: Duration = Duration::from_secs(8);

/// The `user-agent` of all requests.
pub(crate) const NAME_AND_VERSION: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// The innermost error: the outer ones only say that there is one, and can name the URL.
pub(crate) fn root_cause(error: &reqwest::Error) -> &(dyn error::Error + 'static) {
    let mut cause: &(dyn error::Error + 'static) = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}

/// A client as every part of the function needs it: no redirects (a 302 turns a POST into a GET whose
/// 200 would be silent loss), no proxy from the environment, no decompression.
pub(crate) fn client_builder() -> ClientBuilder {
    trusting(&[])
}

/// Likewise, for a server that these may vouch for besides the public certificate authorities.
pub(crate) fn trusting(authorities: &[TrustAnchor<'static>]) -> ClientBuilder {
    let roots = RootCertStore { roots: [webpki_roots::TLS_SERVER_ROOTS, authorities].concat() };
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
}

/// The whole body, unless it is longer than `most` bytes.
pub(crate) async fn read_at_most(
    mut response: Response,
    most: usize,
) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > most {
            return Ok(None);
        }
    }
    Ok(Some(body))
}
