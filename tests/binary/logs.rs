//! Contract, section 5: what is logged, and what never is.

use lab::perseus::{Perseus, Reply};
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn an_invocation_is_one_line_with_its_counts() {
    let perseus = Perseus::start(|request| match request.number {
        0 => Reply::status(503),
        1 => Reply::status(400),
        2 => Reply::status(400),
        3 => Reply::refuse(207, &[("b", Some(true))]),
        _ => Reply::status(500),
    })
    .await;
    let settings =
        [("RETRY_BASE", "1ms"), ("RETRY_CAP", "1ms"), ("MAX_ATTEMPTS", "2"), ("MAX_IN_FLIGHT", "1")];
    let environment = environment(&perseus, &settings).await;
    let mut event = event("a b c d");
    event["Records"][3]["body"] = json!(null);
    let answer = environment.invoke(event.to_string()).await.answer;
    let lines = lines(&environment, "invocation settled");
    assert_eq!(lines.len(), 1);
    let counts = [
        "received",
        "acknowledged",
        "rejected",
        "errored",
        "unattempted",
        "reported",
        "requests",
        "retries",
        "splits",
    ]
    .map(|count| lines[0][count].as_u64().unwrap());
    // "a" alone is refused with 400; "b c" comes back by halves: "b" for now, "c" taken; "b" fails.
    assert_eq!(answer.failed_ids(), ["a", "b", "d"]);
    assert_eq!(counts, [4, 1, 2, 1, 0, 3, 5, 2, 1]);
    let left = lines[0]["timeLeftMs"].as_u64().unwrap();
    assert!((1..=30_000).contains(&left), "{left}");
}

#[tokio::test]
async fn each_failed_batch_is_a_line_with_its_reason_and_ids() {
    let perseus =
        Perseus::start(|request| Reply::status(if request.message_ids == ["a", "b"] { 503 } else { 404 }))
            .await;
    let settings = [("BATCH_MAX_RECORDS", "2"), ("MAX_ATTEMPTS", "1"), ("MAX_IN_FLIGHT", "1")];
    let environment = environment(&perseus, &settings).await;
    environment.invoke(event("a b c d e").to_string()).await;
    let failed: Vec<_> = lines(&environment, "batch failed")
        .into_iter()
        .map(|line| (line["reason"].clone(), line["messageIds"].clone(), line["outcome"].clone()))
        .collect();
    assert_eq!(
        failed,
        [
            (json!("status 503"), json!("a b"), json!("errored")),
            (json!("status 404"), json!("c d"), json!("errored"))
        ]
    );
    assert_eq!(lines(&environment, "records not sent")[0]["messageIds"], "e");
    let errors: Vec<_> = environment.logs().into_iter().filter(|line| line.contains("\"ERROR\"")).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("PERSEUS_URL"), "{errors:?}");
}

#[tokio::test]
async fn nothing_private_is_logged_at_any_level() {
    const PRIVATE: [&str; 8] = [
        "BodyMarker",
        "AttributeMarker",
        "HandleMarker",
        "TokenMarker",
        "SenderMarker",
        "ReplyMarker",
        "SecretMarker",
        "SessionMarker",
    ];
    for level in ["TRACE", "INFO"] {
        let perseus = Perseus::start(|request| {
            let echo = String::from_utf8_lossy(&request.body).into_owned();
            match request.number {
                // Statuses whose replies are logged, if at all, in an excerpt: of what was sent, nothing.
                0 => Reply::status(400).body(echo),
                1 => Reply::status(422).body(format!("TokenMarker and {echo}")),
                // Of what is no refusal, nothing at all.
                2 => Reply::status(503).body("ReplyMarker"),
                3 => Reply::ok().body("{\"ReplyMarker\""),
                4 => Reply::refuse(207, &[("ReplyMarker", None)]),
                _ => Reply::status(403).body(echo),
            }
        })
        .await;
        let settings = [
            ("AWS_LAMBDA_LOG_LEVEL", level),
            ("PERSEUS_TOKEN", "TokenMarker"),
            ("RETRY_BASE", "1ms"),
            ("RUST_LOG", "trace"),
            // What is asked of SQS fails too, and is told.
            ("SQS_VISIBILITY", "on"),
            ("REJECTED_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/dead"),
            ("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1/"),
            ("AWS_ACCESS_KEY_ID", "SecretMarker"),
            ("AWS_SECRET_ACCESS_KEY", "SecretMarker"),
            ("AWS_SESSION_TOKEN", "SessionMarker"),
        ];
        let environment = environment(&perseus, &settings).await;
        let mut event = event("a b bad");
        for record in event["Records"].as_array_mut().unwrap() {
            record["body"] = json!("{\"BodyMarker\":\"BodyMarker\"}");
            record["receiptHandle"] = json!("HandleMarker");
            record["eventSourceARN"] = json!("arn:aws:sqs:eu-central-1:123456789012:queue");
            record["attributes"] = json!({"SenderId": "SenderMarker"});
            record["messageAttributes"] =
                json!({"x": {"dataType": "String", "stringValue": "AttributeMarker"}});
        }
        event["Records"][2]["messageAttributes"]["x"] =
            json!({"dataType": "Binary", "binaryValue": "BodyMarker!"});
        environment.invoke(event.to_string()).await;
        event["Records"][0]["messageId"] = json!({"BodyMarker": "HandleMarker"});
        environment.invoke(event.to_string()).await;
        environment.invoke("BodyMarker").await;
        assert!(perseus.received().len() > 4, "{}", perseus.received().len());
        let logs = environment.logs();
        for told in ["visibility timeouts not changed", "rejected records not sent"] {
            assert!(logs.iter().any(|line| line.contains(told)), "{told}: {logs:#?}");
        }
        for marker in PRIVATE {
            let leaks: Vec<_> = logs.iter().filter(|line| line.contains(marker)).collect();
            assert!(leaks.is_empty(), "{level}: {leaks:#?}");
        }
    }
}

#[tokio::test]
async fn lambdas_log_level_applies() {
    let perseus = Perseus::start(|_| Reply::status(404)).await;
    for (level, errors_alone) in [("ERROR", true), ("FATAL", true), ("INFO", false)] {
        let environment = environment(&perseus, &[("AWS_LAMBDA_LOG_LEVEL", level)]).await;
        environment.invoke(event("a").to_string()).await;
        let logs = environment.logs();
        assert!(!logs.is_empty());
        assert_eq!(logs.iter().all(|line| line.contains("\"ERROR\"")), errors_alone, "{level}: {logs:?}");
    }
}
