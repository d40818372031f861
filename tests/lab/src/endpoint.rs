//! SQS' API in front of the model queue, as far as the function asks it: strict with what it is asked, and as moody as
//! the weather says.
//!
//! It owns nothing: each question goes to whoever runs the queue, and waits for the answer.

mod call;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io,
    sync::Arc,
};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, header, request::Parts};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::call::Entry;
use self::call::{Action, Call};
use crate::{
    clock::span,
    dice::Dice,
    queue::Refusal,
    server::{Cut, Line, Server},
    weather::{Mood, SqsClimate},
};

/// The server.
#[derive(Debug)]
pub(crate) struct Endpoint {
    server: Server,
}

/// What the queue is asked, and where the answer goes.
#[derive(Debug)]
pub(crate) enum Question {
    /// To do what the entries of a call say.
    Do(Vec<Entry>, oneshot::Sender<Vec<Result<(), Refusal>>>),
    /// To note that a call is not as it has to be, in words.
    Note(String),
}

/// What the connections share.
#[derive(Debug)]
struct Desk {
    dice: Dice,
    climate: SqsClimate,
    questions: mpsc::UnboundedSender<Question>,
}

impl Endpoint {
    /// Starts on a free port; what it is asked comes out at the other end.
    pub(crate) async fn start(
        dice: Dice,
        climate: SqsClimate,
    ) -> io::Result<(Self, mpsc::UnboundedReceiver<Question>)> {
        let (questions, asked) = mpsc::unbounded_channel();
        let desk = Arc::new(Desk { dice, climate, questions });
        let routes = Router::new().fallback(serve).with_state(desk);
        Ok((Self { server: Server::start(routes).await? }, asked))
    }

    /// What to set `AWS_ENDPOINT_URL_SQS` to.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }
}

impl Desk {
    fn ask(&self, question: Question) {
        // A run that is over is not interested any more.
        let _ = self.questions.send(question);
    }

    /// Asks for what a call says. The entries from `asked` on are refused instead, for no fault of their own.
    async fn answer(&self, mut call: Call, asked: usize) -> Response {
        let (sender, answer) = oneshot::channel();
        call.entries.truncate(asked);
        let (action, ids) = (call.action, call.ids);
        self.ask(Question::Do(call.entries, sender));
        match answer.await {
            Ok(outcomes) => reply(action, &ids, &outcomes),
            Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    }

    /// What comes of a call is drawn under its own name, which is what it says.
    fn mood(&self, body: &Bytes) -> Mood {
        let mut digest = DefaultHasher::new();
        body.hash(&mut digest);
        self.climate.mood(&mut self.dice.of(digest.finish()).roll())
    }
}

async fn serve(
    State(desk): State<Arc<Desk>>,
    Extension(line): Extension<Line>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let call = match Call::read(&head, &body) {
        Ok(call) => call,
        Err(what) => return refuse(&desk, &head, &what),
    };
    let entries = call.entries.len();
    match desk.mood(&body) {
        Mood::Well => desk.answer(call, entries).await,
        Mood::Slow(delay) => {
            tokio::time::sleep(span(delay)).await;
            desk.answer(call, entries).await
        }
        Mood::Down => error(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
        Mood::Silent => std::future::pending().await,
        Mood::Deaf => {
            desk.answer(call, entries).await;
            line.cut(Cut::Reset);
            std::future::pending().await
        }
        Mood::Partial => desk.answer(call, entries / 2).await,
        // A proxy's page, or the reply to someone else's call: nothing is done.
        Mood::Absurd(false) => (StatusCode::OK, "<html>Welcome</html>").into_response(),
        Mood::Absurd(true) => json_reply(StatusCode::OK, &json!({"Successful": [{"Id": "stranger"}]})),
    }
}

fn refuse(desk: &Desk, head: &Parts, what: &str) -> Response {
    desk.ask(Question::Note(format!("{} {} to SQS: {what}", head.method, head.uri.path())));
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
