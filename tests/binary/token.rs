//! The process reads its token from a store, and no log line has the token.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use lab::perseus::{Perseus, Reply};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use crate::support::*;

/// A fake AWS Parameters and Secrets Lambda Extension.
struct Extension {
    port: String,
    calls: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Extension {
    /// Answers with these replies in order, and repeats the last one. Requests without the right session token are refused
    /// and not counted.
    async fn start(replies: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let calls = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&calls);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    stream.read_buf(&mut head).await.unwrap();
                }
                let reply = if String::from_utf8_lossy(&head).contains("SessionMarker") {
                    replies[counter.fetch_add(1, Relaxed).min(replies.len() - 1)].clone()
                } else {
                    answer("401 Unauthorized", "")
                };
                // The client closes the connection when a reply is too long.
                let _ = stream.write_all(reply.as_bytes()).await;
            }
        });
        Extension { port, calls, _tasks: tasks }
    }

    /// Settings that make the function read its token here.
    fn settings(&self) -> [(&str, &str); 4] {
        [
            ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
            ("RUST_LOG", "trace"),
            ("AWS_SESSION_TOKEN", "SessionMarker"),
            ("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", &self.port),
        ]
    }
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// A secret with this text.
fn secret(text: &str) -> String {
    answer("200 OK", &json!({"SecretString": text, "Name": "ReplyMarker"}).to_string())
}

const MISSING: &str = "there is no token for Perseus; nothing is sent in this invocation";

