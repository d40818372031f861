//! What the circuit breaker and its prober log and count.

use lab::{
    environment::Environment,
    perseus::{Perseus, Received, Reply},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::support::*;

const UUID: &str = "14e0db71-5d35-4eb5-b481-8945cf9d10c2";
/// The queue of the event, and of the mapping.
const QUEUE_ARN: &str = "arn:aws:sqs:eu-central-1:123456789012:queue";
const FUNCTION_ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:perseus-forwarder";
const SINCE: &str = "2026-01-01T00:00:00Z";

/// A fake AWS. It performs nothing: each call has one reply.
struct Aws {
    url: String,
    _tasks: JoinSet<()>,
}

/// What it says.
#[derive(Clone, Copy)]
struct Says {
    /// The state of the mapping.
    state: &'static str,
    /// The cause on the mark of the mapping, which may have none.
    mark: Option<&'static str>,
    /// The status of the reply to a mark.
    tag: u16,
}

impl Aws {
    async fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(BufStream::new(stream), says));
            }
        });
        Aws { url, _tasks: tasks }
    }
}

/// Answers the requests of a connection.
async fn serve(mut stream: BufStream<TcpStream>, says: Says) {
    loop {
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let start = head.len();
            if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
            let header = head[start..].to_ascii_lowercase();
            length = header.strip_prefix("content-length: ").map_or(length, |n| n.trim().parse().unwrap());
        }
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        let (status, reply) = reply(&head, says);
        let reply = if status == 204 { String::new() } else { reply.to_string() };
        let reply = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{reply}", reply.len());
        stream.write_all(reply.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
    }
}

