//! The function uses the proxy of `PERSEUS_PROXY` for Perseus alone, and ignores proxies that the environment names.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use lab::{
    environment::Environment,
    perseus::{Perseus, Reply},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use crate::support::*;

const SET_UP_WRONG: &str =
    "Perseus does not take what this set-up sends; nothing more is sent in this invocation";

/// A server that answers each connection with this, and counts the connections.
async fn server(tasks: &mut JoinSet<()>, reply: String) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&connections);
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Relaxed);
            let reply = reply.clone();
            connections.spawn(async move {
                let _ = stream.read_buf(&mut Vec::new()).await;
                let _ = stream.write_all(reply.as_bytes()).await;
                // Closing a socket with unread bytes resets the connection, and the client may lose the reply.
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    (port, connections)
}

fn reply(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn only_requests_to_perseus_use_the_configured_proxy() {
    let mut tasks = JoinSet::new();
    let (proxy, through_proxy) = server(&mut tasks, reply(503, "")).await;
    let (extension, to_extension) = server(&mut tasks, reply(200, r#"{"SecretString":"hunter2"}"#)).await;
    let (sqs, to_sqs) = server(&mut tasks, reply(403, "")).await;
    let environment = Environment::builder(BINARY)
        .env("PERSEUS_URL", "http://perseus.internal/")
        .env("PERSEUS_ALLOW_HTTP", "true")
        .env("MAX_ATTEMPTS", "1")
        .env("PERSEUS_PROXY", format!("http://127.0.0.1:{proxy}"))
        .env("PERSEUS_TOKEN_SECRET", "perseus/token")
        .env("AWS_SESSION_TOKEN", "session")
        .env("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", extension.to_string())
        .env("SQS_VISIBILITY", "on")
        .env("AWS_ACCESS_KEY_ID", "id")
        .env("AWS_SECRET_ACCESS_KEY", "key")
        .env("AWS_ENDPOINT_URL_SQS", format!("http://127.0.0.1:{sqs}/"))
        .start()
        .await
        .unwrap();
    let mut event = event("a");
    event["Records"][0]["eventSourceARN"] = json!("arn:aws:sqs:eu-central-1:123456789012:queue");
    event["Records"][0]["receiptHandle"] = json!("handle");
    event["Records"][0]["attributes"] = json!({"ApproximateReceiveCount": "1"});
    assert_eq!(environment.invoke(event.to_string()).await.answer.failed_ids(), ["a"]);
    let asked = [through_proxy, to_extension].map(|count| count.load(Relaxed));
    assert_eq!(asked, [1, 1], "{:#?}", environment.logs());
    assert!(to_sqs.load(Relaxed) > 0, "{:#?}", environment.logs());
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_and_its_password_is_never_shown() {
    let mut tasks = JoinSet::new();
    let refusal = "no hunter2, no me:hunter2, no bWU6aHVudGVyMg==";
    for (status, url, advice) in [
        (407, "https://perseus.example/", "a user and a password"),
        (403, "https://perseus.example/", "does not allow the host and port"),
        (405, "https://perseus.example/", "opens no tunnel"),
        (407, "http://127.0.0.1:1/", "a user and a password"),
        (403, "http://127.0.0.1:1/", "PERSEUS_TOKEN and PERSEUS_PROXY"),
    ] {
        let (proxy, _) = server(&mut tasks, reply(status, refusal)).await;
        let environment = Environment::builder(BINARY)
            .env("PERSEUS_URL", url)
            .env("PERSEUS_PROXY", format!("http://me:hunter2@127.0.0.1:{proxy}"))
            .env("AWS_LAMBDA_LOG_LEVEL", "TRACE")
            .start()
            .await
            .unwrap();
        let answer = environment.invoke(event("a").to_string()).await.answer;
        assert_eq!(answer.failed_ids(), ["a"]);
        let [line] = &lines(&environment, SET_UP_WRONG)[..] else { panic!("{:#?}", environment.logs()) };
        assert_eq!(line["status"], status);
        let look_at = line["lookAt"].as_str().unwrap();
        assert!(look_at.contains("PERSEUS_PROXY") && look_at.contains(advice), "{look_at}");
        let logs = environment.logs().concat();
        assert!(!logs.contains("hunter2") && !logs.contains("bWU6aHVudGVyMg"), "{logs}");
    }
}

#[tokio::test]
async fn requests_to_perseus_and_the_extension_use_no_proxy() {
    let mut tasks = JoinSet::new();
    let (proxy, through_proxy) = server(&mut tasks, reply(200, "")).await;
    let (extension, to_extension) = server(&mut tasks, reply(200, r#"{"SecretString":"hunter2"}"#)).await;
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let (proxy, extension) = (format!("http://127.0.0.1:{proxy}"), extension.to_string());
    let mut settings: Vec<_> =
        ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
            .map(|name| (name, proxy.as_str()))
            .to_vec();
    settings.extend([
        ("PERSEUS_TOKEN_SECRET", "perseus/token"),
        ("AWS_SESSION_TOKEN", "session"),
        ("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", &extension),
        // The runtime crate's own client for the Runtime API supports no proxies.
        ("SQS_VISIBILITY", "on"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "key"),
        ("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1/"),
    ]);
    let environment = environment(&perseus, &settings).await;
    let mut event = event("a b");
    event["Records"][1]["body"] = json!(null);
    event["Records"][1]["eventSourceARN"] = json!("arn:aws:sqs:eu-central-1:123456789012:queue");
    let answer = environment.invoke(event.to_string()).await.answer;
    assert_eq!(answer.failed_ids(), ["b"]);
    assert_eq!(perseus.received()[0].headers["authorization"], "Bearer hunter2");
    assert_eq!((through_proxy.load(Relaxed), to_extension.load(Relaxed)), (0, 1));
}
