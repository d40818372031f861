//! What is logged, and what is never logged.

use std::collections::BTreeSet;

use lab::perseus::{Perseus, Received, Reply};
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn each_invocation_logs_one_line_with_its_counts() {
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
    // "a" is refused alone with 400. Of "b c", "c" is accepted and "b" is retryable, is sent again and fails.
    assert_eq!(answer.failed_ids(), ["a", "b", "d"]);
    assert_eq!(counts, [4, 1, 2, 1, 0, 3, 5, 2, 1]);
    let left = lines[0]["timeLeftMs"].as_u64().unwrap();
    assert!((1..=30_000).contains(&left), "{left}");
    // A release build names its commit instead.
    assert_eq!(lines[0]["version"], concat!(env!("CARGO_PKG_VERSION"), "+debug"));
}

#[tokio::test]
async fn each_failed_batch_logs_one_line_with_its_reason_and_ids() {
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
async fn a_reply_that_is_not_from_perseus_is_an_error_that_names_the_setting() {
    let page = |_: &Received| Reply::ok().header("content-type", "text/html").body("<html>Sign in</html>");
    let perseus = Perseus::start(page).await;
    let environment = environment(&perseus, &[("MAX_ATTEMPTS", "2"), ("BATCH_MAX_RECORDS", "1")]).await;
    let answer = environment.invoke(event("a b").to_string()).await.answer;
    assert_eq!(answer.failed_ids(), ["a", "b"]);
    let errors =
        lines(&environment, "a reply that does not come from Perseus: nothing in it counts as acknowledged");
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!((&error["level"], &error["status"]), (&json!("ERROR"), &json!(200)));
    assert_eq!(error["reason"], "an HTML page");
    assert!(error["lookAt"].as_str().unwrap().contains("PERSEUS_URL"), "{error}");
    assert_eq!(lines(&environment, "batch failed")[0]["reason"], "status 200 with an HTML page");
}

#[tokio::test]
async fn in_strict_mode_an_empty_reply_is_an_error_that_names_the_setting() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let environment = environment(&perseus, &[("MAX_ATTEMPTS", "1"), ("PERSEUS_ACK", "body")]).await;
    let answer = environment.invoke(event("a b").to_string()).await.answer;
    assert_eq!(answer.failed_ids(), ["a", "b"]);
    let errors =
        lines(&environment, "a reply that does not come from Perseus: nothing in it counts as acknowledged");
    assert!(errors[0]["lookAt"].as_str().unwrap().contains("PERSEUS_ACK"), "{errors:?}");
}

#[tokio::test]
async fn a_perseus_that_refuses_everything_is_an_error_with_its_words() {
    let nginx = "<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>";
    for (body, content_type, look_at) in
        [("unknown version", "text/plain", "new version or schema"), (nginx, "text/html", "PERSEUS_URL")]
    {
        let perseus =
            Perseus::start(move |_| Reply::status(400).header("content-type", content_type).body(body)).await;
        let environment = environment(&perseus, &[("BATCH_MAX_RECORDS", "1"), ("METRICS", "on")]).await;
        let ids: Vec<_> = (0..100).map(|number| format!("m{number}")).collect();
        let answer = environment.invoke(event(&ids.join(" ")).to_string()).await.answer;
        assert_eq!(answer.failed_ids().len(), 100);
        let errors = lines(
            &environment,
            "Perseus refuses everything: no record is rejected, and one batch is tried in each invocation",
        );
        let [error] = &errors[..] else { panic!("{errors:?}") };
        assert_eq!((&error["level"], &error["status"]), (&json!("ERROR"), &json!(400)));
        assert!(error["lookAt"].as_str().unwrap().contains(look_at), "{error}");
        let reason = error["reason"].as_str().unwrap();
        assert!(reason.contains("unknown version") || reason.contains("plain HTTP request"), "{error}");
        let settled = &lines(&environment, "invocation settled")[0];
        assert_eq!((&settled["rejected"], &settled["received"]), (&json!(0), &json!(100)));
        assert!(documents(&environment).any(|document| document["RefusesAll"] == 1));
        assert_eq!(
            lines(&environment, "records not sent")[0]["reason"],
            "Perseus refuses everything, and is only probed"
        );
    }
}

