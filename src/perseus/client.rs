//! The HTTP client for Perseus. It lives as long as the process, and each call is one attempt.

use std::{
    cell::Cell,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use futures_util::FutureExt;
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{
        ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
    },
};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    batch::request::Request,
    config::Config,
    http::{NAME_AND_VERSION, authority, read_at_most},
    perseus::{
        auth::Identity,
        clients::{CONNECTS, ClientSettings, Clients, Connection, UNACKNOWLEDGED},
        failure::{Failure, LONGEST_REPLY, is_unacknowledged},
        retry_after::retry_after,
        signature::Signer,
        tunnel,
    },
    telemetry::trace::TraceContext,
    value::{client_certificate::ClientCertificate, credential::Source},
};

/// How much of a refusal is read, and for how long. The status decides; the body is only for the log.
const LONGEST_REFUSAL: usize = 4 << 10;
const REFUSAL_PATIENCE: Duration = Duration::from_millis(250);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const AMAZON_TRACE: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// A client for one Perseus server.
#[derive(Debug)]
pub(crate) struct Perseus {
    settings: Arc<ClientSettings>,
    /// Those with the client certificate that was used last.
    clients: Mutex<Arc<Clients>>,
    url: Url,
    request_timeout: Duration,
    signer: Option<Signer>,
    /// Whether the server is known to be slow to read. [`UNACKNOWLEDGED`] does not apply to it then.
    is_slow_reader: AtomicBool,
}

/// A reply to an attempt.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The status code.
    pub status: StatusCode,
    /// How long Perseus asks to wait (`Retry-After`).
    pub retry_after: Option<Duration>,
    /// Whether the content type is HTML.
    pub is_html: bool,
    /// The whole body of a success; the beginning of any other.
    pub body: Vec<u8>,
}

impl Perseus {
    /// A client for the server that `config` names. It does not connect yet.
    ///
    /// # Errors
    ///
    /// If TLS cannot be set up.
    pub(crate) fn new(config: &Config) -> Result<Self, reqwest::Error> {
        let settings = Arc::new(ClientSettings {
            headers: headers(&config.headers),
            authorities: config.authorities.clone(),
            proxy: config.proxy.clone(),
            max_in_flight: config.max_in_flight,
        });
        let certificate = match &config.client_certificate {
            Source::Set(certificate) => Some(certificate.clone()),
            Source::Nowhere | Source::Store(_) => None,
        };
        let clients = Clients::new(Arc::clone(&settings), certificate);
        // The clients with a certificate from a store are built when it is known.
        if !matches!(config.client_certificate, Source::Store(_)) {
            clients.get(Connection::Any, false)?;
        }
        Ok(Perseus {
            settings,
            clients: Mutex::new(Arc::new(clients)),
            url: config.url.clone(),
            request_timeout: config.request_timeout,
            signer: config.signing.clone().map(Signer::new),
            is_slow_reader: AtomicBool::new(false),
        })
    }

    /// Whether a request needs the hash of its body.
    pub(crate) fn signs_bodies(&self) -> bool {
        self.signer.as_ref().is_some_and(Signer::signs_bodies)
    }

    /// Posts a request once. Ends at `cutoff` at the latest.
    ///
    /// # Errors
    ///
    /// If there is no reply, or it cannot be read.
    pub(crate) async fn attempt(
        &self,
        request: Request,
        identity: &Identity,
        trace: &TraceContext,
        connection: Connection,
        cutoff: Instant,
    ) -> Result<Reply, Failure> {
        let is_patient = self.is_slow_reader.load(Relaxed);
        let clients = self.clients(identity.certificate.as_ref());
        let client = clients.get(connection, is_patient).map_err(Failure::Connect)?;
        let until = cutoff.min(Instant::now() + self.request_timeout);
        let exchange = CONNECTS.scope(Cell::new(false), async {
            match self.post(client, request, identity.authorization.as_ref(), trace).await {
                Ok(response) => read(response).await,
                Err(error) if error.is_connect() => Err(self.no_connection(&clients, error).await),
                Err(error) => Err(Failure::Lost { pooled: !CONNECTS.with(Cell::get), error }),
            }
        });
        let result = timeout_at(until, exchange).await.unwrap_or(Err(Failure::Timeout));
        self.note_slow_reader(&result, is_patient, until).await;
        result
    }

