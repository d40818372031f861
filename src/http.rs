//! What all HTTP clients of the function have in common.

use std::{error, sync::Arc, time::Duration};

use reqwest::{Client, ClientBuilder, Response, Url, redirect};
use rustls::{ClientConfig, RootCertStore, pki_types::TrustAnchor, sign::SingleCertAndKey};

use crate::value::client_certificate::ClientCertificate;

/// How long an unused connection is kept. A frozen environment does not answer keep-alives, and load balancers drop
/// connections without notice.
pub(crate) const POOL_IDLE: Duration = Duration::from_secs(8);

/// The `user-agent` of all requests.
pub(crate) const NAME_AND_VERSION: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// The innermost source of an error. The outer errors have no detail, and may hold the URL, which can be a secret.
pub(crate) fn root_cause(error: &reqwest::Error) -> &(dyn error::Error + 'static) {
    let mut cause: &(dyn error::Error + 'static) = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}

/// A client without redirects, proxies and decompression. A redirect would be silent loss: a 302 turns a POST into a GET,
/// and its 200 would look like an acknowledgement.
pub(crate) fn client_builder() -> ClientBuilder {
    with_tls(tls(&[], None))
}

/// The same client with other settings for TLS.
pub(crate) fn with_tls(tls: ClientConfig) -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
}

/// Settings for TLS that trust these certificate authorities besides the public ones. A server that demands a client
/// certificate is sent this one.
pub(crate) fn tls(
    authorities: &[TrustAnchor<'static>],
    certificate: Option<&ClientCertificate>,
) -> ClientConfig {
    let roots = RootCertStore { roots: [webpki_roots::TLS_SERVER_ROOTS, authorities].concat() };
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .with_root_certificates(roots);
    match certificate {
        Some(certificate) => {
            let always = SingleCertAndKey::from(certificate.certified());
            builder.with_client_cert_resolver(Arc::new(always))
        }
        None => builder.with_no_client_auth(),
    }
}

/// Host and port of a URL.
pub(crate) fn authority(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

/// Reads the whole body; `None` if it is longer than `most` bytes.
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
