//! Signs requests to Perseus as AWS' services want it, with the keys of the function's role.

use std::time::SystemTime;

use reqwest::{
    Url,
    header::{HeaderMap, HeaderName},
};

use crate::{
    aws::{
        client::host,
        date::timestamp,
        sigv4::{self, Scope, UNSIGNED_PAYLOAD, authorization},
    },
    batch::request::Request,
    value::{aws::SigningSettings, text::sensitive},
};

/// The service that demands that the body is not signed
/// (<https://docs.aws.amazon.com/vpc-lattice/latest/ug/sigv4-authenticated-requests.html>).
const VPC_LATTICE: &str = "vpc-lattice-svcs";

/// Signs requests to Perseus.
#[derive(Debug)]
pub(super) struct Signer(SigningSettings);

impl Signer {
    pub(super) fn new(settings: SigningSettings) -> Self {
        Signer(settings)
    }

    pub(super) fn signs_bodies(&self) -> bool {
        self.0.service != VPC_LATTICE
    }

    /// The headers that sign this request for some minutes from now.
    pub(super) fn headers(&self, url: &Url, request: &Request) -> HeaderMap {
        let SigningSettings { service, signer } = &self.0;
        #[expect(clippy::disallowed_methods, reason = "a signature is valid for minutes of the wall clock")]
        let timestamp = timestamp(SystemTime::now());
        let payload_hash = request.payload_hash.as_deref().unwrap_or(UNSIGNED_PAYLOAD);
        let mut headers = vec![("x-amz-content-sha256", payload_hash), ("x-amz-date", &timestamp)];
        let session_token = signer.credentials.session_token.as_deref();
        headers.extend(session_token.map(|token| ("x-amz-security-token", token)));
        let host = host(url);
        let content_type = request.content_type.to_str().expect("the function's own content types are text");
        let signed = [&headers[..], &[("content-type", content_type), ("host", &host)]].concat();
        let scope = Scope { region: &signer.region, service, timestamp: &timestamp };
        let what = sigv4::Request {
            method: "POST",
            path: url.path(),
            query: url.query().unwrap_or_default(),
            headers: &signed,
            payload_hash,
        };
        let authorization = authorization(&signer.credentials, scope, what);
        headers.push(("authorization", &authorization));
        headers.into_iter().map(|(name, value)| (HeaderName::from_static(name), sensitive(value))).collect()
    }
}