    /// The clients with this client certificate. They are built anew if it has changed: a connection, and a TLS session that
    /// could be resumed, belong to the certificate with which they began.
    fn clients(&self, certificate: Option<&ClientCertificate>) -> Arc<Clients> {
        // Ignores poisoning: no holder of the lock leaves it half-changed.
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if !clients.send(certificate) {
            *clients = Arc::new(Clients::new(Arc::clone(&self.settings), certificate.cloned()));
        }
        Arc::clone(&clients)
    }

    /// Why there is no connection. The proxy is asked if it was the one that refused.
    async fn no_connection(&self, clients: &Clients, error: reqwest::Error) -> Failure {
        match &self.settings.proxy {
            Some(proxy) if tunnel::is_refused(&error) => {
                // Boxed: it is rare, and its type is deep.
                let asking = tunnel::refusal(proxy, &self.url, clients.tls()).boxed();
                let status = asking.await;
                status.map_or(Failure::Connect(error), Failure::Tunnel)
            }
            _ => Failure::Connect(error),
        }
    }

    /// Updates `is_slow_reader` after an attempt. See [`UNACKNOWLEDGED`].
    async fn note_slow_reader(&self, result: &Result<Reply, Failure>, was_patient: bool, until: Instant) {
        if was_patient && matches!(result, Err(Failure::Timeout | Failure::Connect(_))) {
            self.is_slow_reader.store(false, Relaxed);
        }
        if let Err(Failure::Lost { pooled: false, error }) = result
            && is_unacknowledged(error)
            && timeout_at(until, self.accepts()).await.unwrap_or(false)
        {
            self.is_slow_reader.store(true, Relaxed);
        }
    }

    /// Whether the server, or the proxy before it, accepts a new TCP connection.
    async fn accepts(&self) -> bool {
        let address = authority(self.settings.proxy.as_ref().map_or(&self.url, |proxy| &proxy.url));
        timeout(UNACKNOWLEDGED, TcpStream::connect(address)).await.is_ok_and(|connected| connected.is_ok())
    }

    async fn post(
        &self,
        client: &Client,
        request: Request,
        authorization: Option<&HeaderValue>,
        trace: &TraceContext,
    ) -> Result<Response, reqwest::Error> {
        let signature = self.signer.as_ref().map(|signer| signer.headers(&self.url, &request));
        let mut post = client
            .post(self.url.clone())
            .headers(signature.unwrap_or_default())
            .header(CONTENT_TYPE, request.content_type)
            .header(IDEMPOTENCY_KEY, request.idempotency_key)
            .body(request.body);
        for (name, value) in [
            (AUTHORIZATION, authorization),
            (CONTENT_ENCODING, request.content_encoding.as_ref()),
            (AMAZON_TRACE, trace.amazon.as_ref()),
            (TRACEPARENT, trace.w3c.as_ref()),
        ] {
            if let Some(value) = value {
                post = post.header(name, value);
            }
        }
        post.send().await
    }
}

fn headers(set: &HeaderMap) -> HeaderMap {
    let mut headers = set.clone();
    headers.insert(USER_AGENT, HeaderValue::from_static(NAME_AND_VERSION));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers
}

async fn read(response: Response) -> Result<Reply, Failure> {
    let status = response.status();
    #[expect(clippy::disallowed_methods, reason = "a Retry-After may be a date")]
    let retry_after = retry_after(status, response.headers(), SystemTime::now());
    let is_html = is_html(response.headers());
    let body = if status.is_success() { whole(response).await? } else { beginning(response).await };
    Ok(Reply { status, retry_after, is_html, body })
}

fn is_html(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/html")
}

/// The whole body of a success. Every byte matters: it may name records that were not accepted.
async fn whole(response: Response) -> Result<Vec<u8>, Failure> {
    if response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(Failure::Compressed);
    }
    let body = read_at_most(response, LONGEST_REPLY).await.map_err(|_| Failure::CutShort)?;
    body.ok_or(Failure::TooLong)
}

/// The beginning of a refusal's body, for the log. If the body ends there, the connection can be reused.
async fn beginning(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    let reading = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_REFUSAL {
                break;
            }
        }
    };
    // After a time-out `body` has what came in time.
    let _ = timeout(REFUSAL_PATIENCE, reading).await;
    body
}
