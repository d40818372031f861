//! The memory that the function needs for an event is bounded for every kind of event. This test has its own binary,
//! because the memory of the whole process is measured.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::ffi::OsString;

use lambda_runtime::Context;
use peak_alloc::PeakAlloc;
use perseus_forwarder::{config::Config, lambda::handler::Handler};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The peak memory for an event, beyond the event itself. There is no Perseus and no SQS, because they would need memory in
/// this process too. `sqs` switches the calls to SQS on.
fn peak(payload: &[u8], sqs: bool) -> usize {
    let config = Config::from_lookup(|name| match name {
        "PERSEUS_URL" => Some(OsString::from("http://127.0.0.1:1/")),
        "MAX_ATTEMPTS" => Some("1".into()),
        "SQS_VISIBILITY" if sqs => Some("on".into()),
        "REJECTED_QUEUE_URL" if sqs => Some("http://127.0.0.1:1/123456789012/dead".into()),
        "AWS_REGION" => Some("eu-west-1".into()),
        "AWS_ENDPOINT_URL" => Some("http://127.0.0.1:1/".into()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("x".into()),
        _ => None,
    });
    let handler = Handler::new(config.unwrap()).unwrap();
    let mut context = Context::default();
    context.deadline = 30_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let _ = runtime.block_on(handler.handle(payload, &context));
    MEMORY.peak_usage() - before
}

#[test]
fn memory_is_proportional_to_the_event_whatever_it_contains() {
    const SIZE: usize = 6_000_000;
    let event = |record: &str| format!("{{\"Records\":[{record}]}}");
    let repeated = |item: &str| vec![item; SIZE / (item.len() + 1)].join(",");
    let one = |body: &str| event(&format!(r#"{{"messageId":"m","eventSource":"aws:sqs","body":"{body}"}}"#));
    let events = [
        (
            "many records",
            event(&repeated(&format!(
                r#"{{"messageId":"m","eventSource":"aws:sqs","body":"{}"}}"#,
                "x".repeat(540)
            ))),
        ),
        ("tiny records", event(&repeated(r#"{"messageId":"m","eventSource":"aws:sqs"}"#))),
        (
            "tiny readable records",
            event(&repeated(r#"{"messageId":"m","eventSource":"aws:sqs","body":"1"}"#)),
        ),
        ("records without ids", event(&repeated("{}"))),
        ("records that are none", event(&repeated("0"))),
        ("one large text", one(&"x".repeat(SIZE))),
        ("one large text of escapes", one(&"\\u00e9".repeat(SIZE / 6))),
        ("one large value", one(&format!("[{}]", repeated("1")))),
        ("nothing but brackets", one(&("[".repeat(SIZE / 2) + &"]".repeat(SIZE / 2)))),
        ("open brackets", one(&"[".repeat(SIZE))),
        (
            "brackets beside the records",
            format!(r#"{{"x":{}{}}}"#, "[".repeat(SIZE / 2), "]".repeat(SIZE / 2)),
        ),
        (
            "many attributes",
            event(&format!(
                r#"{{"messageId":"m","eventSource":"aws:sqs","body":"1","messageAttributes":{{{}}}}}"#,
                repeated(r#""a":{"dataType":"S"}"#)
            )),
        ),
        (
            "many list values",
            event(&format!(
                r#"{{"messageId":"m","eventSource":"aws:sqs","body":"1","messageAttributes":{{"a":{{"dataType":"S","stringListValues":[{}]}}}}}}"#,
                repeated(r#""""#)
            )),
        ),
        (
            "many keys",
            event(&format!(
                r#"{{"messageId":"m","eventSource":"aws:sqs","body":"1",{}}}"#,
                repeated(r#""k":0"#)
            )),
        ),
        ("no JSON", "x".repeat(SIZE)),
    ];
    for (what, event) in events {
        // Records of 40 bytes are mostly bookkeeping. There are fifteen times as many as SQS can send in an event.
        let most = if what.starts_with("tiny") { 8 } else { 4 };
        for sqs in [false, true] {
            let peak = peak(event.as_bytes(), sqs);
            println!("{what:30} {:5.1} MB for {:.1} MB, {sqs}", peak as f64 / 1e6, event.len() as f64 / 1e6);
            assert!(peak < most * event.len(), "{what}, {sqs}: {peak} bytes for an event of {}", event.len());
        }
    }
}