#[tokio::test]
async fn records_refused_by_name_out_of_order_or_unreadable_are_logged() {
    let perseus = Perseus::start(|request| match request.number {
        0 => Reply::refuse(207, &[("a1", Some(true)), ("b1", Some(false))]),
        _ => Reply::ok(),
    })
    .await;
    let environment = environment(&perseus, &[]).await;
    let mut event = event("a1 a2 b1 c1 d1");
    for record in event["Records"].as_array_mut().unwrap() {
        record["eventSourceARN"] = json!("arn:aws:sqs:eu-central-1:123456789012:queue.fifo");
        record["attributes"] = json!({"MessageGroupId": record["messageId"].as_str().unwrap()[..1]});
    }
    event["Records"][3]["body"] = json!(null);
    event["Records"][4]["attributes"]["SentTimestamp"] = json!("yesterday");
    environment.invoke(event.to_string()).await;
    let told: Vec<_> = lines(&environment, "batch failed")
        .iter()
        .chain(&lines(&environment, "records cannot be read"))
        .map(|line| {
            let field = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            (field("outcome"), field("reason"), field("messageIds"), line["status"].as_u64())
        })
        .collect();
    let line = |outcome: &str, reason: &str, ids: &str, status| {
        (outcome.to_owned(), reason.to_owned(), ids.to_owned(), status)
    };
    assert_eq!(
        told,
        [
            line("rejected", "refused by name", "b1", Some(207)),
            line("errored", "taken before one that was refused", "a2", Some(207)),
            line("rejected", "its attributes cannot be read", "d1", None),
            line("rejected", "its body is missing or no text", "c1", None),
        ]
    );
}

#[tokio::test]
async fn a_status_is_a_number_in_every_line() {
    for status in [200, 207, 400, 401, 413, 429, 501, 503] {
        let perseus = Perseus::start(move |_| Reply::status(status).body("{")).await;
        let environment = environment(&perseus, &[("MAX_ATTEMPTS", "1")]).await;
        environment.invoke(event("a").to_string()).await;
        let with_status: Vec<_> = documents(&environment).filter(|line| !line["status"].is_null()).collect();
        assert!(!with_status.is_empty(), "{status}");
        assert!(with_status.iter().all(|line| line["status"] == status), "{with_status:?}");
    }
}

