//! What the stand-in answers, commits and records.

use std::time::Duration;

use lab::perseus::{Format, Perseus, Reply};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::request::{records, replace, request};

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
        request(&perseus, "key", &records(&["a", "b", "c"])).send().await.expect("an answer");
        assert_eq!(perseus.committed(), committed);
        assert_eq!(perseus.committed_records().len(), committed.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_its_records() {
    let perseus = Perseus::start(|_| Reply::refuse(207, &[("a", Some(false)), ("b", None)])).await;
    let answer = request(&perseus, "key", &records(&["a", "b"])).send().await.expect("an answer");
    let body: Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
    let failures = json!([{ "itemIdentifier": "a", "retryable": false }, { "itemIdentifier": "b" }]);
    assert_eq!(body, json!({ "batchItemFailures": failures }));
    assert_eq!(perseus.statuses(), [Some(207)]);
}

#[tokio::test(start_paused = true)]
async fn a_reply_can_be_cut_short() {
    let perseus = Perseus::start(|_| Reply::ok().body("{").cut_short()).await;
    let answer = request(&perseus, "key", &records(&["a"])).send().await.expect("a head");
    assert!(answer.bytes().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_delay_passes_on_the_paused_clock_and_commits_at_its_end() {
    let began = Instant::now();
    let perseus = Perseus::start(|_| Reply::ok().after(Duration::from_secs(3600))).await;
    let patient = request(&perseus, "1", &records(&["a"])).send();
    let hasty = request(&perseus, "2", &records(&["b"])).timeout(Duration::from_secs(1)).send();
    let (patient, hasty) = tokio::join!(patient, hasty);
    assert!(patient.is_ok() && hasty.is_err());
    assert_eq!(perseus.committed(), ["a"]);
    assert_eq!(perseus.in_flight_peak(), 2);
    assert_eq!(began.elapsed().as_secs(), 3600);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_request_is_never_answered() {
    let perseus = Perseus::start(|_| Reply::hang()).await;
    let sent = request(&perseus, "key", &records(&["a"])).timeout(Duration::from_secs(60)).send().await;
    assert!(sent.is_err_and(|error| error.is_timeout()));
    assert_eq!((perseus.statuses(), perseus.committed().len()), (vec![None], 0));
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
    request(&perseus, "1", &records(&["a", "b"])).send().await.expect("an answer");
    request(&perseus, "2", r#"[{"a":1},"b"]"#).send().await.expect("an answer");
    let lines = request(&perseus, "3", "{\"a\":1}\n\"b\"\n");
    replace(lines, "content-type", "application/x-ndjson").send().await.expect("an answer");
    let seen: Vec<_> =
        perseus.received().into_iter().map(|one| (one.format, one.message_ids, one.records)).collect();
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
        let sent = request(&perseus, "key", "").header("content-encoding", encoding).body(body).send();
        sent.await.expect("an answer");
    }
    assert!(perseus.received().iter().all(|received| received.plain == plain && received.body != plain));
    assert_eq!(perseus.committed(), ["a", "a"]);
    assert_eq!(perseus.violations(), [""; 0]);
}
