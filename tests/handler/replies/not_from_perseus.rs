//! Replies of another server, such as HTML pages, and the strict mode (`PERSEUS_ACK=body`).

use lab::perseus::Reply;

use crate::support::*;

const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body></body></html>";

fn page(content_type: &str, body: &'static str) -> Reply {
    Reply::ok().header("content-type", content_type).body(body)
}

#[tokio::test(start_paused = true)]
async fn an_html_page_acknowledges_nothing_and_is_retried() {
    for content_type in ["text/html", "text/html; charset=utf-8", "Text/HTML;charset=UTF-8", " text/html "] {
        for body in [PAGE, "\u{feff} \r\n<html>", "<"] {
            for status in [200, 201, 202] {
                let (perseus, handler) = forwarder(&[("MAX_ATTEMPTS", "2")], move |_| {
                    Reply::status(status).header("content-type", content_type).body(body)
                })
                .await;
                assert_eq!(report(&handler, &event("a b")).await, ["a", "b"], "{content_type}: {body}");
                assert_eq!(perseus.received().len(), 2);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_is_an_html_page_only_by_both_content_type_and_body() {
    for reply in [
        page("text/html", "OK"),
        page("text/html", ""),
        page("text/html", r#"{"batchItemFailures":[]}"#),
        page("application/json", "{}"),
        page("text/plain", PAGE),
        Reply::ok().body("<ok/>"),
        page("application/xml", "<ok/>"),
    ] {
        let told = format!("{reply:?}");
        let (_perseus, handler) = forwarder(&[], move |_| reply.clone()).await;
        assert_eq!(report(&handler, &event("a b")).await, [""; 0], "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_occasional_html_page_costs_a_retry() {
    let (_perseus, handler) = forwarder(&[], |request| match request.number {
        0 => page("text/html", PAGE),
        _ => Reply::ok(),
    })
    .await;
    assert_eq!(report(&handler, &event("a b")).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn in_strict_mode_only_a_list_of_failures_acknowledges() {
    let strict = [("PERSEUS_ACK", "body"), ("MAX_ATTEMPTS", "2")];
    for reply in [
        Reply::status(204),
        Reply::ok(),
        Reply::ok().body("OK"),
        Reply::ok().body("{}"),
        Reply::ok().body("[]"),
        Reply::ok().body(r#"{"batchItemFailures":null}"#),
        Reply::ok().body(r#"{"failures":[]}"#),
        Reply::status(202).body(r#"["batchItemFailures"]"#),
        page("text/html", PAGE),
    ] {
        let told = format!("{reply:?}");
        let (perseus, handler) = forwarder(&strict, move |_| reply.clone()).await;
        assert_eq!(report(&handler, &event("a b")).await, ["a", "b"], "{told}");
        assert_eq!(perseus.received().len(), 2, "{told}");
    }
    for status in [200, 201, 202, 207] {
        for format in ["records", "array", "ndjson"] {
            let settings = [("PERSEUS_ACK", "body"), ("BATCH_FORMAT", format)];
            let (_perseus, handler) = forwarder(&settings, move |_| Reply::refuse(status, &[])).await;
            assert_eq!(report(&handler, &event("a b")).await, [""; 0], "{status}, {format}");
        }
    }
    let (_perseus, handler) = forwarder(&strict, |_| Reply::refuse(200, &[("b", Some(false))])).await;
    assert_eq!(report(&handler, &event("a b")).await, ["b"]);
}
