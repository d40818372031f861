//! The HTTP client for Perseus. It lives as long as the process, and each call is one attempt.

use std::{
    cell::Cell,
    io,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use reqwest::{
    Client, Response, StatusCode, Url,
    header::{
        ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
    },
};
use rustls::pki_types::TrustAnchor;
use thiserror::Error;
use tokio::{
    net::TcpStream,
    task_local,
    time::{Instant, timeout, timeout_at},
};
use tower::util::MapRequestLayer;

use crate::{
    batch::request::Request,
    config::Config,
    http::{NAME_AND_VERSION, POOL_IDLE, read_at_most, root_cause, trusting},
    perseus::{hint::hint, retry_after::retry_after},
    telemetry::trace::TraceContext,
};

/// The longest reply of a success that is read. A reply that names 10,000 records takes about 800 kB.
const LONGEST_REPLY: usize = 1 << 20;

/// How much of a refusal is read, and for how long. The status decides; the body is only for the log.
const LONGEST_REFUSAL: usize = 4 << 10;
const REFUSAL_PATIENCE: Duration = Duration::from_millis(250);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const AMAZON_TRACE: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// How long sent data may stay unacknowledged by the peer's kernel before the connection is given up.
///
/// A peer can vanish silently, for example behind a gateway that forgot the connection. This limit notices it before
/// `REQUEST_TIMEOUT` ends, while there is time for a retry.
///
/// Linux applies the same limit to a full receive window (tcp(7), `TCP_USER_TIMEOUT`), but a full window only means that
/// the server is slow to read. So the limit is switched off for the process when it ends a new connection although the
/// server still accepts connections. It is switched on again after a `REQUEST_TIMEOUT` or a failed connection.
const UNACKNOWLEDGED: Duration = Duration::from_secs(3);

/// Which connection an attempt uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connection {
    /// One from the pool, or a new one if there is none.
    Any,
    /// A new one. Pooled connections may have died while the environment was frozen.
    New,
}

/// A client for one Perseus server.
#[derive(Debug)]
pub(crate) struct Perseus {
    clients: Clients,
    url: Url,
    request_timeout: Duration,
    /// Whether the server is known to be slow to read. [`UNACKNOWLEDGED`] does not apply to it then.
    is_slow_reader: AtomicBool,
}

/// The HTTP clients. They send the same headers and trust the same authorities. The first is built at once; the others
/// are rarely needed and built on first use.
#[derive(Debug)]
struct Clients {
    headers: HeaderMap,
    authorities: Vec<TrustAnchor<'static>>,
    max_in_flight: usize,
    /// First index: [`Connection`]. Second index: whether the limit [`UNACKNOWLEDGED`] is off.
    made: [[OnceLock<Client>; 2]; 2],
}

task_local! {
    /// Whether the current attempt opened a new connection. The client connects inside the attempt's own future, so a
    /// task-local value sees it.
    static CONNECTS: Cell<bool>;
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

/// Why an attempt has no readable reply. It is unknown whether Perseus took the records.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// No reply came in time.
    #[error("timed out")]
    Timeout,
    /// No connection could be made.
    #[error("no connection ({})", Advised(.0))]
    Connect(#[source] reqwest::Error),
    /// The connection was lost before a reply came.
    #[error("connection lost ({})", Advised(.error))]
    Lost {
        /// Whether the connection came from the pool. It may have been dead for a long time.
        pooled: bool,
        /// How it was lost.
        #[source]
        error: reqwest::Error,
    },
    /// The connection ended before the reply did.
    #[error("a reply cut short")]
    CutShort,
    /// The reply is longer than [`LONGEST_REPLY`].
    #[error("a reply over 1 MiB")]
    TooLong,
    /// The reply is compressed, although the request did not allow it.
    #[error("a compressed reply")]
    Compressed,
}

/// Displays the root cause of an error, with a [`hint`] if there is one.
struct Advised<'a>(&'a reqwest::Error);

