//! Perseus' HTTP side: one client for the life of the process, one attempt at a time.

use std::{
    cell::Cell,
    fmt, io,
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

/// The longest reply that is read for what it says. 10,000 refusals take about 800 kB.
const LONGEST_REPLY: usize = 1 << 20;

/// How much of a refusal is read, and for how long: its status has said what matters.
const LONGEST_REFUSAL: usize = 4 << 10;
const REFUSAL_PATIENCE: Duration = Duration::from_millis(250);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const AMAZON_TRACE: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// How long what was sent may remain without even the kernel's acknowledgement: a peer that is gone for
/// good without a word, as behind a gateway that forgot the connection, is noticed before
/// `REQUEST_TIMEOUT`, while there is time for a retry.
///
/// Linux takes a full receive window for the same (tcp(7), `TCP_USER_TIMEOUT`), which is only a server that is slow to
/// read. So once a new connection was given up for this, and the server still accepts connections, the process
/// does without, until that costs a whole `REQUEST_TIMEOUT`.
const UNACKNOWLEDGED: Duration = Duration::from_secs(3);

/// Which connection an attempt uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// One from the pool, or a new one if there is none.
    Any,
    /// A new one. What is in the pool may have died while the environment was frozen.
    New,
}

/// The server that batches are posted to.
#[derive(Debug)]
pub struct Perseus {
    clients: Clients,
    url: Url,
    request_timeout: Duration,
    /// Whether the server is known to be slow to read, and is given [`UNACKNOWLEDGED`] no more.
    is_slow_reader: AtomicBool,
}

/// The HTTP clients for the server, which have the same headers and trust the same authorities. All but the first are
/// made when they are first needed, which is rare.
#[derive(Debug)]
struct Clients {
    headers: HeaderMap,
    authorities: Vec<TrustAnchor<'static>>,
    max_in_flight: usize,
    /// By connection (any, new), and by whether unacknowledged data is waited for.
    made: [[OnceLock<Client>; 2]; 2],
}

task_local! {
    /// Whether the attempt in this scope has begun a connection of its own. The client does so in the
    /// attempt's own future, and only if the pool has none.
    static CONNECTS: Cell<bool>;
}

/// A reply to an attempt.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// How long it asks to be left alone.
    pub retry_after: Option<Duration>,
    /// Whether it calls its body HTML.
    pub is_html: bool,
    /// Its body: whole if the attempt succeeded, else as much of it as came at once.
    pub body: Vec<u8>,
}

/// Why an attempt has no reply that could be read. Whether Perseus took the records is unknown.
#[derive(Debug)]
pub enum Failure {
    /// There was no reply in time.
    Timeout,
    /// There was no connection.
    Connect(reqwest::Error),
    /// The connection was lost before a reply came.
    Lost {
        /// Whether it was one from the pool, which may have been dead for long.
        pooled: bool,
        /// How it was lost.
        error: reqwest::Error,
    },
    /// The reply broke off.
    CutShort,
    /// The reply is longer than any that makes sense.
    TooLong,
    /// The reply is compressed, though no one asked for that.
    Compressed,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Timeout => f.write_str("timed out"),
            Failure::Connect(error) => write!(f, "no connection ({})", Advised(error)),
            Failure::Lost { error, .. } => write!(f, "connection lost ({})", Advised(error)),
            Failure::CutShort => f.write_str("a reply cut short"),
            Failure::TooLong => f.write_str("a reply over 1 MiB"),
            Failure::Compressed => f.write_str("a compressed reply"),
        }
    }
}

/// An error's cause, and what to do about it if that is known.
struct Advised<'a>(&'a reqwest::Error);

impl fmt::Display for Advised<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", root_cause(self.0))?;
        hint(self.0).map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl Perseus {
    /// A client for the server of this configuration. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// If TLS cannot be set up.
    pub fn new(config: &Config) -> Result<Self, reqwest::Error> {
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
    /// If there is no reply, or none that could be read.
    pub async fn attempt(
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

    /// Learns from an attempt whether the server is slow to read. See [`UNACKNOWLEDGED`].
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

    /// Whether the server accepts a connection.
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
    /// The client for such a connection; a patient one waits for data that is not acknowledged.
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
                // Out of scope is a connection that outlives the attempt for which it was begun.
                let _ = CONNECTS.try_with(|connects| connects.set(true));
                destination
            }));
        #[cfg(target_os = "linux")]
        let builder = builder.tcp_user_timeout((!is_patient).then_some(UNACKNOWLEDGED));
        builder.build()
    }
}

/// Whether a connection was given up because what was sent remained unacknowledged.
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

/// The whole body. On success every byte of it matters: it may name records that were not accepted.
async fn whole(response: Response) -> Result<Vec<u8>, Failure> {
    if response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(Failure::Compressed);
    }
    let body = read_at_most(response, LONGEST_REPLY).await.map_err(|_| Failure::CutShort)?;
    body.ok_or(Failure::TooLong)
}

/// The beginning of a body that is good for a log line at most. If it ends there, the connection can
/// be used again.
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
    // What came in time is in `body`.
    let _ = timeout(REFUSAL_PATIENCE, reading).await;
    body
}
