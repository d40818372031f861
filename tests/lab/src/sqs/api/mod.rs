//! SQS' API in front of the model queue: the calls that the function makes. It checks them strictly and injects faults.
//!
//! It does not own the queue: it sends each call to the run's loop and waits for the result.

mod call;
mod single;

use std::{fmt, io, sync::Arc};

use axum::{
    Extension, Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header, request::Parts};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::call::Entry;
use self::call::{Action, Call};
pub(crate) use self::single::SingleCall;
use crate::{
    clock::{Clock, Ms, span},
    faults::{CallOutcome, SqsFaults},
    lambda::{cost, fleet::signer, processor::Processors},
    seeded_rng::SeededRng,
    server::{ConnectionHandle, Cut, Server},
    sqs::queue::Refusal,
};

/// The server.
#[derive(Debug)]
pub(crate) struct SqsApi {
    server: Server,
}

/// What the API asks of the run's loop.
#[derive(Debug)]
pub(crate) enum SqsRequest {
    /// Do what the entries of a call say, and send the result of each.
    Apply(Vec<Entry>, oneshot::Sender<Vec<Result<(), Refusal>>>),
    /// Do what a call for one message says, which the environment of this number makes, and send the result.
    Single(u32, SingleCall, oneshot::Sender<SingleAnswer>),
    /// Note that a fault was injected into a call for one message.
    Fault(u32),
    /// Note that a call breaks the API, in words.
    Violation(String),
}

/// The result of a call for one message.
#[derive(Debug)]
pub(crate) enum SingleAnswer {
    /// The received messages.
    Messages(Vec<Value>),
    /// The message is deleted or its visibility timeout changed.
    Done,
    /// After so many receives a message goes to the dead-letter queue.
    RedrivePolicy(u16),
    /// The receipt is not valid.
    Refused(Refusal),
}

/// The probability that a receive without a wait finds nothing: it asks a part of SQS' servers only
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html>).
const SHORT_POLL_MISSES: f64 = 0.3;
/// How often a receive that waits looks again.
const LOOK: Ms = 1_000;

/// What the connections share.
#[derive(Debug)]
struct Shared {
    clock: Clock,
    seeded: SeededRng,
    faults: SqsFaults,
    processors: Processors,
    sqs_requests: mpsc::UnboundedSender<SqsRequest>,
}

impl SqsApi {
    /// Starts on a free port. The receiver gets every call.
    pub(crate) async fn start(
        clock: Clock,
        seeded: SeededRng,
        faults: SqsFaults,
        processors: Processors,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<SqsRequest>)> {
        let (sqs_requests, asked) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { clock, seeded, faults, processors, sqs_requests });
        let routes = Router::new().fallback(serve).with_state(shared);
        Ok((Self { server: Server::start(routes).await? }, asked))
    }

    /// What to set `AWS_ENDPOINT_URL_SQS` to in an environment. Its path says which one a call comes from.
    pub(crate) fn url(&self, environment: u32) -> String {
        format!("http://{}/{environment}", self.server.address())
    }
}

impl Shared {
    fn ask(&self, request: SqsRequest) {
        // It fails only when the run is over.
        let _ = self.sqs_requests.send(request);
    }

