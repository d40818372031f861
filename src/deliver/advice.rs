//! The error lines that say where to look. Each is logged once in an invocation.

use std::sync::atomic::Ordering::Relaxed;

use reqwest::header::HeaderValue;

use crate::{
    deliver::{answer::HTML_PAGE, context::DeliveryContext, outstanding::Outstanding},
    perseus::{client::Reply, reply::WITHOUT_FAILURES, status::Misconfigured},
    telemetry::{
        messages::{self, log_line},
        reasons,
    },
    value::{format::Ack, proxy::Proxy},
};

impl DeliveryContext<'_> {
    /// The set-up is wrong: ends all sending in this invocation.
    pub(super) fn stop_misconfigured(&self, misconfigured: Misconfigured, said: &str) {
        if self.stop.set(reasons::SET_UP_WRONG) {
            log_line!(
                messages::SET_UP_WRONG,
                requestId = self.request_id,
                status = misconfigured.status(),
                reply = said,
                lookAt = misconfigured.look_at(&self.config.credentials(), self.config.certificate())
            );
        }
    }

    /// A reply shows that the server is not Perseus.
    pub(super) fn advise_not_perseus(&self, status: u16, what: &str) {
        let look_at = match what {
            HTML_PAGE => "PERSEUS_URL (what answers there is a sign-in page, a gateway or a web server)",
            WITHOUT_FAILURES if self.config.ack == Ack::Body => {
                "PERSEUS_URL (does Perseus answer there?), and PERSEUS_ACK, which asks for batchItemFailures in each reply"
            }
            _ => return,
        };
        if !self.advice.not_perseus.swap(true, Relaxed) {
            log_line!(
                messages::NOT_PERSEUS,
                requestId = self.request_id,
                status,
                reason = what,
                lookAt = look_at
            );
        }
    }

    /// Perseus, or a server in front of it that answers with an HTML page, refuses everything.
    pub(super) fn advise_refuses_all(&self, status: u16, reason: &str, is_page: bool) {
        let look_at = match status {
            _ if is_page => {
                "PERSEUS_URL (a proxy or web server answers with a page of HTML, before Perseus has seen anything)"
            }
            413 => "BATCH_MAX_BYTES, and the largest body that Perseus and the proxies before it take",
            _ => {
                "what Perseus expects (a new version or schema?), BATCH_FORMAT, PERSEUS_COMPRESSION and PERSEUS_HEADERS"
            }
        };
        if !self.advice.refuses_all.swap(true, Relaxed) {
            log_line!(
                messages::REFUSES_EVERYTHING,
                requestId = self.request_id,
                status,
                reason,
                lookAt = look_at
            );
        }
    }

    /// The beginning of a refusal, without secrets and without what it repeats of the records.
    pub(super) fn excerpt(&self, reply: &Reply, outstanding: &Outstanding<'_>) -> String {
        let mut sent = self.authentication.headers();
        let proxy = self.config.proxy.as_ref();
        sent.extend(proxy.and_then(Proxy::authorization));
        let headers = sent.iter().chain(self.config.headers.values()).map(HeaderValue::as_bytes);
        let query = self.config.url.query().unwrap_or_default().as_bytes();
        let user_info = proxy.and_then(|proxy| proxy.user_info.as_deref()).unwrap_or_default().as_bytes();
        // AWS' refusals may quote what was signed.
        let keys = self.config.signing.iter().flat_map(|signing| signing.signer.credentials.texts());
        let secrets = headers.chain([query, user_info]).chain(keys.map(str::as_bytes));
        outstanding.excerpt(&reply.body, &secrets.collect::<Vec<_>>())
    }
}
