//! How one invocation comes by the right to post to Perseus.

use reqwest::header::HeaderValue;
use tokio::{sync::OnceCell, time::Instant};
use tracing::{error, info, warn};

use crate::perseus::token::Token;

/// The token as one invocation uses it: what Perseus refuses is read from its store once more, and not more
/// often, however many batches meet that.
#[derive(Debug)]
pub struct Authentication<'a> {
    token: &'a Token,
    request_id: &'a str,
    renewal: OnceCell<()>,
}

impl<'a> Authentication<'a> {
    /// The access of the invocation with this id.
    pub fn new(token: &'a Token, request_id: &'a str) -> Self {
        Authentication { token, request_id, renewal: OnceCell::new() }
    }

    /// Whether there is a token, or need not be one. If there is none, this says why.
    pub async fn is_given(&self, cutoff: Instant) -> bool {
        let known = self.token.make_known(cutoff).await;
        if let Err(missing) = &known {
            error!(
                requestId = self.request_id,
                reason = missing.to_string(),
                lookAt = self.token.variable(),
                "there is no token for Perseus; nothing is sent in this invocation"
            );
        }
        known.is_ok()
    }

    /// The `authorization` header that a request carries, if any.
    pub async fn header(&self) -> Option<HeaderValue> {
        self.token.header().await
    }

    /// Every header that requests carry or carried lately: none of their words may be logged.
    pub fn headers(&self) -> Vec<HeaderValue> {
        self.token.headers()
    }

    /// After a refusal of this header: whether there is another one.
    pub async fn is_renewed(&self, refused: Option<&HeaderValue>, cutoff: Instant) -> bool {
        self.renewal.get_or_init(|| self.renew(refused, cutoff)).await;
        // Without a pause in between: no batch that waits for this may go on before its refusal is told.
        !self.token.is_newest(refused)
    }

    async fn renew(&self, refused: Option<&HeaderValue>, cutoff: Instant) {
        let (request_id, look_at) = (self.request_id, self.token.variable());
        match self.token.renew(refused, cutoff).await {
            Err(missing) => warn!(
                requestId = request_id,
                reason = missing.to_string(),
                lookAt = look_at,
                "the token was refused, and could not be read again"
            ),
            Ok(()) if !self.token.is_newest(refused) => {
                info!(
                    requestId = request_id,
                    lookAt = look_at,
                    "the token was refused; there is another one"
                );
            }
            Ok(()) => {}
        }
    }
}