    /// Does the first `asked` entries of a call, and fails the others as retryable.
    async fn answer(&self, mut call: Call, asked: usize) -> Response {
        let (sender, answer) = oneshot::channel();
        call.entries.truncate(asked);
        let (action, ids) = (call.action, call.ids);
        self.ask(SqsRequest::Apply(call.entries, sender));
        match answer.await {
            Ok(outcomes) => reply(action, &ids, &outcomes),
            Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    }

    /// Does a call for one message. A receive that waits looks again until there is a message.
    async fn answer_single(&self, environment: u32, call: SingleCall, seeded: SeededRng) -> Response {
        let wait = if let SingleCall::Receive { wait, .. } = call { wait } else { 0 };
        let is_receive = matches!(call, SingleCall::Receive { .. });
        if is_receive && wait == 0 && seeded.fork(1_u64).chance(SHORT_POLL_MISSES) {
            return json_reply(StatusCode::OK, &json!({}));
        }
        let until = self.clock.now() + wait;
        loop {
            let (sender, answer) = oneshot::channel();
            self.ask(SqsRequest::Single(environment, call, sender));
            match answer.await {
                Ok(SingleAnswer::Messages(messages)) if messages.is_empty() && self.clock.now() < until => {
                    tokio::time::sleep(span(LOOK)).await;
                }
                Ok(SingleAnswer::Messages(messages)) if messages.is_empty() => {
                    return json_reply(StatusCode::OK, &json!({}));
                }
                Ok(SingleAnswer::Messages(messages)) => {
                    return json_reply(StatusCode::OK, &json!({"Messages": messages}));
                }
                Ok(SingleAnswer::Done) => return StatusCode::OK.into_response(),
                Ok(SingleAnswer::RedrivePolicy(max)) => return redrive_policy(max),
                Ok(SingleAnswer::Refused(refusal)) => {
                    return error(StatusCode::BAD_REQUEST, refusal.code());
                }
                Err(_) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
            }
        }
    }

    /// The seed of a call, now.
    fn seed(&self, asked_for: &impl fmt::Debug) -> SeededRng {
        self.seeded.fork_by_call(asked_for).fork(self.clock.now())
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
    if let Ok(environment) = head.uri.path().trim_start_matches('/').parse() {
        shared.processors.charge(environment, cost::sqs_call());
    }
    if let Some(call) = SingleCall::read(&head.headers, &body) {
        let call = call.and_then(|call| Ok((signer(&head.headers, "sqs")?, call)));
        return match call {
            Ok((environment, call)) => single(&shared, environment, call, &handle).await,
            Err(what) => refuse(&shared, &head, &what),
        };
    }
    let call = match Call::read(&head, &body) {
        Ok(call) => call,
        Err(what) => return refuse(&shared, &head, &what),
    };
    let entries = call.entries.len();
    match shared.faults.outcome(&mut shared.seed(&call.entries).rng()) {
        CallOutcome::Well => shared.answer(call, entries).await,
        CallOutcome::Slow(delay) => {
            tokio::time::sleep(span(delay)).await;
            shared.answer(call, entries).await
        }
        CallOutcome::Down => error(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
        CallOutcome::Silent => std::future::pending().await,
        CallOutcome::Deaf => {
            shared.answer(call, entries).await;
            handle.cut(Cut::Reset);
            std::future::pending().await
        }
        CallOutcome::Partial => shared.answer(call, entries / 2).await,
        // A proxy's page, or the reply to another call: nothing is done.
        CallOutcome::Absurd(false) => (StatusCode::OK, "<html>Welcome</html>").into_response(),
        CallOutcome::Absurd(true) => json_reply(StatusCode::OK, &json!({"Successful": [{"Id": "stranger"}]})),
    }
}

/// Answers a call for one message.
async fn single(shared: &Shared, environment: u32, call: SingleCall, handle: &ConnectionHandle) -> Response {
    let seeded = shared.seed(&call);
    let outcome = shared.faults.outcome(&mut seeded.rng());
    if !matches!(outcome, CallOutcome::Well | CallOutcome::Partial) {
        shared.ask(SqsRequest::Fault(environment));
    }
    match outcome {
        CallOutcome::Well | CallOutcome::Partial => shared.answer_single(environment, call, seeded).await,
        CallOutcome::Slow(delay) => {
            tokio::time::sleep(span(delay)).await;
            shared.answer_single(environment, call, seeded).await
        }
        CallOutcome::Down => error(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
        CallOutcome::Silent => std::future::pending().await,
        CallOutcome::Deaf => {
            shared.answer_single(environment, call, seeded).await;
            handle.cut(Cut::Reset);
            std::future::pending().await
        }
        CallOutcome::Absurd(false) => (StatusCode::OK, "<html>Welcome</html>").into_response(),
        CallOutcome::Absurd(true) => json_reply(StatusCode::OK, &json!({"Messages": [{"Body": 7}]})),
    }
}

fn redrive_policy(max: u16) -> Response {
    let policy = json!({"deadLetterTargetArn": "arn:aws:sqs:::dead-letters", "maxReceiveCount": max});
    json_reply(StatusCode::OK, &json!({"Attributes": {"RedrivePolicy": policy.to_string()}}))
}

fn refuse(shared: &Shared, head: &Parts, what: &str) -> Response {
    shared.ask(SqsRequest::Violation(format!("{} {} to SQS: {what}", head.method, head.uri.path())));
    error(StatusCode::BAD_REQUEST, "InvalidParameterValue")
}

fn error(status: StatusCode, kind: &str) -> Response {
    json_reply(status, &json!({"__type": format!("com.amazonaws.sqs#{kind}"), "message": "no"}))
}

fn reply(action: Action, ids: &[String], outcomes: &[Result<(), Refusal>]) -> Response {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, outcome) in ids.iter().zip(outcomes) {
        match outcome {
            Ok(()) if action == Action::SendMessageBatch => {
                successful.push(json!({"Id": id, "MessageId": format!("new-{id}"), "MD5OfMessageBody": ""}));
            }
            Ok(()) => successful.push(json!({"Id": id})),
            Err(refusal) => failed.push(failure(id, refusal.code(), true, &refusal.to_string())),
        }
    }
    let unasked = ids.iter().skip(outcomes.len());
    failed.extend(unasked.map(|id| failure(id, "InternalError", false, "not now")));
    json_reply(StatusCode::OK, &json!({"Successful": successful, "Failed": failed}))
}

fn failure(id: &str, code: &str, sender_fault: bool, message: &str) -> Value {
    json!({"Id": id, "Code": code, "SenderFault": sender_fault, "Message": message})
}

fn json_reply(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.0")], body.to_string()).into_response()
}
