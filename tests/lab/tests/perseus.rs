//! The stand-in for Perseus: what it answers and commits, and that it finds every breach of the contract.

use std::time::Duration;

use lab::perseus::{Format, Perseus, Reply};
use reqwest::{Client, RequestBuilder, redirect};
use serde_json::{Value, json};
use tokio::time::Instant;

fn client() -> Client {
    Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("a client")
}

/// A request as the contract wants it.
fn request(perseus: &Perseus, key: &str, body: &str) -> RequestBuilder {
    client()
        .post(perseus.url())
        .header("content-type", "application/json")
        .header("user-agent", "perseus-forwarder/0.1.0")
        .header("idempotency-key", key)
        .body(body.to_owned())
}

fn records(ids: &[&str]) -> String {
    let records: Vec<Value> = ids
        .iter()
        .map(|id| json!({ "messageId": id, "body": { "a": 1 } }))
        .collect();
    json!({ "records": records }).to_string()
}

/// What the stand-in finds in one request, without the request's number.
async fn findings(change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Vec<String> {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    change(request(&perseus, "key", &records(&["a"])))
        .send()
        .await
        .expect("an answer");
    perseus
        .violations()
        .iter()
        .map(|said| {
            said.strip_prefix("request 0: ")
                .expect("the request's number")
                .to_owned()
        })
        .collect()
}

async fn findings_in_record(record: Value) -> Vec<String> {
    findings(|request| request.body(json!({ "records": [record] }).to_string())).await
}

#[tokio::test(start_paused = true)]
async fn a_request_as_agreed_breaks_nothing() {
    let whole = json!({ "records": [{
        "messageId": "a", "sentTimestamp": 1_545_082_649_183_u64, "receiveCount": 1, "groupId": "g",
        "sequenceNumber": "1", "deduplicationId": "d", "body": "text",
        "attributes": {
            "s": { "dataType": "String", "stringValue": "v" },
            "b": { "dataType": "Binary", "binaryValue": "AQI=" },
            "l": { "dataType": "String", "stringListValues": ["v"], "binaryListValues": ["AQI="] },
        },
    }] });
    let findings = findings(|request| {
        request
            .header("authorization", "Bearer secret")
            .header(
                "traceparent",
                "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01",
            )
            .body(whole.to_string())
    })
    .await;
    assert_eq!(findings, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn every_breach_in_the_headers_is_found() {
    type Change = fn(RequestBuilder) -> RequestBuilder;
    let breaches: [(&str, Change); 12] = [
        ("content-type is text/plain", |request| {
            replace(request, "content-type", "text/plain")
        }),
        ("content-type is missing", |request| {
            remove(request, "content-type")
        }),
        ("user-agent is `curl`", |request| {
            replace(request, "user-agent", "curl")
        }),
        ("user-agent is ``", |request| remove(request, "user-agent")),
        ("no idempotency-key", |request| {
            remove(request, "idempotency-key")
        }),
        ("idempotency-key is there more than once", |request| {
            request.header("idempotency-key", "b")
        }),
        ("traceparent `00-1-2-01` is malformed", |request| {
            request.header("traceparent", "00-1-2-01")
        }),
        ("authorization is not a bearer token", |request| {
            request.header("authorization", "Basic YTpi")
        }),
        ("accept-encoding is sent", |request| {
            request.header("accept-encoding", "gzip")
        }),
        ("content-md5 must not leave", |request| {
            request.header("content-md5", "x")
        }),
        ("does not match its content-encoding", |request| {
            request.header("content-encoding", "gzip")
        }),
        ("neither gzip nor zstd", |request| {
            request.header("content-encoding", "br")
        }),
    ];
    for (expected, change) in breaches {
        let found = findings(change).await;
        assert!(
            matches!(&found[..], [one] if one.contains(expected)),
            "{expected}: {found:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_without_a_stated_length_is_found() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    let address = perseus.url();
    let host = address
        .trim_start_matches("http://")
        .trim_end_matches("/ingest");
    let head = "POST /ingest HTTP/1.1\r\nhost: x\r\nuser-agent: a/1\r\nidempotency-key: k\r\n\
                content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let body = records(&["a"]);
    let mut stream = tokio::net::TcpStream::connect(host)
        .await
        .expect("a connection");
    let chunked = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    tokio::io::AsyncWriteExt::write_all(&mut stream, chunked.as_bytes())
        .await
        .expect("sent");
    tokio::io::AsyncReadExt::read_u8(&mut stream)
        .await
        .expect("an answer");
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
        (
            r#"{"records":[{"messageId":"a","body":1}],"more":1}"#,
            "unexpected key `more`",
        ),
    ];
    for (body, expected) in breaches {
        let found = findings(|request| request.body(body)).await;
        assert!(
            found.iter().any(|one| one.contains(expected)),
            "{expected}: {found:?}"
        );
    }
    let found = findings(|request| {
        replace(request, "content-type", "application/x-ndjson").body("1\n\n{\n")
    })
    .await;
    assert!(
        matches!(&found[..], [two, three] if two.starts_with("line 2 ") && three.starts_with("line 3 "))
    );
}

#[tokio::test(start_paused = true)]
async fn every_breach_in_a_record_is_found() {
    let breaches = [
        (json!({ "body": 1 }), "no `messageId`"),
        (json!({ "messageId": "a" }), "no `body`"),
        (
            json!({ "messageId": "", "body": 1 }),
            "an empty `messageId`",
        ),
        (
            json!({ "messageId": 1, "body": 1 }),
            "`messageId` has the wrong type",
        ),
        (
            json!({ "messageId": "a", "body": 1, "sentTimestamp": "1" }),
            "`sentTimestamp` has the wrong type",
        ),
        (
            json!({ "messageId": "a", "body": 1, "receiveCount": 1.5 }),
            "`receiveCount` has the wrong type",
        ),
        (
            json!({ "messageId": "a", "body": 1, "groupId": null }),
            "`groupId` has the wrong type",
        ),
        (
            json!({ "messageId": "a", "body": 1, "receiptHandle": "r" }),
            "unexpected key `receiptHandle`",
        ),
        (
            json!({ "messageId": "a", "body": 1, "md5OfBody": "m" }),
            "unexpected key `md5OfBody`",
        ),
        (
            json!({ "messageId": "a", "body": 1, "attributes": [] }),
            "`attributes` has the wrong type",
        ),
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
        (json!({ "stringValue": "v" }), "has no `dataType`"),
        (
            json!({ "dataType": "String", "stringValue": null }),
            "`stringValue` has the wrong type",
        ),
        (
            json!({ "dataType": "Binary", "binaryValue": "?" }),
            "`binaryValue` has the wrong type",
        ),
        (
            json!({ "dataType": "String", "stringListValues": [1] }),
            "`stringListValues` has the wrong type",
        ),
        (
            json!({ "dataType": "String", "md5": "m" }),
            "has an unexpected key `md5`",
        ),
    ];
    for (attribute, expected) in breaches {
        let found = findings_in_record(
            json!({ "messageId": "a", "body": 1, "attributes": { "n": attribute } }),
        )
        .await;
        assert!(
            matches!(&found[..], [one] if one.contains(expected)),
            "{expected}: {found:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_belongs_to_one_list_of_records() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    for (key, ids) in [("1", ["a", "b"]), ("1", ["a", "b"]), ("2", ["b", "a"])] {
        request(&perseus, key, &records(&ids))
            .send()
            .await
            .expect("an answer");
    }
    assert_eq!(perseus.violations(), [""; 0]);
    request(&perseus, "1", &records(&["a"]))
        .send()
        .await
        .expect("an answer");
    request(&perseus, "3", &records(&["a", "b"]))
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        perseus.violations(),
        [
            "request 3: idempotency-key `1` was used for other records before",
            "request 4: idempotency-key `3` for records that came with `1` before",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn equal_bodies_without_ids_may_have_different_keys() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    request(&perseus, "1", "[1]")
        .send()
        .await
        .expect("an answer");
    request(&perseus, "2", "[1]")
        .send()
        .await
        .expect("an answer");
    assert_eq!(perseus.violations(), [""; 0]);
    request(&perseus, "2", "[2]")
        .send()
        .await
        .expect("an answer");
    assert_eq!(perseus.violations().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_redirect_followed_is_found_and_commits_nothing() {
    let perseus = Perseus::start(|_| Reply::status(302).header("location", "/elsewhere")).await;
    let follower = Client::builder().no_proxy().build().expect("a client");
    let request = request(&perseus, "key", &records(&["a"]))
        .build()
        .expect("a request");
    let answer = follower.execute(request).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(perseus.received().len(), 2);
    assert_eq!(perseus.committed(), [""; 0]);
    assert!(perseus.violations()[0].contains("GET /elsewhere instead of POST /ingest"));
}

#[tokio::test(start_paused = true)]
async fn what_is_committed_follows_from_the_answer() {
    let refusal = [("b", Some(false)), ("c", None)];
    let answers = [
        (Reply::ok(), vec!["a", "b", "c"]),
        (Reply::status(204), vec!["a", "b", "c"]),
        (Reply::status(207), vec![]),
        (Reply::status(503), vec![]),
        (Reply::refuse(200, &refusal), vec!["a"]),
        (Reply::refuse(207, &refusal), vec!["a"]),
        (Reply::refuse(400, &refusal), vec![]),
    ];
    for (reply, committed) in answers {
        let perseus = Perseus::start(move |_| reply.clone()).await;
        request(&perseus, "key", &records(&["a", "b", "c"]))
            .send()
            .await
            .expect("an answer");
        assert_eq!(perseus.committed(), committed);
        assert_eq!(perseus.committed_records().len(), committed.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_its_records() {
    let perseus = Perseus::start(|_| Reply::refuse(207, &[("a", Some(false)), ("b", None)])).await;
    let answer = request(&perseus, "key", &records(&["a", "b"]))
        .send()
        .await
        .expect("an answer");
    let body: Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
    let failures =
        json!([{ "itemIdentifier": "a", "retryable": false }, { "itemIdentifier": "b" }]);
    assert_eq!(body, json!({ "batchItemFailures": failures }));
    assert_eq!(perseus.statuses(), [Some(207)]);
}

#[tokio::test(start_paused = true)]
async fn a_reply_can_be_cut_short() {
    let perseus = Perseus::start(|_| Reply::ok().body("{").cut_short()).await;
    let answer = request(&perseus, "key", &records(&["a"]))
        .send()
        .await
        .expect("a head");
    assert!(answer.bytes().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_delay_passes_on_the_paused_clock_and_commits_at_its_end() {
    let began = Instant::now();
    let perseus = Perseus::start(|_| Reply::ok().after(Duration::from_secs(3600))).await;
    let patient = request(&perseus, "1", &records(&["a"])).send();
    let hasty = request(&perseus, "2", &records(&["b"]))
        .timeout(Duration::from_secs(1))
        .send();
    let (patient, hasty) = tokio::join!(patient, hasty);
    assert!(patient.is_ok() && hasty.is_err());
    assert_eq!(perseus.committed(), ["a"]);
    assert_eq!(perseus.in_flight_peak(), 2);
    assert_eq!(began.elapsed().as_secs(), 3600);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_request_is_never_answered() {
    let perseus = Perseus::start(|_| Reply::hang()).await;
    let sent = request(&perseus, "key", &records(&["a"]))
        .timeout(Duration::from_secs(60))
        .send()
        .await;
    assert!(sent.is_err_and(|error| error.is_timeout()));
    assert_eq!(
        (perseus.statuses(), perseus.committed().len()),
        (vec![None], 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_dropped_stand_in_cuts_its_connections() {
    let perseus = Perseus::start(|_| Reply::hang()).await;
    let waiting = tokio::spawn(request(&perseus, "key", &records(&["a"])).send());
    while perseus.received().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(perseus);
    assert!(waiting.await.expect("no panic").is_err());
}

#[tokio::test(start_paused = true)]
async fn the_three_formats_are_told_apart() {
    let perseus = Perseus::start(|_| Reply::ok()).await;
    request(&perseus, "1", &records(&["a", "b"]))
        .send()
        .await
        .expect("an answer");
    request(&perseus, "2", r#"[{"a":1},"b"]"#)
        .send()
        .await
        .expect("an answer");
    let lines = request(&perseus, "3", "{\"a\":1}\n\"b\"\n");
    replace(lines, "content-type", "application/x-ndjson")
        .send()
        .await
        .expect("an answer");
    let seen: Vec<_> = perseus
        .received()
        .into_iter()
        .map(|one| (one.format, one.message_ids, one.records))
        .collect();
    let bodies = vec![json!({ "a": 1 }), json!("b")];
    assert_eq!(seen[0].0, Some(Format::Records));
    assert_eq!(seen[0].1, ["a", "b"]);
    assert_eq!(seen[1], (Some(Format::Array), vec![], bodies.clone()));
    assert_eq!(seen[2], (Some(Format::Ndjson), vec![], bodies));
    assert_eq!(perseus.violations(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn compressed_bodies_are_read() {
    let plain = records(&["a"]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, plain.as_bytes()).expect("compressed");
    let gzip = gzip.finish().expect("compressed");
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let zstd = ruzstd::encoding::compress_to_vec(plain.as_bytes(), level);
    let perseus = Perseus::start(|_| Reply::ok()).await;
    for (encoding, body) in [("gzip", gzip), ("zstd", zstd)] {
        let sent = request(&perseus, "key", "")
            .header("content-encoding", encoding)
            .body(body)
            .send();
        sent.await.expect("an answer");
    }
    assert!(
        perseus
            .received()
            .iter()
            .all(|received| received.plain == plain && received.body != plain)
    );
    assert_eq!(perseus.committed(), ["a", "a"]);
    assert_eq!(perseus.violations(), [""; 0]);
}

fn replace(request: RequestBuilder, name: &'static str, value: &'static str) -> RequestBuilder {
    with_headers(request, |headers| {
        headers.insert(name, reqwest::header::HeaderValue::from_static(value));
    })
}

fn remove(request: RequestBuilder, name: &str) -> RequestBuilder {
    with_headers(request, |headers| {
        headers.remove(name);
    })
}

fn with_headers(
    request: RequestBuilder,
    change: impl FnOnce(&mut reqwest::header::HeaderMap),
) -> RequestBuilder {
    let (client, request) = request.build_split();
    let mut request = request.expect("a request");
    change(request.headers_mut());
    RequestBuilder::from_parts(client, request)
}
