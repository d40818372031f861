//! A fake SQS that answers as the test says.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use lab::perseus::{Received, Reply};
use perseus_forwarder::lambda::handler::Handler;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::*;

/// A received call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) head: String,
    pub(crate) queue_url: String,
    pub(crate) entries: Vec<Value>,
}

impl Call {
    fn read(head: String, body: &[u8]) -> Self {
        let mut body: Value = serde_json::from_slice(body).unwrap();
        let Value::Array(entries) = body["Entries"].take() else { panic!("no entries") };
        Call { head, queue_url: body["QueueUrl"].as_str().unwrap().to_owned(), entries }
    }

    /// The value of a header; the name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry["Id"].as_str().unwrap())
    }

    fn is_send(&self) -> bool {
        self.header("x-amz-target") == Some("AmazonSQS.SendMessageBatch")
    }
}

/// What SQS does with a call.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Confirms all entries.
    Confirm,
    /// Confirms all but those with these ids.
    Refuse(&'static [&'static str]),
    /// Confirms all but the first, which it does not mention.
    Forget,
    /// Confirms all, and an entry that was not sent.
    Invent,
    /// Confirms all twice.
    Repeat,
    /// Confirms and refuses all.
    Contradict,
    /// Confirms all, without the ids of the messages.
    ConfirmWithoutMessages,
    /// Answers with this status and body.
    Http(u16, String),
    /// Confirms all, in a body of this many bytes.
    Large(usize),
    /// Breaks off in the middle of confirming all.
    CutShort,
    /// Sends a byte each second and never ends.
    Trickle,
    /// Does not answer.
    Hang,
    /// Closes the connection.
    Reset,
    /// Gives this answer after a delay.
    After(Duration, Box<Answer>),
}

impl Answer {
    pub(crate) fn after(self, delay: Duration) -> Self {
        Answer::After(delay, Box::new(self))
    }
}

/// All bad answers of SQS. None may change or delay the function's answer.
pub(crate) fn misbehaviour() -> Vec<Answer> {
    let error =
        |kind: &str| json!({"__type": format!("com.amazonaws.sqs#{kind}"), "message": "no"}).to_string();
    let all = json!({"Successful": [{"Id": "0", "MessageId": "m"}, {"Id": "1", "MessageId": "m"}]});
    vec![
        Answer::Refuse(&["0"]),
        Answer::Forget,
        Answer::Invent,
        Answer::Repeat,
        Answer::Contradict,
        Answer::Http(200, "<html><body>Welcome</body></html>".to_owned()),
        Answer::Http(200, String::new()),
        Answer::Http(200, "[]".to_owned()),
        Answer::Http(202, all.to_string()),
        Answer::Http(204, String::new()),
        Answer::Http(302, String::new()),
        Answer::Http(400, error("QueueDoesNotExist")),
        Answer::Http(403, error("AccessDeniedException")),
        Answer::Http(500, all.to_string()),
        Answer::Http(500, "<html>".to_owned()),
        Answer::Http(503, error("ServiceUnavailable")),
        Answer::Large(10 << 20),
        Answer::CutShort,
        Answer::Trickle,
        Answer::Hang,
        Answer::Reset,
        Answer::Confirm.after(60 * SECOND),
    ]
}

/// A fake SQS on a free loopback port. It runs as tasks of the current runtime.
pub(crate) struct Sqs {
    server: RawServer,
    calls: Arc<Mutex<Vec<Call>>>,
    in_flight_peak: Arc<Mutex<(usize, usize)>>,
}

impl Sqs {
    /// Calls `answer` once per call, in order of arrival.
    pub(crate) async fn start(answer: impl FnMut(&Call) -> Answer + Send + 'static) -> Self {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let in_flight_peak = Arc::new(Mutex::new((0, 0)));
        let answer = Arc::new(Mutex::new(answer));
        let (noted, flying) = (Arc::clone(&calls), Arc::clone(&in_flight_peak));
        let server = RawServer::start(move |_, mut connection| {
            let (calls, flying, answer) = (Arc::clone(&noted), Arc::clone(&flying), Arc::clone(&answer));
            async move {
                while let Some((head, body)) = connection.receive().await {
                    let call = Call::read(head, &body);
                    calls.lock().unwrap().push(call.clone());
                    let answer = (answer.lock().unwrap())(&call);
                    let flight = InFlight::begin(&flying);
                    connection = serve(connection, &call, answer).await;
                    drop(flight);
                }
            }
        })
        .await;
        Sqs { server, calls, in_flight_peak }
    }

