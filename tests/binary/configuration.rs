//! A configuration that is wrong, as Lambda shows it.

use std::process::Command;

use lab::environment::{Environment, StartError};

use crate::support::BINARY;

#[tokio::test]
async fn lambda_is_told_everything_that_is_wrong() {
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
fn outside_lambda_it_says_what_it_is() {
    let run = Command::new(BINARY).env_clear().output().unwrap();
    assert!(!run.status.success());
    let said = String::from_utf8(run.stdout).unwrap();
    assert!(said.contains("AWS_LAMBDA_RUNTIME_API is not set"), "{said}");
}
