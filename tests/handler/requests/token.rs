//! A token from a store: when it is read, what a refusal does, and that a store cannot disturb anything else.

use std::time::Duration;

use futures_util::future::{join, join_all};
use lab::perseus::{Perseus, Received, Reply};
use perseus_forwarder::lambda::handler::Handler;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::support::{
    extension::{Answer, Extension},
    *,
};

/// Accepts only requests with this token.
fn only(token: &'static str) -> impl Fn(&Received) -> Reply + Send + 'static {
    move |request| Reply::status(if bearer(request) == format!("Bearer {token}") { 200 } else { 401 })
}

fn bearer(request: &Received) -> &str {
    request.headers["authorization"].to_str().unwrap()
}

/// The tokens of all requests so far.
fn bearers(perseus: &Perseus) -> Vec<String> {
    perseus.received().iter().map(|request| bearer(request).to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_token_is_read_at_first_need_and_kept() {
    let extension = Extension::start(MS, |_| Answer::Secret("one\n")).await;
    let (perseus, handler) = extension.forwarder(&[("BATCH_MAX_RECORDS", "1")], only("one")).await;
    assert_eq!(report(&handler, &event("")).await, [""; 0]);
    assert!(extension.calls().is_empty(), "nothing to send yet");
    for _ in 0..3 {
        assert_eq!(report(&handler, &event("a b c")).await, [""; 0]);
    }
    assert_eq!(perseus.received().len(), 9);
    let [call] = &extension.calls()[..] else { panic!("one call") };
    let call = call.to_lowercase();
    assert!(call.starts_with("get /secretsmanager/get?secretid=perseus%2ftoken http/1.1"), "{call}");
    assert!(call.contains("x-aws-parameters-secrets-token: session"), "{call}");
}

#[tokio::test(start_paused = true)]
async fn the_token_can_be_a_parameter() {
    let value = json!({"Parameter": {"Value": "one"}}).to_string();
    let extension = Extension::start(MS, move |_| Answer::Status(200, value.clone())).await;
    let settings = [("PERSEUS_TOKEN_SECRET", ""), ("PERSEUS_TOKEN_PARAMETER", "/perseus/token")];
    let (_perseus, handler) = extension.forwarder(&settings, only("one")).await;
    assert_eq!(report(&handler, &event("a")).await, [""; 0]);
    let call = &extension.calls()[0];
    assert!(
        call.starts_with("GET /systemsmanager/parameters/get?name=%2Fperseus%2Ftoken&withDecryption=true ")
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_rotation_during_traffic_costs_no_record() {
    let extension = Extension::start(50 * MS, |call| Answer::Secret(["one", "two"][call.min(1)])).await;
    let settings = [("BATCH_MAX_RECORDS", "1"), ("MAX_ATTEMPTS", "1")];
    let (perseus, handler) = extension
        .forwarder(&settings, |request| {
            let is_valid = bearer(request) == if request.number < 20 { "Bearer one" } else { "Bearer two" };
            Reply::status(if is_valid { 200 } else { 401 }).after(20 * MS)
        })
        .await;
    assert_eq!(report(&handler, &numbered(60)).await, [""; 0]);
    assert_eq!(perseus.committed().len(), 60);
    assert_eq!(extension.calls().len(), 2, "all that were refused share one call");
    let refused = bearers(&perseus)[20..].iter().filter(|bearer| *bearer == "Bearer one").count();
    assert!((1..=10).contains(&refused), "{refused}: none is sent while the store is being asked");
    // The next invocation uses the new token.
    assert_eq!(report(&handler, &event("x")).await, [""; 0]);
    assert_eq!(bearers(&perseus).last().unwrap(), "Bearer two");
}

#[tokio::test(start_paused = true)]
async fn many_refusals_of_the_token_cause_one_read_and_one_more_request_per_batch() {
    let extension = Extension::start(MS, |call| Answer::Secret(["one", "two", "three"][call])).await;
    let settings = [("BATCH_MAX_RECORDS", "1"), ("MAX_IN_FLIGHT", "5")];
    let (perseus, handler) = extension.forwarder(&settings, |_| Reply::status(401).after(MS)).await;
    let event = event("a b c d e");
    assert_eq!(report(&handler, &event).await, ["a", "b", "c", "d", "e"]);
    assert_eq!(extension.calls().len(), 2);
    let sent = bearers(&perseus);
    let of = |token: &str| sent.iter().filter(|bearer| *bearer == token).count();
    assert_eq!(of("Bearer one"), 5);
    assert!((1..=5).contains(&of("Bearer two")), "{sent:?}");
    // Each invocation may read the store once.
    assert_eq!(report(&handler, &event).await.len(), 5);
    assert_eq!(extension.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn if_the_store_returns_the_refused_token_the_set_up_is_wrong() {
    let extension = Extension::start(MS, |_| Answer::Secret("one")).await;
    let settings = [("BATCH_MAX_RECORDS", "1"), ("MAX_IN_FLIGHT", "1")];
    let (perseus, handler) = extension.forwarder(&settings, |_| Reply::status(401)).await;
    for invocation in 1..=3 {
        assert_eq!(report(&handler, &event("a b")).await, ["a", "b"]);
        assert_eq!(perseus.received().len(), invocation, "as without a store");
        assert_eq!(extension.calls().len(), 1 + invocation);
    }
}

#[tokio::test(start_paused = true)]
async fn other_refusals_do_not_read_the_token_again() {
    for status in [400, 403, 404, 500] {
        let extension = Extension::start(MS, |_| Answer::Secret("one")).await;
        let (_perseus, handler) = extension.forwarder(&[], move |_| Reply::status(status)).await;
        assert_eq!(report(&handler, &event("a")).await, ["a"]);
        assert_eq!(extension.calls().len(), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_configured_token_is_not_read_from_a_store() {
    let (perseus, handler) = forwarder(&[("PERSEUS_TOKEN", "one")], only("two")).await;
    assert_eq!(report(&handler, &event("a")).await, ["a"]);
    assert_eq!(perseus.received().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_token_no_request_is_sent_and_the_next_invocation_tries_again() {
    let rubbish = |body: &str| Answer::Status(200, body.to_owned());
    for answer in [
        Answer::Status(400, "ResourceNotFoundException".to_owned()),
        Answer::Status(401, String::new()),
        Answer::Status(500, String::new()),
        Answer::Status(302, String::new()),
        Answer::Status(200, format!("{{\"SecretString\":\"{}\"}}", "x".repeat(1 << 20))),
        rubbish("<html>"),
        rubbish(r#"{"SecretBinary":"eA=="}"#),
        Answer::Secret(""),
        Answer::Secret("two\nlines"),
        Answer::Begin,
        Answer::Hang,
        Answer::Close,
    ] {
        let bad = answer.clone();
        let extension = Extension::start(MS, move |call| match call {
            0 => bad.clone(),
            _ => Answer::Secret("one"),
        })
        .await;
        let (perseus, handler) = extension.forwarder(&[("BATCH_MAX_RECORDS", "1")], only("one")).await;
        let start = Instant::now();
        assert_eq!(report(&handler, &event("a b c")).await, ["a", "b", "c"], "{answer:?}");
        assert!(start.elapsed() <= Duration::from_millis(3_010), "{answer:?}: {:?}", start.elapsed());
        assert!(perseus.received().is_empty(), "{answer:?}");
        assert_eq!(extension.calls().len(), 1, "{answer:?}");
        assert_eq!(report(&handler, &event("a b c")).await, [""; 0], "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_extension_costs_no_time_and_is_no_outage_of_perseus() {
    let extension = Extension::start(MS, |_| Answer::Secret("one")).await;
    let settings = [("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", "1"), ("MAX_ATTEMPTS", "1")];
    let (perseus, handler) = extension.forwarder(&settings, |_| Reply::ok()).await;
    let start = Instant::now();
    for _ in 0..30 {
        assert_eq!(report(&handler, &event("a")).await, ["a"]);
    }
    assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
    assert!(perseus.received().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_store_outage_does_not_slow_later_deliveries() {
    let extension = Extension::start(MS, |call| match call {
        0..30 => Answer::Status(500, String::new()),
        _ => Answer::Secret("one"),
    })
    .await;
    let settings = [("BATCH_MAX_RECORDS", "1"), ("MAX_ATTEMPTS", "1")];
    let (perseus, handler) = extension.forwarder(&settings, |_| Reply::ok().after(20 * MS)).await;
    for _ in 0..30 {
        assert_eq!(report(&handler, &event("a")).await, ["a"]);
    }
    assert_eq!(report(&handler, &numbered(100)).await, [""; 0]);
    assert_eq!(perseus.in_flight_peak(), 10);
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_is_not_ready_is_waited_for() {
    let extension = Extension::start(MS, |call| match call {
        0..4 => Answer::Status(400, "not ready to serve traffic, please wait".to_owned()),
        _ => Answer::Secret("one"),
    })
    .await;
    let (_perseus, handler) = extension.forwarder(&[], only("one")).await;
    assert_eq!(report(&handler, &event("a")).await, [""; 0]);
    assert_eq!(extension.calls().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_store_ends_at_the_cutoff() {
    for renewal in [false, true] {
        let extension = Extension::start(MS, move |call| match call {
            0 if renewal => Answer::Secret("one"),
            _ => Answer::Hang,
        })
        .await;
        let (perseus, handler) = extension.forwarder(&[], |_| Reply::status(401)).await;
        let start = Instant::now();
        assert_eq!(report_within(&handler, &event("a"), 2 * SECOND).await, ["a"]);
        assert_eq!(start.elapsed().as_millis() / 10, 100, "the cutoff is at 1 s");
        assert_eq!(perseus.received().len(), usize::from(renewal));
    }
}

#[tokio::test(start_paused = true)]
async fn if_the_store_is_down_after_a_refusal_the_set_up_is_wrong() {
    let extension = Extension::start(MS, |call| match call {
        0 => Answer::Secret("one"),
        1 => Answer::Hang,
        _ => Answer::Secret("two"),
    })
    .await;
    let (perseus, handler) = extension.forwarder(&[("BATCH_MAX_RECORDS", "1")], only("two")).await;
    let start = Instant::now();
    assert_eq!(report(&handler, &event("a b c")).await, ["a", "b", "c"]);
    assert!(start.elapsed() <= Duration::from_millis(3_010), "{:?}", start.elapsed());
    assert!(perseus.committed().is_empty());
    assert_eq!(report(&handler, &event("a b c")).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_group_keeps_its_order_during_a_token_rotation() {
    let extension = Extension::start(MS, |call| Answer::Secret(["one", "two"][call.min(1)])).await;
    let (perseus, handler) = extension.forwarder(&[("BATCH_MAX_RECORDS", "1")], only("two")).await;
    assert_eq!(report(&handler, &fifo("a1 a2 b1 a3 b2")).await, [""; 0]);
    let group =
        |name: char| perseus.committed().into_iter().filter(|id| id.starts_with(name)).collect::<Vec<_>>();
    assert_eq!(
        (group('a'), group('b')),
        (vec!["a1".into(), "a2".into(), "a3".into()], vec!["b1".into(), "b2".into()])
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_rotation_waits_for_the_next_invocation() {
    let extension = Extension::start(MS, |call| Answer::Secret(["one", "two", "three"][call])).await;
    let settings = [("BATCH_MAX_RECORDS", "1"), ("MAX_IN_FLIGHT", "1")];
    let (perseus, handler) = extension
        .forwarder(&settings, |request| {
            let valid = ["Bearer two", "Bearer three"][usize::from(request.number > 2)];
            Reply::status(if bearer(request) == valid { 200 } else { 401 })
        })
        .await;
    assert_eq!(report(&handler, &event("a b c d")).await, ["c", "d"]);
    assert_eq!(posted(&perseus), ["a", "b", "a", "c"]);
    assert_eq!(extension.calls().len(), 2);
    assert_eq!(report(&handler, &event("c d")).await, [""; 0]);
    assert_eq!(extension.calls().len(), 3);
}

/// The reported ids of five concurrent invocations with one record each.
async fn five_at_once(handler: &Handler) -> Vec<String> {
    let ids = ["a", "b", "c", "d", "e"];
    join_all(ids.map(|id| async move { report(handler, &event(id)).await })).await.concat()
}

#[tokio::test(start_paused = true)]
async fn concurrent_invocations_share_one_read_of_the_token() {
    let extension = Extension::start(10 * MS, |call| Answer::Secret(["one", "two"][call])).await;
    let (perseus, handler) = extension.forwarder(&[], only("two")).await;
    assert_eq!(five_at_once(&handler).await, [""; 0]);
    assert_eq!(perseus.committed().len(), 5);
    assert_eq!(extension.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_batch_tries_one_other_token_at_most() {
    let extension = Extension::start(5 * MS, |call| Answer::Secret(["one", "two", "three"][call])).await;
    let (perseus, handler) = extension
        .forwarder(&[], |request| {
            let place = "abcde".find(&request.message_ids[0]).unwrap_or(0);
            Reply::status(401).after(10 * MS * u32::try_from(place).unwrap())
        })
        .await;
    // Starts with the second token, and reads a third while requests with the second are in flight.
    let late = async {
        sleep(30 * MS).await;
        report(&handler, &event("late")).await
    };
    join(five_at_once(&handler), late).await;
    assert_eq!(extension.calls().len(), 3);
    let sent = posted(&perseus);
    for id in ["a", "b", "c", "d", "e"] {
        assert_eq!(sent.iter().filter(|posted| *posted == id).count(), 2, "{sent:?}");
    }
}