    /// Settings that make the handler call this server.
    pub(crate) fn settings(&self) -> [(&str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL_SQS", self.server.url.as_str()),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ]
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// The receipt handles and their new timeouts, in order of arrival.
    pub(crate) fn timeouts(&self) -> Vec<(String, u64)> {
        let of = |entry: &Value| {
            let handle = entry["ReceiptHandle"].as_str()?.to_owned();
            Some((handle, entry["VisibilityTimeout"].as_u64().unwrap()))
        };
        self.calls().iter().flat_map(|call| &call.entries).filter_map(of).collect()
    }

    /// The messages sent so far.
    pub(crate) fn messages(&self) -> Vec<Value> {
        self.calls().into_iter().filter(Call::is_send).flat_map(|call| call.entries).collect()
    }

    /// The most calls in flight at once.
    pub(crate) fn in_flight_peak(&self) -> usize {
        self.in_flight_peak.lock().unwrap().1
    }
}

struct InFlight<'a>(&'a Mutex<(usize, usize)>);

impl<'a> InFlight<'a> {
    fn begin(counter: &'a Mutex<(usize, usize)>) -> Self {
        let mut guard = counter.lock().unwrap();
        guard.0 += 1;
        guard.1 = guard.1.max(guard.0);
        drop(guard);
        InFlight(counter)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap().0 -= 1;
    }
}

async fn serve(mut connection: Connection, call: &Call, mut answer: Answer) -> Connection {
    while let Answer::After(delay, then) = answer {
        sleep(delay).await;
        answer = *then;
    }
    let ids: Vec<&str> = call.ids().collect();
    let done = |ids: &[&str]| -> Vec<Value> {
        ids.iter()
            .map(|id| json!({"Id": id, "MessageId": format!("new-{id}"), "MD5OfMessageBody": "x"}))
            .collect()
    };
    let failed = |ids: &[&str]| -> Vec<Value> {
        let failure = |id| json!({"Id": id, "Code": "InternalError", "SenderFault": false, "Message": "no"});
        ids.iter().map(failure).collect()
    };
    let confirmed =
        |done: Vec<Value>, failed: Vec<Value>| json!({"Successful": done, "Failed": failed}).to_string();
    let (status, body) = match answer {
        Answer::Confirm => (200, confirmed(done(&ids), Vec::new())),
        Answer::Refuse(refused) => {
            let (no, yes): (Vec<_>, Vec<_>) = ids.iter().partition(|id| refused.contains(id));
            (200, confirmed(done(&yes), failed(&no)))
        }
        Answer::Forget => (200, confirmed(done(&ids[1..]), Vec::new())),
        Answer::Invent => (200, confirmed(done(&[&ids[..], &["10"]].concat()), Vec::new())),
        Answer::Repeat => (200, confirmed(done(&[&ids[..], &ids[..]].concat()), Vec::new())),
        Answer::Contradict => (200, confirmed(done(&ids), failed(&ids))),
        Answer::ConfirmWithoutMessages => {
            let done = ids.iter().map(|id| json!({"Id": id})).collect();
            (200, confirmed(done, Vec::new()))
        }
        Answer::Http(status, body) => (status, body),
        Answer::Large(bytes) => (200, confirmed(done(&ids), Vec::new()) + &" ".repeat(bytes)),
        Answer::CutShort => {
            let body = confirmed(done(&ids), Vec::new());
            connection
                .write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len() + 1))
                .await;
            return closed(connection).await;
        }
        Answer::Trickle => {
            connection.write("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{").await;
            for _ in 0..999 {
                sleep(SECOND).await;
                connection.write(" ").await;
            }
            return connection;
        }
        Answer::Hang => std::future::pending().await,
        Answer::Reset => return closed(connection).await,
        Answer::After(..) => unreachable!("waited for above"),
    };
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
    connection.write(head + &body).await;
    connection
}

/// Ends a connection. The client sees it as closed.
async fn closed(mut connection: Connection) -> Connection {
    use tokio::io::AsyncWriteExt;
    let _ = connection.stream.shutdown().await;
    connection
}

/// A handler between a Perseus that answers like this and this SQS.
pub(crate) async fn between(
    sqs: &Sqs,
    settings: &[(&str, &str)],
    answer: impl FnMut(&Received) -> Reply + Send + 'static,
) -> (lab::perseus::Perseus, Handler) {
    forwarder(&[&sqs.settings(), settings].concat(), answer).await
}

/// The reported ids of an event, and how long the handler took.
pub(crate) async fn timed(handler: &Handler, event: &Value, left: Duration) -> (Vec<String>, Duration) {
    let start = Instant::now();
    (report_within(handler, event, left).await, start.elapsed())
}