#[tokio::test]
async fn a_token_from_a_store_is_never_logged() {
    const PRIVATE: [&str; 6] =
        ["OldMarker", "NewMarker", "BrokenMarker", "SessionMarker", "HeaderMarker", "ReplyMarker"];
    let field = |token: &str| secret(&json!({"key": format!("{token}\n")}).to_string());
    let extension = Extension::start(vec![
        answer("200 OK", "BrokenMarker"),
        field("BrokenMarker x"),
        field("OldMarker"),
        field("NewMarker"),
    ])
    .await;
    let perseus = Perseus::start(|request| {
        let token = request.headers["authorization"].to_str().unwrap();
        // Perseus quotes every secret that it has seen.
        let told = "OldMarker NewMarker HeaderMarker".to_owned();
        match (token, &request.message_ids[0][..]) {
            ("Bearer NewMarker", "a") => Reply::ok(),
            ("Bearer NewMarker", "b") => Reply::status(422).body(told),
            _ => Reply::status(401).body(told),
        }
    })
    .await;
    let own =
        [("PERSEUS_TOKEN_SECRET", "perseus#key"), ("PERSEUS_HEADERS", r#"{"x-api-key":"HeaderMarker"}"#)];
    let environment = environment(&perseus, &[&extension.settings()[..], &own].concat()).await;
    for (ids, reported) in [("a", "a"), ("a", "a"), ("a", ""), ("b", "b"), ("c", "c")] {
        let answer = environment.invoke(event(ids).to_string()).await.answer;
        assert_eq!(answer.failed_ids().join(" "), reported);
    }
    assert_eq!(perseus.received()[0].headers["x-api-key"], "HeaderMarker");

    let missing = lines(&environment, MISSING);
    let told = |field: &str| missing.iter().map(|line| line[field].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(told("lookAt"), ["PERSEUS_TOKEN_SECRET"; 2]);
    assert_eq!(
        told("reason"),
        [
            "the extension's reply cannot be read",
            "the value is empty, too long or has a character that no token has"
        ]
    );
    assert_eq!(lines(&environment, "records not sent")[0]["reason"], "there is no token");
    assert_eq!(lines(&environment, "the token was refused; there is another one").len(), 1);
    let message = "Perseus does not take what this set-up sends; nothing more is sent in this invocation";
    let refused = lines(&environment, message);
    assert_eq!(refused[0]["lookAt"], "PERSEUS_TOKEN_SECRET and PERSEUS_HEADERS");
    assert_eq!((&refused[0]["reply"], refused.len()), (&"~ ~ ~".into(), 1));
    let logs = environment.logs();
    for marker in PRIVATE {
        let leaks: Vec<_> = logs.iter().filter(|line| line.contains(marker)).collect();
        assert!(leaks.is_empty(), "{marker}: {leaks:#?}");
    }
}

#[tokio::test]
async fn a_token_rotation_with_requests_in_flight_costs_no_record() {
    let extension = Extension::start(vec![secret("OldMarker"), secret("NewMarker")]).await;
    let perseus = Perseus::start(|request| {
        let valid = if request.number < 20 { "Bearer OldMarker" } else { "Bearer NewMarker" };
        let is_valid = request.headers["authorization"] == valid;
        // Slow, so that other requests are in flight when the first is refused.
        Reply::status(if is_valid { 200 } else { 401 }).after(Duration::from_millis(20))
    })
    .await;
    let own = [
        ("PERSEUS_TOKEN_SECRET", "perseus/token"),
        ("BATCH_MAX_RECORDS", "1"),
        ("MAX_IN_FLIGHT", "8"),
        // A refused token costs no attempt.
        ("MAX_ATTEMPTS", "1"),
    ];
    let environment = environment(&perseus, &[&extension.settings()[..], &own].concat()).await;
    let ids: Vec<_> = (0..60).map(|n| format!("m{n}")).collect();
    let reported = environment.invoke(event(&ids.join(" ")).to_string()).await.answer.failed_ids();
    assert_eq!(reported, [""; 0]);
    let committed = perseus.committed();
    assert_eq!((committed.len(), committed.iter().collect::<HashSet<_>>().len()), (60, 60));
    assert_eq!(perseus.received().len() - 60, perseus.statuses().iter().filter(|s| **s == Some(401)).count());
    assert!(perseus.in_flight_peak() > 1);
    assert_eq!(extension.calls.load(Relaxed), 2, "all that were refused share one call");
    assert_eq!(lines(&environment, "the token was refused; there is another one").len(), 1);
    assert_eq!(environment.logs().len(), 2, "that line and the invocation's");
}

#[tokio::test]
async fn an_unusable_reply_of_the_store_is_logged_and_costs_no_record() {
    let bad = [
        (answer("400 Bad Request", "RubbishMarker"), "the extension answered with status 400"),
        (answer("500 Internal Server Error", "RubbishMarker"), "the extension answered with status 500"),
        (answer("200 OK", ""), "the extension's reply cannot be read"),
        (answer("200 OK", "RubbishMarker"), "the extension's reply cannot be read"),
        (answer("200 OK", r#"{"SecretString":"RubbishMarker""#), "the extension's reply cannot be read"),
        (answer("200 OK", r#"{"RubbishMarker":1}"#), "there is no text (a binary secret?)"),
        (secret(&"RubbishMarker".repeat(100_000)), "the extension's reply is too long"),
        (secret("RubbishMarker"), "the secret is no JSON object with that field as text"),
        (secret(r#"{"RubbishMarker":"x"}"#), "the secret is no JSON object with that field as text"),
        (secret(r#"{"key":{"RubbishMarker":1}}"#), "the secret is no JSON object with that field as text"),
        (secret(r#"{"key":""}"#), "the value is empty, too long or has a character that no token has"),
        (
            secret(r#"{"key":"RubbishMarker\nx"}"#),
            "the value is empty, too long or has a character that no token has",
        ),
        (
            secret(r#"{"key":"RubbishMarkerü"}"#),
            "the value is empty, too long or has a character that no token has",
        ),
        (
            secret(r#"{"key":" Bearer RubbishMarker"}"#),
            "the value is empty, too long or has a character that no token has",
        ),
    ];
    let replies = bad.iter().map(|(reply, _)| reply.clone()).chain([secret(r#"{"key":"NewMarker"}"#)]);
    let extension = Extension::start(replies.collect()).await;
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let own = [("PERSEUS_TOKEN_SECRET", "perseus/token#key")];
    let environment = environment(&perseus, &[&extension.settings()[..], &own].concat()).await;
    for _ in &bad {
        let answer = environment.invoke(event("a b").to_string()).await.answer;
        assert_eq!(answer.failed_ids(), ["a", "b"]);
    }
    assert!(perseus.received().is_empty());
    let told: Vec<_> = lines(&environment, MISSING).iter().map(|line| line["reason"].clone()).collect();
    assert_eq!(told, bad.map(|(_, reason)| reason));
    // The store recovers, and so does the function.
    assert_eq!(environment.invoke(event("a b").to_string()).await.answer.failed_ids(), [""; 0]);
    assert_eq!(perseus.received()[0].headers["authorization"], "Bearer NewMarker");
    for marker in ["RubbishMarker", "SessionMarker", "NewMarker", "ReplyMarker"] {
        let leaks: Vec<_> = environment.logs().into_iter().filter(|line| line.contains(marker)).collect();
        assert!(leaks.is_empty(), "{marker}: {leaks:#?}");
    }
}

#[tokio::test]
async fn a_store_that_is_down_is_logged_at_once() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let settings = [
        ("PERSEUS_TOKEN_SECRET", "perseus/token"),
        ("AWS_SESSION_TOKEN", "session"),
        ("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", "1"),
    ];
    let environment = environment(&perseus, &settings).await;
    let invocation = environment.invoke(event("a b").to_string()).await;
    assert_eq!(invocation.answer.failed_ids(), ["a", "b"]);
    assert!(invocation.took < Duration::from_secs(2), "{:?}", invocation.took);
    let missing = lines(&environment, MISSING);
    let reason = missing[0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("the extension cannot be reached ("), "{reason}");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_logged_and_the_answer_is_before_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_port = silent.local_addr().unwrap().port().to_string();
    let unready =
        Extension::start(vec![answer("400 Bad Request", "not ready to serve traffic, please wait")]).await;
    for (port, reason) in [
        (&silent_port, "the extension gave no answer in time"),
        (&unready.port, "the extension is not ready"),
    ] {
        let perseus = Perseus::start(|_| Reply::ok()).await;
        let settings = [
            ("CUTOFF_RESERVE", "500ms"),
            ("PERSEUS_TOKEN_PARAMETER", "/perseus/token"),
            ("AWS_SESSION_TOKEN", "SessionMarker"),
            ("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", port),
        ];
        let environment = environment(&perseus, &settings).await;
        let invocation = environment.invoke_with(within(&event("a b"), 1_000)).await;
        assert_eq!(invocation.answer.failed_ids(), ["a", "b"]);
        assert!(invocation.took < Duration::from_secs(1), "{:?}", invocation.took);
        assert!(perseus.received().is_empty());
        let missing = lines(&environment, MISSING);
        assert_eq!(missing.len(), 1);
        assert_eq!(missing[0]["lookAt"], "PERSEUS_TOKEN_PARAMETER");
        assert_eq!(missing[0]["reason"], reason);
    }
}
