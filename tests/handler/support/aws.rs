//! A fake AWS with one queue and its event source mapping: the parts of SQS' and Lambda's APIs that the circuit breaker calls.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::raw_server::RawServer;

pub(crate) const UUID: &str = "14e0db71-5d35-4eb5-b481-8945cf9d10c2";
pub(crate) const FUNCTION_ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:forwarder";
/// Since when the mapping is paused that [`State::mark`] marks.
pub(crate) const PAUSED_AT: &str = "2026-11-30T09:00:00Z";
const SINCE: &str = "perseus-forwarder:paused-since";
const CAUSE: &str = "perseus-forwarder:paused-for";

/// A message of the queue.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) id: &'static str,
    pub(crate) receives: u64,
    pub(crate) is_hidden: bool,
}

/// The mapping, its tags, and the queue.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// The mapping's state, as Lambda names it.
    pub(crate) mapping: &'static str,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) messages: Vec<Message>,
    /// How often SQS lets a message be received, if the queue has a dead-letter queue.
    pub(crate) max_receives: Option<u64>,
    /// Whether the mapping is disabled when its mark is taken off: by a forwarder at the same moment.
    pub(crate) disabled_by_untag: bool,
    /// Whether an operator takes the mark off when a message is deleted.
    pub(crate) taken_over_by_delete: bool,
    /// All calls, in their order: the action, and the message.
    pub(crate) calls: Vec<String>,
    /// The heads of all calls.
    pub(crate) heads: Vec<String>,
}

impl State {
    /// Puts the breaker's mark on the mapping.
    pub(crate) fn mark(&mut self, cause: Option<&str>) {
        self.tags.insert(SINCE.to_owned(), PAUSED_AT.to_owned());
        self.tags.extend(cause.map(|cause| (CAUSE.to_owned(), cause.to_owned())));
    }

    pub(crate) fn is_marked(&self) -> bool {
        self.tags.contains_key(SINCE)
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        self.tags.get(CAUSE).map(String::as_str)
    }

    /// Puts messages with these ids, separated by spaces, into the queue.
    pub(crate) fn send(&mut self, ids: &'static str) {
        let message = |id| Message { id, receives: 0, is_hidden: false };
        self.messages.extend(ids.split_whitespace().map(message));
    }

    fn description(&self) -> Value {
        json!({
            "UUID": UUID,
            "State": self.mapping,
            "EventSourceArn": "arn:aws:sqs:eu-west-1:123456789012:queue",
            "FunctionArn": FUNCTION_ARN,
            "EventSourceMappingArn": format!("arn:aws:lambda:eu-west-1:123456789012:event-source-mapping:{UUID}"),
        })
    }

    /// What AWS does with a call: its status and reply.
    fn perform(&mut self, call: &Call) -> (u16, Value) {
        let body = &call.body;
        match call.action.as_str() {
            "list" => (200, json!({"EventSourceMappings": [self.description()]})),
            "get" => (200, self.description()),
            "disable" => {
                self.mapping = "Disabling";
                (202, self.description())
            }
            "enable" => {
                self.mapping = "Enabling";
                (202, self.description())
            }
            "tags" => (200, json!({"Tags": self.tags})),
            "tag" => {
                let tags = body["Tags"].as_object().unwrap();
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                self.tags.extend(tags.iter().map(|(key, value)| (key.clone(), text(value))));
                (204, Value::Null)
            }
            "untag" => {
                assert!(call.head.contains(
                    "tagKeys=perseus-forwarder%3Apaused-since&tagKeys=perseus-forwarder%3Apaused-for"
                ));
                self.tags.retain(|key, _| key != SINCE && key != CAUSE);
                if self.disabled_by_untag {
                    self.mapping = "Disabling";
                }
                (204, Value::Null)
            }
            "receive" => (200, self.receive(body)),
            "delete" => {
                self.messages.retain(|message| message.id != call.message());
                if self.taken_over_by_delete {
                    self.tags.clear();
                }
                (200, json!({}))
            }
            "release" => {
                assert_eq!(body["VisibilityTimeout"], 0);
                let mut messages = self.messages.iter_mut();
                messages.find(|message| message.id == call.message()).unwrap().is_hidden = false;
                (200, json!({}))
            }
            "attributes" => (200, json!({"Attributes": self.redrive_policy()})),
            other => panic!("an unexpected call: {other}"),
        }
    }

    fn receive(&mut self, body: &Value) -> Value {
        assert_eq!(body["MaxNumberOfMessages"], 1);
        assert!(body["VisibilityTimeout"].as_u64().unwrap() > 0 && body["WaitTimeSeconds"] != 0);
        let Some(message) = self.messages.iter_mut().find(|message| !message.is_hidden) else {
            return json!({});
        };
        (message.is_hidden, message.receives) = (true, message.receives + 1);
        json!({"Messages": [{
            "MessageId": message.id,
            "ReceiptHandle": format!("handle-{}", message.id),
            "MD5OfBody": "0",
            "Body": r#"{"n":1}"#,
            "Attributes": {"ApproximateReceiveCount": message.receives.to_string(), "SentTimestamp": "1545082649183"},
            "MessageAttributes": {"kind": {"DataType": "String", "StringValue": "order"}},
        }]})
    }

