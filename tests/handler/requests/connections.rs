//! Connections that die, break off, drip or never end, made with raw sockets.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::time::Instant;

use crate::support::*;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_dead_pooled_connection_costs_an_immediate_retry_and_no_attempt() {
    let settings = [("MAX_ATTEMPTS", "1"), ("RETRY_BASE", "10s"), ("RETRY_CAP", "10s")];
    for resets in [true, false] {
        let mut server = RawServer::start(move |_, mut connection| async move {
            connection.request().await;
            connection.write(OK).await;
            // The connection works until the next invocation uses it.
            connection.request().await;
            if resets {
                connection.reset();
            }
        })
        .await;
        let handler = handler(&server.url, &settings);
        assert_eq!(report(&handler, &event("a")).await, [""; 0]);
        assert_eq!(server.requests(), 1);
        let start = Instant::now();
        assert_eq!(report(&handler, &event("b")).await, [""; 0], "resets: {resets}");
        assert!(start.elapsed() < 50 * MS, "{:?}", start.elapsed());
        assert_eq!(server.requests(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_on_a_new_connection_has_the_same_headers() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    let server = RawServer::start(move |_, mut connection| {
        let seen = Arc::clone(&seen);
        async move {
            let Some((head, _)) = connection.receive().await else { return };
            seen.lock().unwrap().push(head);
            connection.write(OK).await;
            // The next request is lost on the pooled connection.
            connection.request().await;
        }
    })
    .await;
    let settings = [
        ("MAX_ATTEMPTS", "1"),
        ("PERSEUS_HEADERS", r#"{"x-api-key":"key"}"#),
        ("PERSEUS_TOKEN", "token"),
        ("PERSEUS_COMPRESSION", "gzip"),
    ];
    let handler = handler(&server.url, &settings);
    for _ in 0..2 {
        assert_eq!(report(&handler, &event("a")).await, [""; 0]);
    }
    let heads = heads.lock().unwrap();
    assert_eq!(heads.len(), 2);
    assert_eq!(heads[0], heads[1]);
    for header in
        ["x-api-key: key", "authorization: Bearer token", "accept: application/json", "user-agent: "]
    {
        assert!(heads[1].contains(header), "{header}: {}", heads[1]);
    }
}

/// A server that answers the first request of a connection and resets it at the second.
async fn resets_second_requests() -> RawServer {
    RawServer::start(|_, mut connection| async move {
        connection.request().await;
        tokio::time::sleep(10 * MS).await;
        connection.write(OK).await;
        connection.request().await;
        connection.reset();
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_pool_full_of_dead_connections_costs_no_record() {
    let settings = [("MAX_ATTEMPTS", "1"), ("BATCH_MAX_RECORDS", "1"), ("MAX_IN_FLIGHT", "5")];
    let server = resets_second_requests().await;
    let handler = handler(&server.url, &settings);
    assert_eq!(report(&handler, &numbered(5)).await, [""; 0]);
    assert_eq!(report(&handler, &numbered(5)).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn consecutive_requests_share_a_connection() {
    for (most, body) in [("1", ""), ("3", ""), ("3", r#"{"batchItemFailures":[]}"#)] {
        let connections = Arc::new(AtomicUsize::new(0));
        let begun = Arc::clone(&connections);
        let server = RawServer::start(move |_, mut connection| {
            begun.fetch_add(1, Relaxed);
            async move {
                while connection.request().await {
                    let length = body.len();
                    connection
                        .write(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"))
                        .await;
                }
            }
        })
        .await;
        let handler = handler(&server.url, &[("MAX_IN_FLIGHT", most), ("BATCH_MAX_RECORDS", "1")]);
        for _ in 0..2 {
            assert_eq!(report(&handler, &numbered(30)).await, [""; 0]);
        }
        assert_eq!(connections.load(Relaxed).to_string(), most);
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_breaks_every_connection_is_sent_at_most_once_more_than_allowed() {
    let settings = [("MAX_ATTEMPTS", "1"), ("BATCH_MAX_RECORDS", "1"), ("MAX_IN_FLIGHT", "20")];
    let mut server = resets_second_requests().await;
    let handler = handler(&server.url, &settings);
    assert_eq!(report(&handler, &numbered(20)).await, [""; 0]);
    assert_eq!(server.requests(), 20);
    // Sent on the pooled connection, then on a new one, which answers it.
    assert_eq!(report(&handler, &event("a")).await, [""; 0]);
    assert_eq!(server.requests(), 2);
}

#[tokio::test(start_paused = true)]
async fn losing_a_new_connection_counts_as_an_attempt() {
    for resets in [true, false] {
        let mut server = RawServer::start(move |_, mut connection| async move {
            connection.request().await;
            if resets {
                connection.reset();
            }
        })
        .await;
        let handler = handler(&server.url, &[("MAX_ATTEMPTS", "3")]);
        assert_eq!(report(&handler, &event("a")).await, ["a"]);
        assert_eq!(server.requests(), 3, "resets: {resets}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_cut_short_acknowledges_nothing() {
    for reply in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "HTTP/1.1 207 Multi-Status\r\ncontent-length: 90\r\n\r\n{\"batchItemFailures\":[]}",
        "garbage\r\n\r\n",
        "",
    ] {
        let mut server = RawServer::start(move |_, mut connection| async move {
            connection.request().await;
            connection.write(reply).await;
        })
        .await;
        let handler = handler(&server.url, &[("MAX_ATTEMPTS", "2")]);
        assert_eq!(report(&handler, &event("a b")).await, ["a", "b"], "{reply:?}");
        assert_eq!(server.requests(), 2, "{reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reply_is_bounded_in_time() {
    for head in ["HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n"] {
        let server = RawServer::start(move |_, mut connection| async move {
            connection.request().await;
            connection.write(head).await;
            for _ in 0..10_000 {
                tokio::time::sleep(50 * MS).await;
                connection.write("x").await;
            }
        })
        .await;
        let handler = handler(&server.url, &[("REQUEST_TIMEOUT", "2s"), ("MAX_ATTEMPTS", "1")]);
        let start = Instant::now();
        assert_eq!(report(&handler, &event("a")).await, ["a"]);
        assert!(start.elapsed() < 2_100 * MS, "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_reply_is_bounded_in_bytes() {
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: ",
    ] {
        let server = RawServer::start(move |_, mut connection| async move {
            connection.request().await;
            connection.write(head).await;
            for _ in 0..1_000 {
                connection.write([b'x'; 16 << 10]).await;
            }
        })
        .await;
        let handler = handler(&server.url, &[("MAX_ATTEMPTS", "1")]);
        let start = Instant::now();
        assert_eq!(report(&handler, &event("a")).await, ["a"]);
        assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn the_status_of_a_refusal_counts_without_its_body() {
    for (status, reported, requests) in [
        ("400 Bad Request", &["a"][..], 1),
        ("503 Service Unavailable", &["a"], 2),
        ("401 Unauthorized", &["a"], 1),
    ] {
        let mut server = RawServer::start(move |_, mut connection| async move {
            connection.request().await;
            connection.write(format!("HTTP/1.1 {status}\r\ncontent-length: 1000\r\n\r\nso")).await;
            connection.hang().await;
        })
        .await;
        let handler = handler(&server.url, &[("MAX_ATTEMPTS", "2")]);
        let start = Instant::now();
        assert_eq!(report(&handler, &event("a")).await, reported, "{status}");
        assert_eq!(server.requests(), requests, "{status}");
        assert!(start.elapsed() < SECOND, "{status}: {:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_refusal_is_read_to_its_end_and_keeps_the_connection_and_a_long_one_is_not() {
    for (length, rest, connections, longest) in [(10, "in parts", 1, SECOND), (9_000, "", 2, 200 * MS)] {
        let accepted = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&accepted);
        let server = RawServer::start(move |_, mut connection| {
            counter.fetch_add(1, Relaxed);
            async move {
                while connection.request().await {
                    connection.write(format!("HTTP/1.1 400 X\r\ncontent-length: {length}\r\n\r\n")).await;
                    connection.write("x".repeat(length - rest.len())).await;
                    tokio::time::sleep(50 * MS).await;
                    connection.write(rest).await;
                }
            }
        })
        .await;
        let handler = handler(&server.url, &[("MAX_IN_FLIGHT", "1"), ("BATCH_MAX_RECORDS", "1")]);
        let start = Instant::now();
        assert_eq!(report(&handler, &event("a b")).await, ["a", "b"]);
        assert_eq!(accepted.load(Relaxed), connections, "{length} bytes");
        assert!(start.elapsed() < longest, "{length} bytes: {:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn interim_replies_are_skipped() {
    let server = RawServer::start(|_, mut connection| async move {
        connection.request().await;
        connection.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n").await;
        connection.write(OK).await;
        connection.hang().await;
    })
    .await;
    let handler = handler(&server.url, &[("MAX_ATTEMPTS", "1")]);
    assert_eq!(report(&handler, &event("a")).await, [""; 0]);
}
