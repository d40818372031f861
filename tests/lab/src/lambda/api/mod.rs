//! Lambda's API in front of the mapping: the calls of the circuit breaker. It checks them strictly and injects faults.
//!
//! It does not own the mapping: it sends each call to the run's loop and waits for the result.

mod call;
mod reply;

use std::{collections::BTreeMap, io, sync::Arc};

use axum::{
    Extension, Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use rand::RngExt;
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::call::Call;
use self::reply::{error, reply};
use crate::{
    clock::{Clock, Ms, span},
    faults::{LambdaFaults, LambdaOutcome},
    lambda::{fleet::signer, mapping, names},
    seeded_rng::SeededRng,
    server::{ConnectionHandle, Cut, Server},
};

/// How long a call takes: the shortest and the longest.
const LATENCY: (Ms, Ms) = (10, 100);

/// The server.
#[derive(Debug)]
pub(crate) struct LambdaApi {
    server: Server,
}

/// What the API asks of the run's loop. The number is that of the environment that calls.
#[derive(Debug)]
pub(crate) enum LambdaRequest {
    /// Do what the call says, and send the result.
    Apply(u32, Call, oneshot::Sender<LambdaAnswer>),
    /// Note that a fault was injected into a call.
    Fault(u32),
    /// Note that a call breaks the API, in words.
    Violation(String),
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LambdaAnswer {
    /// The state of the mapping, after the call.
    Mapping(mapping::State),
    /// The tags of the mapping.
    Tags(BTreeMap<String, String>),
    /// The tags are changed.
    Done,
    /// Another change is under way.
    Conflict,
}

/// What the connections share.
#[derive(Debug)]
struct Shared {
    seeded: SeededRng,
    faults: LambdaFaults,
    clock: Clock,
    /// The ARN of the queue.
    queue: String,
    requests: mpsc::UnboundedSender<LambdaRequest>,
}

impl LambdaApi {
    /// Starts on a free port. The receiver gets every call.
    pub(crate) async fn start(
        clock: Clock,
        seeded: SeededRng,
        faults: LambdaFaults,
        fifo: bool,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<LambdaRequest>)> {
        let (requests, asked) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { seeded, faults, clock, queue: names::queue(fifo), requests });
        let routes = Router::new().fallback(serve).with_state(shared);
        Ok((Self { server: Server::start(routes).await? }, asked))
    }

    /// What to set `AWS_ENDPOINT_URL_LAMBDA` to.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }
}

impl Shared {
    fn ask(&self, request: LambdaRequest) {
        // It fails only when the run is over.
        let _ = self.requests.send(request);
    }

    async fn answer(&self, environment: u32, call: &Call) -> Response {
        let (sender, answer) = oneshot::channel();
        self.ask(LambdaRequest::Apply(environment, call.clone(), sender));
        match answer.await {
            Ok(answer) => reply(call, &answer, &self.queue, self.clock.now()),
            Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    }

    /// Draws how long a call takes, and its outcome. Its name is the call, its caller and the time.
    fn draw(&self, environment: u32, call: &Call) -> (Ms, LambdaOutcome) {
        let named = self.seeded.fork_by_call(call).fork(environment).fork(self.clock.now());
        let (least, most) = LATENCY;
        (named.fork(1_u64).rng().random_range(least..=most), self.faults.outcome(&mut named.rng()))
    }
}

async fn serve(
    State(shared): State<Arc<Shared>>,
    Extension(handle): Extension<ConnectionHandle>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let environment = signer(&head.headers, "lambda");
    let read = environment.and_then(|caller| Ok((caller, Call::read(&head, &body, &shared.queue)?)));
    let (environment, call) = match read {
        Ok(read) => read,
        Err(what) => {
            let violation = format!("{} {} to Lambda: {what}", head.method, head.uri.path());
            shared.ask(LambdaRequest::Violation(violation));
            return error(StatusCode::BAD_REQUEST, "InvalidParameterValueException");
        }
    };
    let (latency, outcome) = shared.draw(environment, &call);
    tokio::time::sleep(span(latency)).await;
    if outcome != LambdaOutcome::Well {
        shared.ask(LambdaRequest::Fault(environment));
    }
    match outcome {
        LambdaOutcome::Well => shared.answer(environment, &call).await,
        LambdaOutcome::Slow(delay) => {
            tokio::time::sleep(span(delay)).await;
            shared.answer(environment, &call).await
        }
        LambdaOutcome::Error => error(StatusCode::INTERNAL_SERVER_ERROR, "ServiceException"),
        LambdaOutcome::Throttled => error(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException"),
        LambdaOutcome::Silent => std::future::pending().await,
        LambdaOutcome::Deaf => {
            shared.answer(environment, &call).await;
            handle.cut(Cut::Reset);
            std::future::pending().await
        }
        LambdaOutcome::Cut => reply::cut_short(shared.answer(environment, &call).await),
        LambdaOutcome::Lie(lie) => reply::lie(lie, &call, &shared.queue),
    }
}