    fn redrive_policy(&self) -> Value {
        let policy = |max| json!({"maxReceiveCount": max, "deadLetterTargetArn": "arn"}).to_string();
        self.max_receives.map_or(json!({}), |max| json!({"RedrivePolicy": policy(max)}))
    }
}

/// A received call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) action: String,
    head: String,
    body: Value,
}

impl Call {
    fn read(head: String, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let start = head.lines().next().unwrap().split_once(" HTTP").unwrap().0;
        let mapping = format!("/2015-03-31/event-source-mappings/{UUID}");
        let action = match start.split_once(' ').unwrap() {
            ("GET", path) if path.starts_with("/2015-03-31/event-source-mappings/?") => "list",
            ("GET", path) if path == mapping => "get",
            ("PUT", path) if path == mapping => {
                if body["Enabled"] == true {
                    "enable"
                } else {
                    "disable"
                }
            }
            ("GET", path) if path.starts_with("/2017-03-31/tags/arn%3A") => "tags",
            ("POST", path) if path.starts_with("/2017-03-31/tags/arn%3A") => "tag",
            ("DELETE", path) if path.starts_with("/2017-03-31/tags/arn%3A") => "untag",
            ("POST", "/") => Call::of_sqs(&head),
            other => panic!("an unexpected request: {other:?}"),
        };
        Call { action: action.to_owned(), head, body }
    }

    fn of_sqs(head: &str) -> &'static str {
        let target = head.lines().find_map(|line| line.strip_prefix("x-amz-target: AmazonSQS.")).unwrap();
        match target {
            "ReceiveMessage" => "receive",
            "DeleteMessage" => "delete",
            "ChangeMessageVisibility" => "release",
            "GetQueueAttributes" => "attributes",
            other => panic!("an unexpected action: {other}"),
        }
    }

    /// The message that its receipt handle names.
    fn message(&self) -> &str {
        self.body["ReceiptHandle"]
            .as_str()
            .and_then(|handle| handle.strip_prefix("handle-"))
            .unwrap_or_default()
    }
}

/// What AWS does with a call instead of performing it.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Answers with this status and body.
    Http(u16, String),
    /// Performs it, and closes the connection without an answer.
    LostReply,
    /// Performs it, and answers after this time.
    Late(Duration),
    /// Does not answer.
    Hang,
    /// Closes the connection.
    Reset,
}

/// An error of Lambda's API.
pub(crate) fn error(status: u16, code: &str) -> Fault {
    Fault::Http(status, json!({"__type": code, "Message": "no"}).to_string())
}

/// The fake AWS on a free loopback port. It runs as tasks of the current runtime.
pub(crate) struct Aws {
    server: RawServer,
    state: Arc<Mutex<State>>,
}

impl Aws {
    /// An AWS that performs all calls.
    pub(crate) async fn start(mapping: &'static str) -> Self {
        Aws::faulty(mapping, |_| None).await
    }

    /// An AWS that performs all calls. Its mapping is disabled, with the mark of this cause, and messages with these ids wait.
    pub(crate) async fn paused(cause: Option<&str>, ids: &'static str) -> Self {
        let aws = Aws::start("Disabled").await;
        aws.state().mark(cause);
        aws.state().send(ids);
        aws
    }

    /// An AWS that performs the calls for which `fault` has none.
    pub(crate) async fn faulty(
        mapping: &'static str,
        fault: impl FnMut(&str) -> Option<Fault> + Send + 'static,
    ) -> Self {
        let state = Arc::new(Mutex::new(State { mapping, ..State::default() }));
        let (shared, fault) = (Arc::clone(&state), Arc::new(Mutex::new(fault)));
        let server = RawServer::start(move |_, mut connection| {
            let (state, fault) = (Arc::clone(&shared), Arc::clone(&fault));
            async move {
                while let Some((head, body)) = connection.receive().await {
                    let call = Call::read(head, &body);
                    let fault = (fault.lock().unwrap())(&call.action);
                    let (status, reply) = {
                        let mut state = state.lock().unwrap();
                        state.calls.push(format!("{} {}", call.action, call.message()).trim_end().to_owned());
                        state.heads.push(call.head.clone());
                        match &fault {
                            None | Some(Fault::LostReply | Fault::Late(_)) => state.perform(&call),
                            Some(_) => (0, Value::Null),
                        }
                    };
                    if let Some(Fault::Late(time)) = &fault {
                        sleep(*time).await;
                    }
                    let (status, reply) = match fault {
                        None | Some(Fault::Late(_)) => {
                            (status, if reply.is_null() { String::new() } else { reply.to_string() })
                        }
                        Some(Fault::Http(status, body)) => (status, body),
                        Some(Fault::LostReply | Fault::Reset) => return connection.reset(),
                        Some(Fault::Hang) => return connection.hang().await,
                    };
                    let length = if status == 204 {
                        String::new()
                    } else {
                        format!("content-length: {}\r\n", reply.len())
                    };
                    connection.write(format!("HTTP/1.1 {status} X\r\n{length}\r\n{reply}")).await;
                }
            }
        })
        .await;
        Aws { server, state }
    }

    /// Settings that make the function call this server.
    pub(crate) fn settings(&self) -> [(&str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL", self.server.url.as_str()),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ]
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The mapping's state, and whether it has the mark.
    pub(crate) fn mapping(&self) -> (&'static str, bool) {
        let state = self.state();
        (state.mapping, state.is_marked())
    }

    /// The calls since the last time.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state().calls)
    }
}