impl std::fmt::Display for Advised<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", root_cause(self.0))?;
        hint(self.0).map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl Perseus {
    /// A client for the server that `config` names. It does not connect yet.
    ///
    /// # Errors
    ///
    /// If TLS cannot be set up.
    pub(crate) fn new(config: &Config) -> Result<Self, reqwest::Error> {
        let clients = Clients {
            headers: headers(&config.headers),
            authorities: config.authorities.clone(),
            max_in_flight: config.max_in_flight,
            made: Default::default(),
        };
        clients.get(Connection::Any, false)?;
        Ok(Perseus {
            clients,
            url: config.url.clone(),
            request_timeout: config.request_timeout,
            is_slow_reader: AtomicBool::new(false),
        })
    }

    /// Posts a request once. Ends at `cutoff` at the latest.
    ///
    /// # Errors
    ///
    /// If there is no reply, or it cannot be read.
    pub(crate) async fn attempt(
        &self,
        request: Request,
        authorization: Option<&HeaderValue>,
        trace: &TraceContext,
        connection: Connection,
        cutoff: Instant,
    ) -> Result<Reply, Failure> {
        let is_patient = self.is_slow_reader.load(Relaxed);
        let client = self.clients.get(connection, is_patient).map_err(Failure::Connect)?;
        let until = cutoff.min(Instant::now() + self.request_timeout);
        let exchange = CONNECTS.scope(Cell::new(false), async {
            match self.post(client, request, authorization, trace).await {
                Ok(response) => read(response).await,
                Err(error) if error.is_connect() => Err(Failure::Connect(error)),
                Err(error) => Err(Failure::Lost { pooled: !CONNECTS.with(Cell::get), error }),
            }
        });
        let result = timeout_at(until, exchange).await.unwrap_or(Err(Failure::Timeout));
        self.note_slow_reader(&result, is_patient, until).await;
        result
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

    /// Whether the server accepts a new TCP connection.
    async fn accepts(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default();
        let address = format!("{host}:{}", self.url.port_or_known_default().unwrap_or_default());
        timeout(UNACKNOWLEDGED, TcpStream::connect(address)).await.is_ok_and(|connected| connected.is_ok())
    }

    async fn post(
        &self,
        client: &Client,
        request: Request,
        authorization: Option<&HeaderValue>,
        trace: &TraceContext,
    ) -> Result<Response, reqwest::Error> {
        let mut post = client
            .post(self.url.clone())
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

impl Clients {
    /// The client for this kind of connection. A patient client has no limit [`UNACKNOWLEDGED`].
    fn get(&self, connection: Connection, is_patient: bool) -> Result<&Client, reqwest::Error> {
        let made = &self.made[usize::from(connection == Connection::New)][usize::from(is_patient)];
        if let Some(client) = made.get() {
            return Ok(client);
        }
        let client = self.make(connection, is_patient)?;
        Ok(made.get_or_init(|| client))
    }

    fn make(&self, connection: Connection, is_patient: bool) -> Result<Client, reqwest::Error> {
        let most_idle = match connection {
            Connection::Any => self.max_in_flight,
            Connection::New => 0,
        };
        let builder = trusting(&self.authorities)
            .default_headers(self.headers.clone())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(most_idle)
            .connector_layer(MapRequestLayer::new(|destination| {
                // Fails when the connection outlives the attempt that opened it.
                let _ = CONNECTS.try_with(|connects| connects.set(true));
                destination
            }));
        #[cfg(target_os = "linux")]
        let builder = builder.tcp_user_timeout((!is_patient).then_some(UNACKNOWLEDGED));
        builder.build()
    }
}

/// Whether a connection was given up because sent data stayed unacknowledged.
fn is_unacknowledged(error: &reqwest::Error) -> bool {
    let cause = root_cause(error).downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
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

#[cfg(test)]
mod tests {
    use std::{error::Error as _, iter::successors};

    use super::*;
    use crate::http::client_builder;

    fn reqwest_error() -> reqwest::Error {
        client_builder().build().unwrap().get("no URL").build().unwrap_err()
    }

    /// One failure of each kind: the compiler asks for new ones.
    fn each() -> impl Iterator<Item = Failure> {
        successors(Some(Failure::Timeout), |failure| match failure {
            Failure::Timeout => Some(Failure::Connect(reqwest_error())),
            Failure::Connect(_) => Some(Failure::Lost { pooled: false, error: reqwest_error() }),
            Failure::Lost { .. } => Some(Failure::CutShort),
            Failure::CutShort => Some(Failure::TooLong),
            Failure::TooLong => Some(Failure::Compressed),
            Failure::Compressed => None,
        })
    }

    #[test]
    fn each_failure_is_explained_in_the_documents() {
        let page = include_str!("../../docs/log-lines.md");
        for failure in each() {
            let reason = failure.to_string().replace(&root_cause(&reqwest_error()).to_string(), "…");
            assert!(page.contains(&format!("`{reason}`")), "docs/log-lines.md does not have `{reason}`");
        }
    }

    #[test]
    fn a_failure_of_the_connection_has_its_source() {
        for failure in each() {
            let is_of_the_connection = matches!(failure, Failure::Connect(_) | Failure::Lost { .. });
            assert_eq!(failure.source().is_some(), is_of_the_connection, "{failure}");
        }
    }
}