#[tokio::test]
async fn lines_have_the_first_ids_and_the_debug_level_has_all() {
    let ids: Vec<_> = (0..1_200).map(|number| format!("m{number}")).collect();
    for (level, status) in [("INFO", 500), ("DEBUG", 500)] {
        let perseus = Perseus::start(move |_| Reply::status(status)).await;
        let settings =
            [("AWS_LAMBDA_LOG_LEVEL", level), ("MAX_ATTEMPTS", "1"), ("BATCH_MAX_RECORDS", "10000")];
        let environment = environment(&perseus, &settings).await;
        environment.invoke(event(&ids.join(" ")).to_string()).await;
        let failed = &lines(&environment, "batch failed")[0];
        assert_eq!(failed["records"], 1_200);
        assert_eq!(failed["messageIds"], ids[..20].join(" "));
        let reported: Vec<_> = lines(&environment, "records reported")
            .iter()
            .flat_map(|line| {
                line["messageIds"].as_str().unwrap().split(' ').map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(reported, if level == "DEBUG" { ids.clone() } else { Vec::new() });
        assert!(environment.logs().iter().all(|line| line.len() < 64 << 10));
    }
}

/// A reply that quotes all private parts of the request in this manner.
fn quoted(request: &Received, manner: &str) -> String {
    let headers = request.headers.values().map(|value| value.to_str().unwrap());
    let all = format!("{} {}", headers.collect::<Vec<_>>().join(" "), String::from_utf8_lossy(&request.body));
    // Private words only, because an excerpt is short.
    let all = format!("{all} BodyMarker TokenMarker HeaderMarker QueryMarker AttributeMarker");
    let words = all.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.contains("Marker"));
    let say = |word: &str| match manner {
        "upper" => word.to_uppercase(),
        "lower" => word.to_lowercase(),
        "escaped" => format!(r"\u0022{word}\u0022"),
        "percent" => format!("%22{word}%22"),
        _ => word.to_owned(),
    };
    words.collect::<BTreeSet<_>>().into_iter().map(say).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn nothing_private_is_logged_at_any_level() {
    const PRIVATE: [&str; 10] = [
        "BodyMarker",
        "AttributeMarker",
        "HandleMarker",
        "TokenMarker",
        "SenderMarker",
        "ReplyMarker",
        "SecretMarker",
        "SessionMarker",
        "HeaderMarker",
        "QueryMarker",
    ];
    // Lambda's levels, and the variable that Rust's tools read.
    let levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].map(|level| (level, "trace"));
    for (level, rust_log) in levels.into_iter().chain([("", "trace"), ("", "")]) {
        let perseus = Perseus::start(|request| {
            let id = request.message_ids[0].as_str();
            match id {
                // These are no refusals: nothing of the reply is logged.
                "busy" => Reply::status(503).body("ReplyMarker"),
                "garbled" => Reply::ok().body("{\"ReplyMarker\""),
                "named" => Reply::refuse(207, &[("ReplyMarker", None)]),
                "wrong" => Reply::status(403).body(quoted(request, "plain")),
                // Refusals: an excerpt is logged, without words of the request.
                manner => Reply::status(422).body(quoted(request, manner)),
            }
        })
        .await;
        let url = format!("{}?key=QueryMarker", perseus.url());
        let settings = [
            ("PERSEUS_URL", url.as_str()),
            ("AWS_LAMBDA_LOG_LEVEL", level),
            ("RUST_LOG", rust_log),
            ("PERSEUS_TOKEN", "TokenMarker"),
            ("PERSEUS_HEADERS", r#"{"x-api-key":"HeaderMarker"}"#),
            ("METRICS", "on"),
            ("BATCH_MAX_RECORDS", "1"),
            ("MAX_IN_FLIGHT", "1"),
            ("MAX_ATTEMPTS", "1"),
            // The calls to SQS fail too, and are logged.
            ("SQS_VISIBILITY", "on"),
            ("REJECTED_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/dead"),
            ("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1/"),
            ("AWS_ACCESS_KEY_ID", "SecretMarker"),
            ("AWS_SECRET_ACCESS_KEY", "SecretMarker"),
            ("AWS_SESSION_TOKEN", "SessionMarker"),
        ];
        let environment = environment(&perseus, &settings).await;
        let mut event = event("plain upper lower escaped percent busy garbled named wrong late bad");
        let records = event["Records"].as_array_mut().unwrap();
        for record in &mut *records {
            record["body"] = json!("{\"BodyMarker\":\"BodyMarker\"}");
            record["receiptHandle"] = json!("HandleMarker");
            record["eventSourceARN"] = json!("arn:aws:sqs:eu-central-1:123456789012:queue");
            record["attributes"] = json!({"SenderId": "SenderMarker"});
            record["messageAttributes"] =
                json!({"x": {"dataType": "String", "stringValue": "AttributeMarker"}});
        }
        let bad = records.last_mut().unwrap();
        bad["messageAttributes"]["x"] = json!({"dataType": "Binary", "binaryValue": ["BodyMarker!"]});
        let mut told_to_lambda = vec![environment.invoke(event.to_string()).await];
        event["Records"][0]["messageId"] = json!({"BodyMarker": "HandleMarker"});
        told_to_lambda.push(environment.invoke(event.to_string()).await);
        told_to_lambda.push(environment.invoke("BodyMarker").await);
        assert_eq!(perseus.received().len(), 9, "{level}");
        let mut logs = environment.logs();
        let told = match level {
            "ERROR" | "FATAL" => &["nothing more is sent in this invocation", "event refused"][..],
            _ => &["visibility timeouts not changed", "rejected records not sent", "status 422: ~"],
        };
        for told in told {
            assert!(logs.iter().any(|line| line.contains(told)), "{level}: {told}: {logs:#?}");
        }
        logs.extend(told_to_lambda.iter().map(|invocation| format!("{invocation:?}")));
        for marker in PRIVATE.map(str::to_lowercase) {
            let leaks: Vec<_> = logs.iter().filter(|line| line.to_lowercase().contains(&marker)).collect();
            assert!(leaks.is_empty(), "{level}: {leaks:#?}");
        }
    }
}

#[tokio::test]
async fn the_log_level_of_lambda_applies() {
    let perseus = Perseus::start(|_| Reply::status(404)).await;
    for (level, errors_alone) in [("ERROR", true), ("FATAL", true), ("INFO", false)] {
        let environment = environment(&perseus, &[("AWS_LAMBDA_LOG_LEVEL", level)]).await;
        environment.invoke(event("a").to_string()).await;
        let logs = environment.logs();
        assert!(!logs.is_empty());
        assert_eq!(logs.iter().all(|line| line.contains("\"ERROR\"")), errors_alone, "{level}: {logs:?}");
    }
}
