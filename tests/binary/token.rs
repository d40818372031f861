//! A token out of a store, as the whole process reads it, and logs that say nothing of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use lab::perseus::{Perseus, Reply};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use crate::support::*;

/// Plays the extension, on `listener`, for as long as the returned set lives: these bodies one after the other,
/// the last one for ever.
fn extension(listener: TcpListener, bodies: Vec<String>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let calls = Arc::new(AtomicUsize::new(0));
    tasks.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut head).await.unwrap();
            }
            let is_known = String::from_utf8_lossy(&head).contains("SessionMarker");
            let body = &bodies[calls.fetch_add(usize::from(is_known), Relaxed).min(bodies.len() - 1)];
            let (status, length) = (if is_known { "200 OK" } else { "401 Unauthorized" }, body.len());
            let reply = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.write_all(reply.as_bytes()).await.unwrap();
        }
    });
    tasks
}

#[tokio::test]
async fn a_token_comes_from_its_store_and_is_never_logged() {
    const PRIVATE: [&str; 6] =
        ["OldMarker", "NewMarker", "BrokenMarker", "SessionMarker", "HeaderMarker", "ReplyMarker"];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let secret =
        |token: &str| format!(r#"{{"SecretString":"{{\"key\":\"{token}\\n\"}}","Name":"ReplyMarker"}}"#);
    let _extension = extension(
        listener,
        vec!["BrokenMarker".to_owned(), secret("BrokenMarker x"), secret("OldMarker"), secret("NewMarker")],
    );
    let perseus = Perseus::start(|request| {
        let token = request.headers["authorization"].to_str().unwrap();
        // One that tells every secret it has ever seen.
        let told = "OldMarker NewMarker HeaderMarker".to_owned();
        match (token, &request.message_ids[0][..]) {
            ("Bearer NewMarker", "a") => Reply::ok(),
            ("Bearer NewMarker", "b") => Reply::status(422).body(told),
            _ => Reply::status(401).body(told),
        }
    })
    .await;
    let settings = [
        ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
        ("RUST_LOG", "trace"),
        ("PERSEUS_TOKEN_SECRET", "perseus#key"),
        ("PERSEUS_HEADERS", r#"{"x-api-key":"HeaderMarker"}"#),
        ("AWS_SESSION_TOKEN", "SessionMarker"),
        ("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", &port),
    ];
    let environment = environment(&perseus, &settings).await;
    for (ids, reported) in [("a", "a"), ("a", "a"), ("a", ""), ("b", "b"), ("c", "c")] {
        let answer = environment.invoke(event(ids).to_string()).await.answer;
        assert_eq!(answer.failed_ids().join(" "), reported);
    }
    assert_eq!(perseus.received()[0].headers["x-api-key"], "HeaderMarker");

    let missing = lines(&environment, "there is no token for Perseus; nothing is sent in this invocation");
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
async fn a_store_that_is_silent_until_the_cutoff_is_told_of_and_the_answer_is_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let settings = [
        ("CUTOFF_RESERVE", "500ms"),
        ("PERSEUS_TOKEN_PARAMETER", "/perseus/token"),
        ("AWS_SESSION_TOKEN", "session"),
        ("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", &port),
    ];
    let environment = environment(&perseus, &settings).await;
    let invocation = environment.invoke_with(within(&event("a b"), 1_000)).await;
    assert_eq!(invocation.answer.failed_ids(), ["a", "b"]);
    assert!(invocation.took < Duration::from_secs(1), "{:?}", invocation.took);
    assert!(perseus.received().is_empty());
    let missing = lines(&environment, "there is no token for Perseus; nothing is sent in this invocation");
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0]["lookAt"], "PERSEUS_TOKEN_PARAMETER");
    assert_eq!(missing[0]["reason"], "the extension gave no answer in time");
}
