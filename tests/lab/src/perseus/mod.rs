//! The stand-in for Perseus: it answers as the caller decides, records commits, and checks every request.

mod body;
mod check;
mod document;
mod headers;
mod recording;
mod reply;

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, request::Parts};
use serde_json::Value;
use tokio::time::Instant;

use self::recording::Recording;
pub(crate) use self::{
    body::Content,
    check::{Checker, KeyFault},
    reply::Takes,
};
pub use self::{
    body::Format,
    recording::{Excerpt, Mark},
    reply::Reply,
};
use crate::server::Server;

/// The path to post to. A request to another path means a followed redirect or a wrong URL.
const PATH: &str = "/ingest";

/// A stand-in for Perseus on a free loopback port. It runs as tasks of the current Tokio runtime, so it also works
/// under paused time, and stops when dropped.
#[derive(Debug)]
pub struct Perseus {
    server: Server,
    shared: Arc<Shared>,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its place in the order of arrival, from 0.
    pub number: usize,
    /// When its last byte had arrived.
    pub at: Instant,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as it travelled, still compressed when `content-encoding` says so.
    pub body: Bytes,
    /// Its body once `content-encoding` is undone.
    pub plain: Bytes,
    /// Which of the three shapes the body has; `None` when it is none of them.
    pub format: Option<Format>,
    /// The message ids in order; empty for `array` and `ndjson`, which carry none.
    pub message_ids: Vec<String>,
    /// The records, or the bodies alone for `array` and `ndjson`.
    pub records: Vec<Value>,
}

impl Perseus {
    /// Starts the stand-in. `answer` is asked once per request, in order of arrival.
    ///
    /// A request that is not a POST to [`url`](Self::url) is recorded, counted as a violation and answered with an
    /// empty 200 that commits nothing, without asking `answer`.
    ///
    /// # Panics
    ///
    /// When no loopback port can be opened.
    pub async fn start(answer: impl FnMut(&Received) -> Reply + Send + 'static) -> Self {
        let started = Self::start_on(0, answer).await;
        started.unwrap_or_else(|error| panic!("no loopback port for the Perseus stand-in: {error}"))
    }

    /// The same on this port of the loopback interface; 0 is a free one.
    ///
    /// # Errors
    ///
    /// When the port is taken.
    pub async fn start_on(
        port: u16,
        answer: impl FnMut(&Received) -> Reply + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared { answer: Mutex::new(Box::new(answer)), recording: Mutex::default() });
        let routes = Router::new().fallback(ingest).with_state(Arc::clone(&shared));
        Ok(Self { server: Server::start_on(port, routes).await?, shared })
    }

    /// What to set `PERSEUS_URL` to.
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.server.address())
    }

    /// Every request so far, in order of arrival.
    pub fn received(&self) -> Vec<Received> {
        self.shared.recording().received.clone()
    }

    /// What each request was answered, in order of arrival; `None` while it is being handled, and for good when it
    /// hangs or the client hung up first.
    pub fn statuses(&self) -> Vec<Option<u16>> {
        self.shared.recording().statuses.clone()
    }

    /// The ledger: the message ids accepted, in order of commit, repeats included. A client that hangs up before the
    /// answer leaves nothing committed.
    pub fn committed(&self) -> Vec<String> {
        self.shared.recording().committed.clone()
    }

    /// The records accepted, in order of commit, repeats included: what [`committed`](Self::committed) cannot tell of
    /// `array` and `ndjson`.
    pub fn committed_records(&self) -> Vec<Value> {
        self.shared.recording().committed_records.clone()
    }

    /// What broke the contract, in words, one per finding.
    pub fn violations(&self) -> Vec<String> {
        self.shared.recording().violations.clone()
    }

    /// A place in everything above to look [since](Self::since).
    pub fn mark(&self) -> Mark {
        self.shared.recording().mark()
    }

    /// Everything above, from that place on.
    pub fn since(&self, mark: Mark) -> Excerpt {
        self.shared.recording().since(mark)
    }

    /// The most requests that were being handled at once.
    pub fn in_flight_peak(&self) -> usize {
        self.shared.recording().in_flight_peak
    }
}

type AnswerFn = Box<dyn FnMut(&Received) -> Reply + Send>;

/// What the connections share with the handle.
struct Shared {
    answer: Mutex<AnswerFn>,
    recording: Mutex<Recording>,
}

/// A request being handled, until it is answered or its client hangs up.
struct InFlight<'a>(&'a Shared);

impl Shared {
    fn recording(&self) -> MutexGuard<'_, Recording> {
        // A panic in the caller's `answer` fails its own test. The records stay readable.
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self) -> InFlight<'_> {
        let mut recording = self.recording();
        recording.in_flight += 1;
        recording.in_flight_peak = recording.in_flight_peak.max(recording.in_flight);
        InFlight(self)
    }

    fn receive(&self, head: Parts, body: Bytes) -> (Received, Reply) {
        let misdirected = (head.method != http::Method::POST || head.uri.path() != PATH).then(|| {
            format!("{} {} instead of POST {PATH}: a redirect followed?", head.method, head.uri.path())
        });
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let received = self.recording().record(head.headers, body, misdirected.clone());
        let reply = match misdirected {
            None => answer(&received),
            Some(_) => Reply::ok().body(Bytes::new()).taking(Takes::Nothing),
        };
        (received, reply)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.recording().in_flight -= 1;
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("recording", &self.recording).finish_non_exhaustive()
    }
}

async fn ingest(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let _in_flight = shared.enter();
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        // The client hung up during the upload. A client that keeps its deadline does that.
        return StatusCode::BAD_REQUEST.into_response();
    };
    let (received, reply) = shared.receive(head, body);
    reply.wait().await;
    shared.recording().settle(&received, &reply);
    reply.into_response()
}
