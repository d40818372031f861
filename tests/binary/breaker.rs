//! What the circuit breaker and its prober log and count.

use lab::{
    environment::Environment,
    perseus::{Perseus, Received, Reply},
};
use serde_json::{Value, json};

use crate::support::{aws::*, *};

/// The function in this account, in front of a Perseus with these statuses. The last one is repeated.
async fn started(aws: &Aws, statuses: &'static [u16], own: &[(&str, &str)]) -> (Perseus, Environment) {
    let status = |request: &Received| statuses[request.number.min(statuses.len() - 1)];
    let perseus = Perseus::start(move |request| Reply::status(status(request))).await;
    let environment = environment(&perseus, &[&aws.settings()[..], own].concat()).await;
    (perseus, environment)
}

/// The prober after its first run.
async fn prober(aws: &Aws, statuses: &'static [u16]) -> (Perseus, Environment) {
    let own = [
        ("_HANDLER", "prober"),
        ("PROBE_MAPPING", UUID),
        ("PROBE_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/queue"),
        ("METRICS", "on"),
        ("MAX_ATTEMPTS", "1"),
    ];
    let started = started(aws, statuses, &own).await;
    started.1.invoke("{}").await;
    started
}

/// The only line with this message.
fn line(environment: &Environment, message: &str) -> Value {
    let mut lines = lines(environment, message);
    assert_eq!(lines.len(), 1, "{message}: {lines:?}");
    lines.remove(0)
}

#[tokio::test]
async fn each_run_of_the_prober_says_what_it_found_and_did() {
    for (state, mark, statuses, found, tried, paused) in [
        ("Enabled", None, &[200], "enabled", 0, false),
        ("Disabled", None, &[200], "disabled", 0, false),
        ("Disabling", Some("set-up"), &[200], "changing", 0, true),
        ("Disabled", Some("outage"), &[503], "disabled", 1, true),
        ("Disabled", Some("outage"), &[200], "disabled", 1, false),
        ("Disabled", Some("set-up"), &[200], "disabled", 1, false),
    ] {
        let aws = Aws::start(state).await;
        aws.state().send("a b");
        if mark.is_some() {
            aws.state().mark(mark);
        }
        let (_perseus, environment) = prober(&aws, statuses).await;
        let settled = line(&environment, "probe settled");
        let fields = ["mapping", "pausedSince", "pausedFor", "tried", "paused"].map(|name| &settled[name]);
        let since = mark.map(|_| PAUSED_AT);
        assert_eq!(
            fields,
            [&json!(found), &json!(since), &json!(mark), &json!(tried), &json!(paused)],
            "{state}, {mark:?}, {statuses:?}"
        );
        assert!((1..=30_000).contains(&settled["timeLeftMs"].as_u64().unwrap()), "{settled}");
        let counted: Vec<_> =
            documents(&environment).filter_map(|line| line.get("BreakerPaused").cloned()).collect();
        assert_eq!(counted, [json!(u8::from(paused))], "{state}, {mark:?}, {statuses:?}");
    }
}

/// One that is not received again counts too, and so does the message that is received after it.
#[tokio::test]
async fn each_message_that_the_prober_sends_counts_as_tried() {
    let aws = Aws::paused(Some("outage"), "a").await;
    aws.state().max_receives = Some(4);
    aws.state().messages[0].receives = 1;
    let (_perseus, environment) = prober(&aws, &[503, 503, 200]).await;
    for _ in 0..2 {
        environment.invoke("{}").await;
    }
    let tried: Vec<_> =
        lines(&environment, "probe settled").into_iter().map(|line| line["tried"].clone()).collect();
    assert_eq!(tried, [1, 1, 2]);
}

#[tokio::test]
async fn the_prober_says_that_it_resumes_delivery_and_since_when_it_was_paused() {
    let aws = Aws::paused(Some("outage"), "a").await;
    let (_perseus, environment) = prober(&aws, &[200]).await;
    assert_eq!(line(&environment, "delivery is resumed")["pausedSince"], PAUSED_AT);
    assert_eq!(line(&environment, "delivery is resumed")["level"], "INFO");
}

#[tokio::test]
async fn the_forwarder_says_that_it_pauses_delivery_and_why_or_why_it_cannot() {
    let own = [
        ("CIRCUIT_BREAKER", "on"),
        ("CIRCUIT_BREAKER_AFTER", "0s"),
        ("AWS_LAMBDA_FUNCTION_NAME", "forwarder"),
    ];
    for (fails, message, field, value) in [
        (
            false,
            "delivery is paused: messages wait in the queue, and one a minute is tried",
            "pausedFor",
            "set-up",
        ),
        (true, "delivery not paused: the calls to Lambda's API failed", "reason", "TagResource: "),
    ] {
        let aws = Aws::faulty("Enabled", move |called| {
            (fails && called == "tag").then(|| error(403, "AccessDeniedException"))
        })
        .await;
        let (_perseus, environment) = started(&aws, &[401], &own).await;
        environment.invoke(queue_event("a").to_string()).await;
        let line = line(&environment, message);
        assert_eq!(line["level"], "WARN");
        assert!(line[field].as_str().unwrap().starts_with(value), "{line}");
    }
}
