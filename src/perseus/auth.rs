//! Authentication of one invocation: the token and the client certificate, and one renewal of each.

use reqwest::header::HeaderValue;
use tokio::{sync::OnceCell, time::Instant};

use crate::{
    config::Config,
    perseus::{
        credential::Credential,
        store::{Missing, read_certificate, read_token},
    },
    telemetry::{
        messages::{self, log_line},
        reasons,
    },
    value::client_certificate::ClientCertificate,
};

/// What proves to Perseus who sends. It lives as long as the process.
#[derive(Debug)]
pub(crate) struct Credentials {
    token: Credential<HeaderValue>,
    certificate: Credential<ClientCertificate>,
}

impl Credentials {
    pub(crate) fn new(config: &Config) -> Self {
        Credentials {
            token: Credential::new(config.token.clone(), "PERSEUS_TOKEN", read_token),
            certificate: Credential::new(
                config.client_certificate.clone(),
                "PERSEUS_CLIENT_CERT",
                read_certificate,
            ),
        }
    }
}

/// What one attempt uses of the credentials.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity {
    /// The `authorization` header.
    pub authorization: Option<HeaderValue>,
    /// The client certificate.
    pub certificate: Option<ClientCertificate>,
}

/// The credentials as one invocation uses them. If Perseus refuses one, it is read from its store again, once per
/// invocation, even if the refusal meets many batches.
#[derive(Debug)]
pub(crate) struct Authentication<'a> {
    credentials: &'a Credentials,
    request_id: &'a str,
    token_renewal: OnceCell<()>,
    certificate_renewal: OnceCell<()>,
}

impl<'a> Authentication<'a> {
    /// The authentication of the invocation with this id.
    pub(crate) fn new(credentials: &'a Credentials, request_id: &'a str) -> Self {
        let (token_renewal, certificate_renewal) = (OnceCell::new(), OnceCell::new());
        Authentication { credentials, request_id, token_renewal, certificate_renewal }
    }

    /// Makes sure that requests can be sent: each credential is known, or none is configured.
    ///
    /// # Errors
    ///
    /// The reason why not. It is logged with where to look.
    pub(crate) async fn make_known(&self, cutoff: Instant) -> Result<(), &'static str> {
        let Credentials { token, certificate } = self.credentials;
        token.make_known(cutoff).await.map_err(|missing| {
            log_line!(
                messages::NO_TOKEN,
                requestId = self.request_id,
                reason = missing.to_string(),
                lookAt = token.variable()
            );
            reasons::NO_TOKEN
        })?;
        certificate.make_known(cutoff).await.map_err(|missing| {
            log_line!(
                messages::NO_CERTIFICATE,
                requestId = self.request_id,
                reason = missing.to_string(),
                lookAt = certificate.variable()
            );
            reasons::NO_CERTIFICATE
        })
    }

    /// What an attempt uses that begins now.
    pub(crate) async fn identity(&self) -> Identity {
        Identity {
            authorization: self.credentials.token.current().await,
            certificate: self.credentials.certificate.current().await,
        }
    }

    /// The current `authorization` header and the one before it. No word of them may be logged.
    pub(crate) fn headers(&self) -> Vec<HeaderValue> {
        self.credentials.token.known()
    }

    /// Whether the client certificate is in a store, so that there may be a new one.
    pub(crate) fn has_stored_certificate(&self) -> bool {
        self.credentials.certificate.is_stored()
    }

    /// Whether it was read from there a short time ago, so that a new one is unlikely.
    pub(crate) fn has_fresh_certificate(&self) -> bool {
        self.credentials.certificate.was_asked_lately()
    }

    /// Call this when Perseus refuses the token. Returns whether another one is known now.
    pub(crate) async fn has_new_token(&self, refused: &Identity, cutoff: Instant) -> bool {
        let (token, refused) = (&self.credentials.token, refused.authorization.as_ref());
        let renewing = async { self.log_token(token.renew(refused, cutoff).await, refused) };
        self.token_renewal.get_or_init(|| renewing).await;
        // No `.await` here: waiting batches must not continue before the refusal is logged.
        !token.is_newest(refused)
    }

    /// Call this when Perseus refuses the client certificate. Returns whether another one is known now.
    pub(crate) async fn has_new_certificate(&self, refused: &Identity, cutoff: Instant) -> bool {
        let (certificate, refused) = (&self.credentials.certificate, refused.certificate.as_ref());
        let renewing = async { self.log_certificate(certificate.renew(refused, cutoff).await, refused) };
        self.certificate_renewal.get_or_init(|| renewing).await;
        !certificate.is_newest(refused)
    }

    fn log_token(&self, renewed: Result<(), Missing>, refused: Option<&HeaderValue>) {
        let (token, request_id) = (&self.credentials.token, self.request_id);
        match renewed {
            Err(missing) => log_line!(
                messages::TOKEN_NOT_RENEWED,
                requestId = request_id,
                reason = missing.to_string(),
                lookAt = token.variable()
            ),
            Ok(()) if token.is_newest(refused) => {}
            Ok(()) => {
                log_line!(messages::TOKEN_RENEWED, requestId = request_id, lookAt = token.variable());
            }
        }
    }

    fn log_certificate(&self, renewed: Result<(), Missing>, refused: Option<&ClientCertificate>) {
        let (certificate, request_id) = (&self.credentials.certificate, self.request_id);
        match renewed {
            Err(missing) => log_line!(
                messages::CERTIFICATE_NOT_RENEWED,
                requestId = request_id,
                reason = missing.to_string(),
                lookAt = certificate.variable()
            ),
            Ok(()) if certificate.is_newest(refused) => {}
            Ok(()) => {
                log_line!(
                    messages::CERTIFICATE_RENEWED,
                    requestId = request_id,
                    lookAt = certificate.variable()
                );
            }
        }
    }
}
