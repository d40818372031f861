//! Lambda's replies, in its REST-JSON protocol
//! (<https://docs.aws.amazon.com/lambda/latest/api/API_UpdateEventSourceMapping.html>), and replies that are none.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::{Call, LambdaAnswer};
use crate::{
    clock::Ms,
    faults::Lie,
    lambda::{
        mapping::State,
        names::{self, MAPPING, OTHER_MAPPING},
    },
    perseus::Reply,
};

/// The reply to a call. A conflict has two names, which take turns.
pub(super) fn reply(call: &Call, answer: &LambdaAnswer, queue: &str, now: Ms) -> Response {
    match answer {
        LambdaAnswer::Mapping(state) => {
            let mapping = configuration(MAPPING, &names::function(), queue, *state);
            match call {
                // Another function reads the queue too.
                Call::List => {
                    json_reply(StatusCode::OK, &json!({"EventSourceMappings": [other(queue), mapping]}))
                }
                Call::Update(_) => json_reply(StatusCode::ACCEPTED, &mapping),
                _ => json_reply(StatusCode::OK, &mapping),
            }
        }
        LambdaAnswer::Tags(tags) => json_reply(StatusCode::OK, &json!({"Tags": tags})),
        LambdaAnswer::Done => StatusCode::NO_CONTENT.into_response(),
        LambdaAnswer::Conflict if now.is_multiple_of(2) => {
            error(StatusCode::BAD_REQUEST, "ResourceInUseException")
        }
        LambdaAnswer::Conflict => error(StatusCode::CONFLICT, "ResourceConflictException"),
    }
}

/// An error. Its name is in a header.
pub(super) fn error(status: StatusCode, kind: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE.as_str(), "application/json"), ("x-amzn-errortype", kind)];
    (status, headers, json!({"Type": "User", "Message": "no"}).to_string()).into_response()
}

/// A success that does not answer the call.
pub(super) fn lie(lie: Lie, call: &Call, queue: &str) -> Response {
    match (lie, call) {
        (Lie::Page, _) => (StatusCode::OK, "<html>Welcome</html>").into_response(),
        (Lie::OtherJson, _) => json_reply(StatusCode::OK, &json!([{"hello": null}])),
        (Lie::OtherMapping, Call::List) => {
            json_reply(StatusCode::OK, &json!({"EventSourceMappings": [other(queue)]}))
        }
        (Lie::OtherMapping, _) => json_reply(StatusCode::OK, &other(queue)),
    }
}

/// The mapping of another function that reads the same queue.
fn other(queue: &str) -> Value {
    configuration(OTHER_MAPPING, &(names::function() + "-other"), queue, State::Enabled)
}

/// The start of a reply. A 204 has no body to be cut.
pub(super) fn cut_short(reply: Response) -> Response {
    match reply.status() {
        StatusCode::NO_CONTENT => reply,
        status => Reply::status(status.as_u16()).body(r#"{"UUID":"14e0"#).cut_short().into_response(),
    }
}

fn configuration(uuid: &str, function: &str, queue: &str, state: State) -> Value {
    json!({
        "UUID": uuid,
        "EventSourceMappingArn": names::mapping(uuid),
        "EventSourceArn": queue,
        "FunctionArn": function,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "BatchSize": 1_000,
        "MaximumBatchingWindowInSeconds": 1,
        "LastModified": 1_767_225_600.0,
        "State": state.name(),
        "StateTransitionReason": "USER_INITIATED",
    })
}

fn json_reply(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
