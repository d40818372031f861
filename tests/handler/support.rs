//! Events, configurations and servers for the tests.

pub(crate) mod aws;
pub(crate) mod extension;
pub(crate) mod proxy;
pub(crate) mod sqs;
pub(crate) mod tls;

use std::{collections::HashMap, ffi::OsString, time::Duration};

use lab::perseus::{Perseus, Received, Reply};
use lambda_runtime::Context;
use perseus_forwarder::{config::Config, decode::event::EventError, lambda::handler::Handler};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A handler that posts to `url`, with these settings.
pub(crate) fn handler(url: &str, settings: &[(&str, &str)]) -> Handler {
    // The same jitter in each run.
    fastrand::seed(7);
    let mut variables: HashMap<_, _> = settings.iter().copied().collect();
    variables.insert("PERSEUS_URL", url);
    let config = Config::from_lookup(|name| variables.get(name).map(OsString::from)).unwrap();
    Handler::new(config).unwrap()
}

/// A Perseus that answers like this, and a handler that posts to it.
pub(crate) async fn forwarder(
    settings: &[(&str, &str)],
    answer: impl FnMut(&Received) -> Reply + Send + 'static,
) -> (Perseus, Handler) {
    let perseus = Perseus::start(answer).await;
    let handler = handler(&perseus.url(), settings);
    (perseus, handler)
}

/// An invocation with `left` until its deadline.
///
/// The deadline is a duration: a date would be compared with the wall clock, which is not paused.
pub(crate) fn context(left: Duration) -> Context {
    let mut context = Context::default();
    context.request_id = "request".to_owned();
    context.deadline = u64::try_from(left.as_millis()).unwrap();
    context
}

/// The reported ids of an event, with 30 s until the deadline.
pub(crate) async fn report(handler: &Handler, event: &Value) -> Vec<String> {
    report_within(handler, event, 30 * SECOND).await
}

/// The reported ids of an event, with `left` until the deadline.
pub(crate) async fn report_within(handler: &Handler, event: &Value, left: Duration) -> Vec<String> {
    try_report(handler, event.to_string().as_bytes(), left).await.unwrap()
}

pub(crate) async fn try_report(
    handler: &Handler,
    payload: &[u8],
    left: Duration,
) -> Result<Vec<String>, EventError> {
    let response = handler.handle(payload, &context(left)).await?;
    Ok(response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect())
}

/// A record of a standard queue.
pub(crate) fn record(id: &str, body: &str) -> Value {
    json!({
        "messageId": id,
        "receiptHandle": "handle",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183"},
        "messageAttributes": {},
        "md5OfBody": "0",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:queue",
        "awsRegion": "eu-west-1",
    })
}

/// An event of these records.
pub(crate) fn event_of(records: impl IntoIterator<Item = Value>) -> Value {
    json!({"Records": records.into_iter().collect::<Vec<_>>()})
}

/// An event of a standard queue with these ids, separated by spaces.
pub(crate) fn event(ids: &str) -> Value {
    event_of(ids.split_whitespace().map(|id| record(id, r#"{"n":1}"#)))
}

/// An event of a standard queue with the ids `m0`, `m1`, …
pub(crate) fn numbered(records: usize) -> Value {
    event_of((0..records).map(|n| record(&format!("m{n}"), "1")))
}

/// An event of a FIFO queue: the first letter of each id is its group.
pub(crate) fn fifo(ids: &str) -> Value {
    event_of(ids.split_whitespace().map(|id| {
        let mut record = record(id, "1");
        record["eventSourceARN"] = json!("arn:aws:sqs:eu-west-1:123456789012:queue.fifo");
        record["attributes"]["MessageGroupId"] = json!(id[..1]);
        record["attributes"]["SequenceNumber"] = json!("18849496460467696128");
        record
    }))
}

/// The message ids of each request so far, separated by spaces.
pub(crate) fn posted(perseus: &Perseus) -> Vec<String> {
    perseus.received().iter().map(|request| request.message_ids.join(" ")).collect()
}

/// Whether a request holds this record.
pub(crate) fn holds(request: &Received, id: &str) -> bool {
    request.message_ids.iter().any(|posted| posted == id)
}

/// A server on a raw socket. `serve` handles each connection; they are numbered from 0.
pub(crate) struct RawServer {
    pub(crate) url: String,
    requests: mpsc::UnboundedReceiver<()>,
    server: tokio::task::JoinHandle<()>,
}

impl RawServer {
    pub(crate) async fn start<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(usize, Connection) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (counter, requests) = mpsc::unbounded_channel();
        #[expect(clippy::disallowed_methods, reason = "a server has to run beside the handler")]
        let server = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                // Otherwise small writes wait for an acknowledgement, in real time.
                stream.set_nodelay(true).unwrap();
                connections.spawn(serve(number, Connection { stream, counter: counter.clone() }));
            }
        });
        RawServer { url, requests, server }
    }

    /// How many whole requests have come since the last call.
    pub(crate) fn requests(&mut self) -> usize {
        std::iter::from_fn(|| self.requests.try_recv().ok()).count()
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A connection of a [`RawServer`].
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    counter: mpsc::UnboundedSender<()>,
}

impl Connection {
    /// A connection whose requests are not counted.
    pub(crate) fn of(stream: TcpStream) -> Self {
        Connection { stream, counter: mpsc::unbounded_channel().0 }
    }

    /// Reads one whole request. False if the client closed the connection instead.
    pub(crate) async fn request(&mut self) -> bool {
        self.receive().await.is_some()
    }

    /// Reads one whole request: its head and its body. None if the client closed the connection instead.
    pub(crate) async fn receive(&mut self) -> Option<(String, Vec<u8>)> {
        let mut bytes = Vec::new();
        loop {
            if let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
                let lower = text.to_lowercase();
                let length =
                    lower.split("content-length:").nth(1).map_or("0", |rest| rest.lines().next().unwrap());
                if bytes.len() >= head + 4 + length.trim().parse::<usize>().unwrap() {
                    let _ = self.counter.send(());
                    return Some((text, bytes.split_off(head + 4)));
                }
            }
            if self.stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        // The client may have closed the connection. The test sees what follows from that.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Closes the connection with a reset.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// Leaves the connection open and silent.
    pub(crate) async fn hang(self) {
        std::future::pending().await
    }
}
