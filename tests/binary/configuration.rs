//! How the process reports a wrong configuration.

use std::process::Command;

use lab::{
    environment::{Environment, StartError},
    perseus::{Perseus, Reply},
};
use tokio::{io::AsyncReadExt, net::TcpListener};

use crate::support::*;

#[tokio::test]
async fn lambda_gets_all_configuration_problems_at_once() {
    let refusal = Environment::builder(BINARY)
        .env("PERSEUS_URL", "https://user:hunter2@perseus.example/")
        .env("PERSEUS_TOKEN", "hunter2 with spaces")
        .env("PERSEUS_TOKEN_SECRET", "hunter2 with spaces")
        .env("PERSEUS_HEADERS", "hunter2")
        .env("PERSEUS_CA_CERT", "hunter2")
        .env("BATCH_MAX_RECORDS", "none")
        .env("REQUEST_TIMEOUT", "10")
        .env("SQS_VISIBILITY", "on")
        .env("REJECTED_QUEUE_URL", "https://hunter2.example/")
        .env("AWS_SECRET_ACCESS_KEY", "hunter2 with spaces")
        .start()
        .await
        .unwrap_err();
    let StartError::Init { kind, message, exit } = refusal else { panic!("{refusal:?}") };
    assert_eq!(kind, "Runtime.InvalidConfiguration");
    assert_ne!(exit, Some(0));
    for variable in [
        "PERSEUS_URL",
        "PERSEUS_TOKEN",
        "PERSEUS_TOKEN_SECRET",
        "PERSEUS_HEADERS",
        "PERSEUS_CA_CERT",
        "BATCH_MAX_RECORDS",
        "REQUEST_TIMEOUT",
        "REJECTED_QUEUE_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    ] {
        assert!(message.contains(&format!("{variable}: ")), "{variable} in {message}");
    }
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn outside_lambda_the_binary_explains_itself() {
    let run = Command::new(BINARY).env_clear().output().unwrap();
    assert!(!run.status.success());
    let said = String::from_utf8(run.stdout).unwrap();
    assert!(said.contains("AWS_LAMBDA_RUNTIME_API is not set"), "{said}");
}

#[tokio::test]
async fn a_variable_of_an_earlier_version_is_warned_of_once_and_accepted() {
    const TOLD: &str = "BATCH_MAX_WAIT is set and has no effect any more: no batch waits for more records";
    let perseus = Perseus::start(|_| Reply::ok()).await;
    for (value, told) in [("200ms", 1), ("banana", 1), ("", 0)] {
        let environment = environment(&perseus, &[("BATCH_MAX_WAIT", value)]).await;
        for _ in 0..2 {
            assert_eq!(environment.invoke(event("a").to_string()).await.answer.failed_ids(), [""; 0]);
        }
        assert_eq!(lines(&environment, TOLD).len(), told, "{value}");
    }
}

/// `cargo lambda watch` sets `AWS_LAMBDA_RUNTIME_API` to a URL.
#[tokio::test]
async fn the_runtime_api_can_be_a_url() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut function = tokio::process::Command::new(BINARY)
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", format!("http://{}/name", listener.local_addr().unwrap()))
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.contains(&b'\n') {
        assert!(stream.read_buf(&mut head).await.unwrap() > 0);
    }
    assert!(head.starts_with(b"POST /name/2018-06-01/runtime/init/error HTTP/1.1\r\n"), "{head:?}");
    drop(stream);
    assert!(!function.wait().await.unwrap().success());
}
