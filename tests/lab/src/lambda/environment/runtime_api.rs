//! The Lambda Runtime API: what a custom runtime polls and posts to.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc, oneshot, watch},
    time::Instant,
};
use uuid::Uuid;

use super::{Answer, Invoke};
use crate::{clock::since_epoch, server::Server};

pub(super) const FUNCTION_NAME: &str = "perseus-forwarder";
const FUNCTION_ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:perseus-forwarder";
const MAX_ANSWER_BYTES: usize = 6 * 1024 * 1024;
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";

/// The emulator, for one function process.
#[derive(Debug)]
pub(super) struct RuntimeApi {
    server: Server,
    shared: Arc<Shared>,
}

/// How the function's initialisation ended.
#[derive(Clone, Debug)]
pub(super) enum Start {
    AskedForWork,
    Failed { kind: String, message: String },
}

/// An answer and when it arrived, by both clocks.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) answer: Answer,
    pub(super) at: Instant,
    pub(super) since_epoch: std::time::Duration,
}

#[derive(Debug)]
struct Shared {
    start: watch::Sender<Option<Start>>,
    offers: mpsc::UnboundedSender<Offer>,
    /// Concurrent polls are served in order of arrival.
    offered: AsyncMutex<mpsc::UnboundedReceiver<Offer>>,
    running: Mutex<HashMap<String, oneshot::Sender<Arrival>>>,
}

#[derive(Debug)]
struct Offer {
    id: String,
    invoke: Invoke,
    answer: oneshot::Sender<Arrival>,
}

impl RuntimeApi {
    pub(super) async fn start() -> io::Result<Self> {
        let (offers, offered) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            start: watch::Sender::new(None),
            offers,
            offered: AsyncMutex::new(offered),
            running: Mutex::default(),
        });
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            // Lambda's own limit is larger than axum's default.
            .layer(DefaultBodyLimit::max(MAX_ANSWER_BYTES))
            .with_state(Arc::clone(&shared));
        let server = Server::start(routes).await?;
        Ok(Self { server, shared })
    }

    /// What `AWS_LAMBDA_RUNTIME_API` is to be set to.
    pub(super) fn address(&self) -> String {
        self.server.address().to_string()
    }

    /// Returns once the function has asked for work or has reported that it cannot.
    pub(super) async fn started(&self) -> Start {
        let mut start = self.shared.start.subscribe();
        let ended = start.wait_for(Option::is_some).await.ok().and_then(|start| start.clone());
        match ended {
            Some(start) => start,
            None => std::future::pending().await,
        }
    }

    pub(super) fn start_so_far(&self) -> Option<Start> {
        self.shared.start.borrow().clone()
    }

    /// Puts an invocation where the next poll finds it. Dropping the receiver withdraws it.
    pub(super) fn offer(&self, invoke: Invoke) -> oneshot::Receiver<Arrival> {
        let (answer, answered) = oneshot::channel();
        // The receiver lives as long as `self`.
        let _ = self.shared.offers.send(Offer { id: Uuid::new_v4().to_string(), invoke, answer });
        answered
    }
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<Arrival>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn started(&self, outcome: Start) {
        self.start.send_if_modified(|start| {
            let first = start.is_none();
            start.get_or_insert(outcome);
            first
        });
    }

    fn settle(&self, id: &str, answer: Answer) -> Response {
        let Some(waiting) = self.running().remove(id) else {
            let error = json!({ "errorMessage": "no such invocation", "errorType": "InvalidRequestID" });
            return (StatusCode::BAD_REQUEST, error.to_string()).into_response();
        };
        // A late answer is accepted and dropped, as on Lambda.
        let _ = waiting.send(Arrival { answer, at: Instant::now(), since_epoch: since_epoch() });
        accepted()
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    shared.started(Start::AskedForWork);
    let mut offered = shared.offered.lock().await;
    while let Some(offer) = offered.recv().await {
        if !offer.answer.is_closed() {
            return shared.hand_over(offer);
        }
    }
    StatusCode::GONE.into_response()
}

impl Shared {
    fn hand_over(&self, Offer { id, invoke, answer }: Offer) -> Response {
        let mut response = Response::builder()
            .header(header::CONTENT_TYPE, "application/json")
            .header("lambda-runtime-aws-request-id", &id)
            .header("lambda-runtime-deadline-ms", invoke.deadline_ms)
            .header("lambda-runtime-invoked-function-arn", FUNCTION_ARN);
        if let Some(trace_id) = invoke.trace_id {
            response = response.header("lambda-runtime-trace-id", trace_id);
        }
        self.running().insert(id, answer);
        response
            .body(Body::from(invoke.event))
            .unwrap_or_else(|error| panic!("the trace id cannot be sent in a header: {error}"))
    }
}

async fn response(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> Response {
    let answer = match serde_json::from_slice(&body) {
        Ok(response) => Answer::Response(response),
        Err(error) => Answer::Error {
            kind: "InvalidResponse".to_owned(),
            message: format!("the answer is not JSON: {error}"),
        },
    };
    shared.settle(&id, answer)
}

async fn error(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (kind, message) = reported(&headers, &body);
    shared.settle(&id, Answer::Error { kind, message })
}

async fn init_error(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let (kind, message) = reported(&headers, &body);
    shared.started(Start::Failed { kind, message });
    accepted()
}

/// An error's type and message: from the body, and the type from the header when the body has none.
fn reported(headers: &HeaderMap, body: &Bytes) -> (String, String) {
    let report: Value = serde_json::from_slice(body).unwrap_or_default();
    let in_body = |key: &str| report[key].as_str().map(str::to_owned);
    let in_header =
        || headers.get(ERROR_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let kind = in_body("errorType").or_else(in_header).unwrap_or_else(|| "Unhandled".to_owned());
    (kind, in_body("errorMessage").unwrap_or_else(|| String::from_utf8_lossy(body).into_owned()))
}

fn accepted() -> Response {
    let body = json!({ "status": "OK" }).to_string();
    (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