fn reply(head: &str, says: Says) -> (u16, Value) {
    let mapping = |state: &str| {
        json!({
            "UUID": UUID, "State": state, "EventSourceArn": QUEUE_ARN, "FunctionArn": FUNCTION_ARN,
            "EventSourceMappingArn": format!("arn:aws:lambda:eu-central-1:123456789012:event-source-mapping:{UUID}"),
        })
    };
    let tags = says.mark.map_or(
        json!({}),
        |cause| json!({"perseus-forwarder:paused-since": SINCE, "perseus-forwarder:paused-for": cause}),
    );
    let message = json!({
        "MessageId": "m", "ReceiptHandle": "r", "MD5OfBody": "0", "Body": "{}",
        "Attributes": {"ApproximateReceiveCount": "2"},
    });
    let policy = json!({"RedrivePolicy": r#"{"maxReceiveCount":4,"deadLetterTargetArn":"arn"}"#});
    match head.split_once(' ').unwrap() {
        ("GET", path) if path.starts_with("/2015-03-31/event-source-mappings/?") => {
            (200, json!({"EventSourceMappings": [mapping(says.state)]}))
        }
        ("GET", path) if path.starts_with("/2015") => (200, mapping(says.state)),
        ("GET", _) => (200, json!({"Tags": tags})),
        ("PUT", _) => (202, mapping("Enabling")),
        ("POST", path) if path.starts_with("/2017") => (says.tag, json!({"Message": "no"})),
        ("POST", _) if head.contains("AmazonSQS.ReceiveMessage") => (200, json!({"Messages": [message]})),
        ("POST", _) if head.contains("AmazonSQS.GetQueueAttributes") => (200, json!({"Attributes": policy})),
        ("DELETE", _) => (204, json!(null)),
        _ => (200, json!({})),
    }
}

/// The function in an account that says this, in front of a Perseus with these statuses. The last one is repeated.
async fn started(says: Says, statuses: &'static [u16], own: &[(&str, &str)]) -> (Aws, Perseus, Environment) {
    let aws = Aws::start(says).await;
    let status = |request: &Received| statuses[request.number.min(statuses.len() - 1)];
    let perseus = Perseus::start(move |request| Reply::status(status(request))).await;
    let account = [
        ("AWS_ENDPOINT_URL", aws.url.as_str()),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let environment = environment(&perseus, &[&account[..], own].concat()).await;
    (aws, perseus, environment)
}

async fn prober(
    state: &'static str,
    mark: Option<&'static str>,
    statuses: &'static [u16],
) -> (Aws, Perseus, Environment) {
    let says = Says { state, mark, tag: 204 };
    // The URL of the queue is where SQS is called.
    let queue = "https://sqs.eu-central-1.amazonaws.com/123456789012/queue";
    let own = [
        ("_HANDLER", "prober"),
        ("PROBE_MAPPING", UUID),
        ("PROBE_QUEUE_URL", queue),
        ("METRICS", "on"),
        ("MAX_ATTEMPTS", "1"),
    ];
    let started = started(says, statuses, &own).await;
    started.2.invoke("{}").await;
    started
}

/// The only line with this message.
fn line(environment: &Environment, message: &str) -> Value {
    let mut lines = lines(environment, message);
    assert_eq!(lines.len(), 1, "{message}: {lines:?}");
    lines.remove(0)
}

#[tokio::test]
async fn each_run_of_the_prober_says_what_it_found_and_did() {
    for (state, mark, statuses, found, tried, paused) in [
        ("Enabled", None, &[200], "enabled", 0, false),
        ("Disabled", None, &[200], "disabled", 0, false),
        ("Disabling", Some("set-up"), &[200], "changing", 0, true),
        ("Disabled", Some("outage"), &[503], "disabled", 1, true),
        ("Disabled", Some("outage"), &[200], "disabled", 1, false),
        ("Disabled", Some("set-up"), &[200], "disabled", 1, false),
    ] {
        let (_aws, _perseus, environment) = prober(state, mark, statuses).await;
        let settled = line(&environment, "probe settled");
        let fields = ["mapping", "pausedSince", "pausedFor", "tried", "paused"].map(|name| &settled[name]);
        let since = mark.map(|_| SINCE);
        assert_eq!(
            fields,
            [&json!(found), &json!(since), &json!(mark), &json!(tried), &json!(paused)],
            "{state}, {mark:?}, {statuses:?}"
        );
        assert!((1..=30_000).contains(&settled["timeLeftMs"].as_u64().unwrap()), "{settled}");
        let counted: Vec<_> =
            documents(&environment).filter_map(|line| line.get("BreakerPaused").cloned()).collect();
        assert_eq!(counted, [json!(u8::from(paused))], "{state}, {mark:?}, {statuses:?}");
    }
}

/// One that is not received again counts too, and so does the message that is received after it.
#[tokio::test]
async fn each_message_that_the_prober_sends_counts_as_tried() {
    let (_aws, _perseus, environment) = prober("Disabled", Some("outage"), &[503, 503, 200]).await;
    for _ in 0..2 {
        environment.invoke("{}").await;
    }
    let tried: Vec<_> =
        lines(&environment, "probe settled").into_iter().map(|line| line["tried"].clone()).collect();
    assert_eq!(tried, [1, 1, 2]);
}

#[tokio::test]
async fn the_prober_says_that_it_resumes_delivery_and_since_when_it_was_paused() {
    let (_aws, _perseus, environment) = prober("Disabled", Some("outage"), &[200]).await;
    assert_eq!(line(&environment, "delivery is resumed")["pausedSince"], SINCE);
    assert_eq!(line(&environment, "delivery is resumed")["level"], "INFO");
}

#[tokio::test]
async fn the_forwarder_says_that_it_pauses_delivery_and_why_or_why_it_cannot() {
    let own = [("CIRCUIT_BREAKER", "on"), ("CIRCUIT_BREAKER_AFTER", "0s")];
    let mut event = event("a");
    event["Records"][0]["eventSourceARN"] = json!(QUEUE_ARN);
    for (tag, message, field, value) in [
        (
            204,
            "delivery is paused: messages wait in the queue, and one a minute is tried",
            "pausedFor",
            "set-up",
        ),
        (403, "delivery not paused: the calls to Lambda's API failed", "reason", "TagResource: "),
    ] {
        // The mark is there once it is put there.
        let says = Says { state: "Enabled", mark: Some("set-up"), tag };
        let (_aws, _perseus, environment) = started(says, &[401], &own).await;
        environment.invoke(event.to_string()).await;
        let line = line(&environment, message);
        assert_eq!(line["level"], "WARN");
        assert!(line[field].as_str().unwrap().starts_with(value), "{line}");
    }
}
