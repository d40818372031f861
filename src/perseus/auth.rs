//! Authentication of one invocation: the token, and one renewal of it.

use reqwest::header::HeaderValue;
use tokio::{sync::OnceCell, time::Instant};

use crate::{
    perseus::token::Token,
    telemetry::messages::{self, log_line},
};

/// The token as one invocation uses it. If Perseus refuses the token, it is read from its store again, once per
/// invocation, even if the refusal meets many batches.
#[derive(Debug)]
pub(crate) struct Authentication<'a> {
    token: &'a Token,
    request_id: &'a str,
    renewal: OnceCell<()>,
}

impl<'a> Authentication<'a> {
    /// The authentication of the invocation with this id.
    pub(crate) fn new(token: &'a Token, request_id: &'a str) -> Self {
        Authentication { token, request_id, renewal: OnceCell::new() }
    }

    /// Whether requests can be sent: the token is known, or none is configured. Logs why if not.
    pub(crate) async fn is_given(&self, cutoff: Instant) -> bool {
        let known = self.token.make_known(cutoff).await;
        if let Err(missing) = &known {
            log_line!(
                messages::NO_TOKEN,
                requestId = self.request_id,
                reason = missing.to_string(),
                lookAt = self.token.variable()
            );
        }
        known.is_ok()
    }

    /// The `authorization` header for a request, if there is one.
    pub(crate) async fn header(&self) -> Option<HeaderValue> {
        self.token.header().await
    }

    /// The current `authorization` header and the one before it. No word of them may be logged.
    pub(crate) fn headers(&self) -> Vec<HeaderValue> {
        self.token.headers()
    }

    /// Call this when Perseus refuses a header. Returns whether another header is known now.
    pub(crate) async fn is_renewed(&self, refused: Option<&HeaderValue>, cutoff: Instant) -> bool {
        self.renewal.get_or_init(|| self.renew(refused, cutoff)).await;
        // No `.await` here: waiting batches must not continue before the refusal is logged.
        !self.token.is_newest(refused)
    }

    async fn renew(&self, refused: Option<&HeaderValue>, cutoff: Instant) {
        let (request_id, look_at) = (self.request_id, self.token.variable());
        match self.token.renew(refused, cutoff).await {
            Err(missing) => log_line!(
                messages::TOKEN_NOT_RENEWED,
                requestId = request_id,
                reason = missing.to_string(),
                lookAt = look_at
            ),
            Ok(()) if !self.token.is_newest(refused) => {
                log_line!(messages::TOKEN_RENEWED, requestId = request_id, lookAt = look_at);
            }
            Ok(()) => {}
        }
    }
}
