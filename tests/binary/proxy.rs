//! The function ignores proxies that the environment names.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use lab::perseus::{Perseus, Reply};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use crate::support::*;

/// A server that answers each connection with this, and counts the connections.
async fn server(tasks: &mut JoinSet<()>, reply: String) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&connections);
    tasks.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counter.fetch_add(1, Relaxed);
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap_or(0) > 0 {}
            let _ = stream.write_all(reply.as_bytes()).await;
        }
    });
    (port, connections)
}

#[tokio::test]
async fn requests_to_perseus_and_the_extension_use_no_proxy() {
    let mut tasks = JoinSet::new();
    let (proxy, through_proxy) =
        server(&mut tasks, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned()).await;
    let secret = json!({"SecretString": "hunter2", "Name": "x"}).to_string();
    let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{secret}", secret.len());
    let (extension, to_extension) = server(&mut tasks, reply).await;
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
