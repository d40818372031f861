//! Standard output that nobody reads.

use std::{io::Read, process::Stdio};

use bytes::Bytes;
use lab::perseus::{Perseus, Reply};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::Command,
};

use crate::support::*;

/// A minimal Runtime API, so that the test itself reads the function's standard output.
struct Api(TcpListener);

impl Api {
    async fn start() -> Self {
        Api(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }
}

/// The function's connection to the Runtime API.
struct Line(TcpStream);

impl Line {
    /// Reads a whole request and returns its head.
    async fn request(&mut self) -> String {
        let mut bytes = Vec::new();
        loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
                let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                if bytes.len() >= end + 4 + length.map_or(0, |length| length.parse().unwrap()) {
                    return head;
                }
            }
            assert!(self.0.read_buf(&mut bytes).await.unwrap() > 0, "the function hung up");
        }
    }

    /// Answers the pending `next` with the event, and waits for the function's answer and its following `next`.
    async fn invoke(&mut self, event: &Value) {
        let event = Bytes::from(event.to_string());
        let head = format!(
            "HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id: id\r\nlambda-runtime-deadline-ms: 30000\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            event.len()
        );
        self.0.write_all(head.as_bytes()).await.unwrap();
        self.0.write_all(&event).await.unwrap();
        assert!(self.request().await.contains("/invocation/id/response"));
        self.0.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        assert!(self.request().await.contains("/invocation/next"));
    }
}

#[tokio::test]
async fn a_full_pipe_delays_no_answer_and_the_dropped_lines_are_counted() {
    // Every other record fails. In an outage there would be fewer log lines.
    let perseus =
        Perseus::start(|request| Reply::status(if request.number % 2 == 0 { 200 } else { 500 })).await;
    let api = Api::start().await;
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut function = Command::new(BINARY)
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", api.address())
        .env("AWS_LAMBDA_FUNCTION_NAME", "f")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("PERSEUS_URL", perseus.url())
        .env("BATCH_MAX_RECORDS", "1")
        .env("MAX_ATTEMPTS", "1")
        .env("METRICS", "on")
        .stdout(Stdio::from(writer))
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = Line(api.0.accept().await.unwrap().0);
    assert!(line.request().await.contains("/invocation/next"));
    // One line for each failed record, more than the pipe holds; then more lines into the full pipe.
    let ids: Vec<_> = (0..1_000).map(|n| format!("message-{n}")).collect();
    let large = event(&ids.join(" "));
    for _ in 0..3 {
        line.invoke(&large).await;
    }
    // The reader reads everything, so that the next lines have room.
    let mut all = vec![0; 1 << 16];
    let read = reader.read(&mut all).unwrap();
    all.truncate(read);
    line.invoke(&event("last")).await;
    function.kill().await.unwrap();
    reader.read_to_end(&mut all).unwrap();
    let all = String::from_utf8(all).unwrap();
    let documents: Vec<Value> = all.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let counts =
        documents.iter().filter(|line| line["message"] == "log lines dropped: standard output was full");
    let counts: Vec<_> =
        counts.map(|line| (line["level"].as_str(), line["lines"].as_u64().unwrap() > 0)).collect();
    assert_eq!(counts, [(Some("WARN"), true)]);
    let mut settled = documents.iter().filter(|line| line["message"] == "invocation settled");
    assert_eq!(settled.next_back().unwrap()["received"], 1, "the last invocation's line is there");
    let mut metrics = documents.iter().filter(|line| line.get("_aws").is_some());
    assert_eq!(metrics.next_back().unwrap()["Received"], 1, "and so are its metrics");
}
