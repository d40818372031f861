//! Perseus fails every request (outage), and short failures that are no outage.

use lab::perseus::{Perseus, Reply};
use perseus_forwarder::lambda::handler::Handler;
use tokio::{net::TcpListener, time::Instant};

use crate::support::*;

const TIME: std::time::Duration = std::time::Duration::from_millis(14_600);

/// What a broken server does with each request.
#[derive(Debug, Clone, Copy)]
enum Broken {
    Resets,
    Closes,
    ClosesAtOnce,
    Says(&'static str),
    Hangs,
}

async fn broken(kind: Broken) -> RawServer {
    RawServer::start(move |_, mut connection| async move {
        if matches!(kind, Broken::ClosesAtOnce) {
            return;
        }
        while connection.request().await {
            match kind {
                Broken::Resets => return connection.reset(),
                Broken::Closes | Broken::ClosesAtOnce => return,
                Broken::Says(reply) => {
                    connection.write(reply).await;
                    if !reply.contains("keep-alive") {
                        return;
                    }
                }
                Broken::Hangs => return connection.hang().await,
            }
        }
    })
    .await
}

/// The number of requests in each of these invocations. Each has 1,000 records.
async fn requests(server: &mut RawServer, handler: &Handler, invocations: usize) -> Vec<usize> {
    let mut requests = Vec::new();
    for _ in 0..invocations {
        assert_eq!(report_within(handler, &numbered(1_000), TIME).await.len(), 1_000);
        requests.push(server.requests());
    }
    requests
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_unusable_reply_ends_in_one_probe_per_invocation() {
    for kind in [
        Broken::Resets,
        Broken::Closes,
        Broken::Says("garbage\r\n\r\n"),
        Broken::Says("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{}"),
        Broken::Says(
            "HTTP/1.1 500 Internal Server Error\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n",
        ),
        Broken::Says(
            "HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>",
        ),
        Broken::Says("HTTP/1.1 207 Multi-Status\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\n{}"),
    ] {
        let mut server = broken(kind).await;
        let handler = handler(&server.url, &[]);
        let requests = requests(&mut server, &handler, 6).await;
        assert!(requests[0] <= 40, "{kind:?}: {requests:?}");
        assert_eq!(requests[2..], [1; 4], "{kind:?}: {requests:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn hanging_requests_end_in_one_probe_per_invocation() {
    let mut server = broken(Broken::Hangs).await;
    let handler = handler(&server.url, &[("REQUEST_TIMEOUT", "2s")]);
    let requests = requests(&mut server, &handler, 6).await;
    assert_eq!(requests[3..], [1; 3], "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn connections_that_close_at_once_are_an_outage() {
    let server = broken(Broken::ClosesAtOnce).await;
    let handler = handler(&server.url, &[]);
    for _ in 0..2 {
        report_within(&handler, &numbered(1_000), TIME).await;
    }
    let start = Instant::now();
    assert_eq!(report_within(&handler, &numbered(1_000), TIME).await.len(), 1_000);
    assert!(start.elapsed() < 100 * MS, "{:?}", start.elapsed());
}

/// A Perseus that fails in this way for the given time, and then works.
async fn fails_for(
    time: std::time::Duration,
    failure: impl Fn() -> Reply + Send + 'static,
) -> (Perseus, Handler) {
    let start = Instant::now();
    forwarder(
        &[],
        move |request| {
            if request.at - start < time { failure() } else { Reply::ok().after(20 * MS) }
        },
    )
    .await
}

#[tokio::test(start_paused = true)]
async fn a_short_failure_costs_no_record() {
    // Only 502 and 503 look like a restart. A single batch waits longer only for these.
    type Failure = (fn() -> Reply, &'static [usize]);
    let failures: [Failure; 6] = [
        (|| Reply::status(503), &[10, 1_000, 10_000]),
        (|| Reply::status(502), &[10, 1_000]),
        (|| Reply::status(429), &[1_000]),
        (|| Reply::status(500), &[1_000]),
        (|| Reply::ok().body("{}").cut_short(), &[1_000]),
        (|| Reply::ok().header("content-type", "text/html").body("<html>"), &[1_000]),
    ];
    for (number, (failure, events)) in failures.into_iter().enumerate() {
        for time in [100 * MS, 300 * MS, 500 * MS] {
            for &records in events {
                let (_perseus, handler) = fails_for(time, failure).await;
                let reported = report_within(&handler, &numbered(records), TIME).await;
                assert!(
                    reported.len() * 50 <= records,
                    "{number}, {time:?}: {} of {records}",
                    reported.len()
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_restarts_costs_no_record() {
    for time in [100 * MS, 500 * MS] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let url = format!("http://{address}/");
        let handler = handler(&url, &[]);
        let event = numbered(10_000);
        let restarted = async {
            tokio::time::sleep(time).await;
            let listener = TcpListener::bind(address).await.unwrap();
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(async move {
                    let mut connection = Connection::of(stream);
                    while connection.request().await {
                        connection.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                    }
                });
            }
        };
        tokio::select! {
            reported = report_within(&handler, &event, TIME) => assert_eq!(reported, [""; 0], "{time:?}"),
            () = restarted => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_that_answers_at_once_is_respected() {
    let mut taken = std::collections::VecDeque::<Instant>::new();
    let (perseus, handler) = forwarder(&[], move |request| {
        taken.retain(|at| request.at - *at < SECOND);
        if taken.len() >= 20 {
            return Reply::status(429);
        }
        taken.push_back(request.at);
        Reply::ok()
    })
    .await;
    let reported = report_within(&handler, &numbered(10_000), TIME).await;
    assert!(reported.len() <= 200, "{} come back", reported.len());
    assert!(perseus.received().len() < 250, "{} requests for 100 batches", perseus.received().len());
}

#[tokio::test(start_paused = true)]
async fn one_failure_in_five_does_not_slow_delivery() {
    let (perseus, handler) = forwarder(&[], |request| {
        Reply::status(if request.number % 5 == 0 { 500 } else { 200 }).after(20 * MS)
    })
    .await;
    let start = Instant::now();
    let reported = report_within(&handler, &numbered(10_000), TIME).await;
    assert!(reported.len() <= 200, "{} come back", reported.len());
    assert!(start.elapsed() < 1_000 * MS, "{:?}", start.elapsed());
    assert_eq!(perseus.in_flight_peak(), 10);
}
