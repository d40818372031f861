//! The stand-in finds every breach of the contract, and nothing else.

use lab::perseus::{Perseus, Reply};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::request::{builder, records, remove, replace, request};

/// What the stand-in finds in one request, without the request's number.
async fn findings(change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Vec<String> {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    change(request(&perseus, "key", &records(&["a"]))).send().await.expect("an answer");
    perseus
        .violations()
        .iter()
        .map(|said| said.strip_prefix("request 0: ").expect("the request's number").to_owned())
        .collect()
}

async fn findings_in_record(record: Value) -> Vec<String> {
    findings(|request| request.body(json!({ "records": [record] }).to_string())).await
}

#[tokio::test(start_paused = true)]
async fn a_request_as_agreed_breaks_nothing() {
    let whole = json!({ "records": [{
        "messageId": "a", "sentTimestamp": 1_545_082_649_183_u64, "receiveCount": 1, "groupId": "g",
        "sequenceNumber": "1", "deduplicationId": "d", "traceHeader": "Root=1", "body": "text",
        "attributes": {
            "s": { "dataType": "String", "stringValue": "v" },
            "b": { "dataType": "Binary", "binaryValue": "AQI=" },
            "l": { "dataType": "String", "stringListValues": ["v"], "binaryListValues": ["AQI="] },
        },
    }] });
    let findings = findings(|request| {
        request
            .header("authorization", "Bearer secret")
            .header("traceparent", "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01")
            .body(whole.to_string())
    })
    .await;
    assert_eq!(findings, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn every_breach_in_the_headers_is_found() {
    type Change = fn(RequestBuilder) -> RequestBuilder;
    let breaches: [(&str, Change); 12] = [
        ("content-type is text/plain", |request| replace(request, "content-type", "text/plain")),
        ("content-type is missing", |request| remove(request, "content-type")),
        ("user-agent is `curl`", |request| replace(request, "user-agent", "curl")),
        ("user-agent is ``", |request| remove(request, "user-agent")),
        ("no idempotency-key", |request| remove(request, "idempotency-key")),
        ("idempotency-key is there more than once", |request| request.header("idempotency-key", "b")),
        ("traceparent `00-1-2-01` is malformed", |request| request.header("traceparent", "00-1-2-01")),
        ("authorization is not a bearer token", |request| request.header("authorization", "Basic YTpi")),
        ("accept-encoding is sent", |request| request.header("accept-encoding", "gzip")),
        ("content-md5 must not leave", |request| request.header("content-md5", "x")),
        ("does not match its content-encoding", |request| request.header("content-encoding", "gzip")),
        ("neither gzip nor zstd", |request| request.header("content-encoding", "br")),
    ];
    for (expected, change) in breaches {
        let found = findings(change).await;
        assert!(matches!(&found[..], [one] if one.contains(expected)), "{expected}: {found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_without_a_stated_length_is_found() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let address = perseus.url();
    let host = address.trim_start_matches("http://").trim_end_matches("/ingest");
    let head = "POST /ingest HTTP/1.1\r\nhost: x\r\nuser-agent: a/1\r\nidempotency-key: k\r\n\
                content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let body = records(&["a"]);
    let mut stream = tokio::net::TcpStream::connect(host).await.expect("a connection");
    let chunked = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    tokio::io::AsyncWriteExt::write_all(&mut stream, chunked.as_bytes()).await.expect("sent");
    tokio::io::AsyncReadExt::read_u8(&mut stream).await.expect("an answer");
    assert_eq!(perseus.violations(), ["request 0: no content-length"]);
}

#[tokio::test(start_paused = true)]
async fn every_breach_in_the_body_is_found() {
    let breaches = [
        ("{", "the body is not JSON"),
        ("1", "neither an object nor an array"),
        ("{}", "no `records`"),
        (r#"{"records":1}"#, "`records` is not an array"),
        (r#"{"records":[]}"#, "a batch without records"),
        ("[]", "a batch without records"),
        (r#"{"records":[1]}"#, "record 0: not an object"),
        (r#"{"records":[{"messageId":"a","body":1}],"more":1}"#, "unexpected key `more`"),
    ];
    for (body, expected) in breaches {
        let found = findings(|request| request.body(body)).await;
        assert!(found.iter().any(|one| one.contains(expected)), "{expected}: {found:?}");
    }
    let found =
        findings(|request| replace(request, "content-type", "application/x-ndjson").body("1\n\n{\n")).await;
    assert!(matches!(&found[..], [two, three] if two.starts_with("line 2 ") && three.starts_with("line 3 ")));
}

#[tokio::test(start_paused = true)]
async fn every_breach_in_a_record_is_found() {
    let breaches = [
        (json!({ "body": 1 }), "no `messageId`"),
        (json!({ "messageId": "a" }), "no `body`"),
        (json!({ "messageId": "", "body": 1 }), "an empty `messageId`"),
        (json!({ "messageId": 1, "body": 1 }), "`messageId` has the wrong type"),
        (json!({ "messageId": "a", "body": 1, "sentTimestamp": "1" }), "`sentTimestamp` has the wrong type"),
        (json!({ "messageId": "a", "body": 1, "receiveCount": 1.5 }), "`receiveCount` has the wrong type"),
        (json!({ "messageId": "a", "body": 1, "groupId": null }), "`groupId` has the wrong type"),
        (json!({ "messageId": "a", "body": 1, "receiptHandle": "r" }), "unexpected key `receiptHandle`"),
        (json!({ "messageId": "a", "body": 1, "md5OfBody": "m" }), "unexpected key `md5OfBody`"),
        (json!({ "messageId": "a", "body": 1, "attributes": [] }), "`attributes` has the wrong type"),
    ];
    for (record, expected) in breaches {
        let found = findings_in_record(record).await;
        assert_eq!(found, [format!("record 0: {expected}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn every_breach_in_an_attribute_is_found() {
    let breaches = [
        (json!(1), "is not an object"),
        (json!({ "dataType": "String", "stringValue": null }), "`stringValue` has the wrong type"),
        (json!({ "dataType": "Binary", "binaryValue": 1 }), "`binaryValue` has the wrong type"),
        (json!({ "dataType": "String", "stringListValues": [1] }), "`stringListValues` has the wrong type"),
        (json!({ "dataType": "String", "md5": "m" }), "has an unexpected key `md5`"),
    ];
    for (attribute, expected) in breaches {
        let found =
            findings_in_record(json!({ "messageId": "a", "body": 1, "attributes": { "n": attribute } }))
                .await;
        assert!(matches!(&found[..], [one] if one.contains(expected)), "{expected}: {found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_belongs_to_one_body() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    for (key, ids) in [("1", ["a", "b"]), ("1", ["a", "b"]), ("2", ["b", "a"])] {
        request(&perseus, key, &records(&ids)).send().await.expect("an answer");
    }
    assert_eq!(perseus.violations(), [""; 0]);
    request(&perseus, "1", &records(&["a"])).send().await.expect("an answer");
    request(&perseus, "3", &records(&["a", "b"])).send().await.expect("an answer");
    assert_eq!(
        perseus.violations(),
        [
            "request 3: idempotency-key `1` came with another body before",
            "request 4: idempotency-key `3` for a body that came with `1` before",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn equal_bodies_without_ids_may_have_different_keys() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    request(&perseus, "1", "[1]").send().await.expect("an answer");
    request(&perseus, "2", "[1]").send().await.expect("an answer");
    assert_eq!(perseus.violations(), [""; 0]);
    request(&perseus, "2", "[2]").send().await.expect("an answer");
    assert_eq!(perseus.violations().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_redirect_followed_is_found_and_commits_nothing() {
    let perseus = Perseus::start(|_| Reply::status(302).header("location", "/elsewhere")).await;
    let follower = builder().build().expect("a client");
    let request = request(&perseus, "key", &records(&["a"])).build().expect("a request");
    let answer = follower.execute(request).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(perseus.received().len(), 2);
    assert_eq!(perseus.committed(), [""; 0]);
    assert!(perseus.violations()[0].contains("GET /elsewhere instead of POST /ingest"));
}
