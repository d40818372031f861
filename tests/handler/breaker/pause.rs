//! With `CIRCUIT_BREAKER=on`: when and how the forwarder pauses its mapping.

use std::time::Duration;

use lab::perseus::{Perseus, Reply};
use lambda_runtime::{Config as FunctionConfig, Context};
use perseus_forwarder::lambda::handler::Handler;
use serde_json::json;
use tokio::time::{Instant, advance};

use crate::support::{aws::*, *};

const AT_ONCE: (&str, &str) = ("CIRCUIT_BREAKER_AFTER", "0s");
const PAUSE: [&str; 4] = ["list", "tag", "tags", "disable"];

/// A handler between a Perseus that always answers with this status, and this AWS.
async fn between(aws: &Aws, settings: &[(&str, &str)], status: u16) -> (Perseus, Handler) {
    let on = [("CIRCUIT_BREAKER", "on")];
    forwarder(&[&aws.settings()[..], &on, settings].concat(), move |_| Reply::status(status)).await
}

fn invocation(left: Duration) -> Context {
    let mut context = context(left);
    context.invoked_function_arn = FUNCTION_ARN.to_owned();
    let function_name = "forwarder".to_owned();
    context.env_config = FunctionConfig { function_name, ..FunctionConfig::default() }.into();
    context
}

/// The number of reported records.
async fn invoke(handler: &Handler, event: &serde_json::Value) -> usize {
    let response = handler.handle(event.to_string().as_bytes(), &invocation(30 * SECOND)).await.unwrap();
    response.batch_item_failures.len()
}

/// Invokes until the outage is known, and some more.
async fn outage(handler: &Handler) {
    for _ in 0..4 {
        assert_eq!(invoke(handler, &numbered(100)).await, 100);
    }
}

/// Invokes until AWS is called.
async fn until_called(aws: &Aws, handler: &Handler) {
    while aws.state().calls.is_empty() {
        invoke(handler, &numbered(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_marks_the_mapping_and_then_disables_it_once() {
    let aws = Aws::start("Enabled").await;
    let (_perseus, handler) = between(&aws, &[AT_ONCE], 503).await;
    outage(&handler).await;
    assert_eq!(aws.calls(), PAUSE);
    let state = aws.state();
    assert_eq!((state.mapping, state.cause()), ("Disabling", Some("outage")));
    let list = &state.heads[0];
    assert!(
        list.contains("EventSourceArn=arn%3Aaws%3Asqs%3Aeu-west-1%3A123456789012%3Aqueue HTTP"),
        "{list}"
    );
    let since = &state.tags["perseus-forwarder:paused-since"];
    assert!(since.len() == 20 && since.starts_with("20") && since.ends_with('Z'), "{since}");
    for head in &state.heads {
        assert!(head.contains("/eu-west-1/lambda/aws4_request"), "{head}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_called_while_perseus_is_up_or_the_breaker_is_off() {
    let aws = Aws::start("Enabled").await;
    let (_perseus, handler) = between(&aws, &[AT_ONCE], 200).await;
    assert_eq!(invoke(&handler, &numbered(100)).await, 0);
    let (_perseus, handler) = between(&aws, &[AT_ONCE, ("CIRCUIT_BREAKER", "off")], 503).await;
    outage(&handler).await;
    assert!(aws.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_outage_has_to_last_for_the_time_of_the_setting() {
    let aws = Aws::start("Enabled").await;
    let (_perseus, handler) = between(&aws, &[], 503).await;
    let start = Instant::now();
    while start.elapsed() < 59 * SECOND {
        invoke(&handler, &numbered(100)).await;
        advance(SECOND).await;
    }
    assert!(aws.calls().is_empty(), "{:?}", start.elapsed());
    // The random time is an eighth of the setting at most.
    while start.elapsed() < 69 * SECOND {
        invoke(&handler, &numbered(100)).await;
        advance(SECOND).await;
    }
    assert_eq!(aws.calls(), PAUSE);
}

#[tokio::test(start_paused = true)]
async fn a_single_acknowledgement_starts_the_time_anew() {
    let aws = Aws::start("Enabled").await;
    let start = Instant::now();
    let settings = [&aws.settings()[..], &[("CIRCUIT_BREAKER", "on")]].concat();
    let (_perseus, handler) = forwarder(&settings, move |_| {
        let is_up = (40 * SECOND..45 * SECOND).contains(&start.elapsed());
        Reply::status(if is_up { 200 } else { 503 })
    })
    .await;
    while start.elapsed() < 100 * SECOND {
        invoke(&handler, &numbered(10)).await;
        advance(SECOND).await;
    }
    assert!(aws.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_wrong_set_up_pauses_delivery_after_the_same_time() {
    let aws = Aws::start("Enabled").await;
    let (_perseus, handler) = between(&aws, &[("CIRCUIT_BREAKER_AFTER", "10s")], 401).await;
    invoke(&handler, &numbered(1)).await;
    advance(9 * SECOND).await;
    invoke(&handler, &numbered(1)).await;
    assert!(aws.calls().is_empty());
    advance(3 * SECOND).await;
    invoke(&handler, &numbered(1)).await;
    assert_eq!(aws.calls(), PAUSE);
    assert_eq!(aws.state().cause(), Some("set-up"));
}

#[tokio::test(start_paused = true)]
async fn a_perseus_that_refuses_everything_pauses_delivery() {
    let aws = Aws::start("Enabled").await;
    let (_perseus, handler) = between(&aws, &[], 400).await;
    assert_eq!(invoke(&handler, &numbered(100)).await, 100);
    assert_eq!(aws.calls(), PAUSE);
    assert_eq!(aws.state().cause(), Some("refusals"));
}

#[tokio::test(start_paused = true)]
async fn a_mapping_that_is_not_enabled_is_left_alone() {
    for mapping in ["Disabled", "Disabling", "Enabling", "Updating", "Creating", "Deleting"] {
        let aws = Aws::start(mapping).await;
        let (_perseus, handler) = between(&aws, &[AT_ONCE], 503).await;
        outage(&handler).await;
        assert_eq!(aws.calls(), ["list"], "{mapping}");
        assert_eq!(aws.mapping(), (mapping, false));
    }
}

#[tokio::test(start_paused = true)]
async fn the_mapping_is_looked_at_once_a_minute() {
    let aws = Aws::start("Disabled").await;
    let (_perseus, handler) = between(&aws, &[AT_ONCE], 503).await;
    outage(&handler).await;
    let start = Instant::now();
    while start.elapsed() < 55 * SECOND {
        invoke(&handler, &numbered(1)).await;
        advance(SECOND).await;
    }
    assert_eq!(aws.calls(), ["list"]);
    advance(10 * SECOND).await;
    invoke(&handler, &numbered(1)).await;
    assert_eq!(aws.calls(), ["list"]);
}

/// Everything that Lambda's API can do wrong.
fn faults() -> Vec<Fault> {
    vec![
        error(429, "TooManyRequestsException"),
        error(409, "ResourceConflictException"),
        error(400, "ResourceInUseException"),
        error(403, "AccessDeniedException"),
        error(404, "ResourceNotFoundException"),
        error(500, "ServiceException"),
        Fault::Http(302, String::new()),
        Fault::Hang,
        Fault::Reset,
        Fault::LostReply,
    ]
}

#[tokio::test(start_paused = true)]
async fn whatever_lambdas_api_does_the_answer_is_the_same_and_in_time() {
    for action in PAUSE {
        for fault in faults() {
            let name = format!("{action}: {fault:?}");
            let aws = Aws::faulty("Enabled", move |called| (called == action).then(|| fault.clone())).await;
            let (_perseus, handler) = between(&aws, &[AT_ONCE], 503).await;
            outage(&handler).await;
            for left in [30 * SECOND, 2 * SECOND, 1_010 * MS] {
                advance(20 * SECOND).await;
                let start = Instant::now();
                let event = numbered(3).to_string();
                let response = handler.handle(event.as_bytes(), &invocation(left)).await.unwrap();
                assert_eq!(response.batch_item_failures.len(), 3, "{name}");
                assert!(start.elapsed() < left, "{name}: {:?}", start.elapsed());
            }
            let state = aws.state();
            assert!(!state.calls.is_empty() && (state.mapping == "Enabled" || state.is_marked()), "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lie_about_the_mapping_changes_nothing() {
    let other = |key: &str, value: &str| {
        let mut mapping = serde_json::json!({
            "UUID": UUID, "State": "Enabled", "FunctionArn": FUNCTION_ARN,
            "EventSourceArn": "arn:aws:sqs:eu-west-1:123456789012:queue",
        });
        mapping[key] = value.into();
        serde_json::json!({"EventSourceMappings": [mapping]}).to_string()
    };
    for list in [
        other("EventSourceArn", "arn:aws:sqs:eu-west-1:123456789012:other"),
        other("FunctionArn", "arn:aws:lambda:eu-west-1:123456789012:function:other"),
        other("UUID", "../../functions/forwarder"),
        other("State", "Sleeping"),
        r#"{"EventSourceMappings":[]}"#.to_owned(),
        r#"{"EventSourceMappings":null}"#.to_owned(),
        "[]".to_owned(),
        "<html>".to_owned(),
        String::new(),
        " ".repeat(10 << 20),
    ] {
        let answer = list.clone();
        let aws = Aws::faulty("Enabled", move |_| Some(Fault::Http(200, answer.clone()))).await;
        let (_perseus, handler) = between(&aws, &[AT_ONCE], 503).await;
        outage(&handler).await;
        assert_eq!(aws.calls(), ["list"], "{:.200}", list);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_failed_is_repeated_soon_and_one_that_met_another_environment_is_not() {
    for (fault, calls) in [(error(500, "ServiceException"), 2), (error(429, "TooManyRequestsException"), 1)] {
        let aws = Aws::faulty("Enabled", move |_| Some(fault.clone())).await;
        let (_perseus, handler) = between(&aws, &[AT_ONCE], 503).await;
        until_called(&aws, &handler).await;
        assert_eq!(aws.calls(), ["list"]);
        advance(4_800 * MS).await;
        invoke(&handler, &numbered(1)).await;
        assert_eq!(aws.calls(), [""; 0], "other environments have to get their turn");
        advance(10 * SECOND).await;
        invoke(&handler, &numbered(1)).await;
        assert_eq!(aws.calls().len() + 1, calls);
    }
}

#[tokio::test(start_paused = true)]
async fn a_mapping_whose_mark_is_not_there_is_not_disabled() {
    let lie = || Some(Fault::Http(200, "{}".to_owned()));
    let aws = Aws::faulty("Enabled", move |called| if called == "tag" { lie() } else { None }).await;
    let (_perseus, handler) = between(&aws, &[AT_ONCE], 503).await;
    outage(&handler).await;
    assert_eq!(aws.calls(), ["list", "tag", "tags"]);
    assert_eq!(aws.mapping(), ("Enabled", false));
}

#[tokio::test(start_paused = true)]
async fn of_the_mappings_of_several_aliases_the_invoked_one_is_paused() {
    const OTHER: &str = "0f0db71e-5d35-4eb5-b481-8945cf9d10c2";
    for (invoked, aliases, is_paused) in [
        (":live", &[(OTHER, ":blue"), (UUID, ":live")][..], true),
        (":live", &[(UUID, ":live"), (OTHER, ":blue")], true),
        (":$LATEST", &[(OTHER, ":live"), (UUID, "")], true),
        // The mapping may have moved to another alias since.
        (":live", &[(UUID, ":blue")], true),
        (":live", &[(OTHER, ":blue"), (UUID, ":green")], false),
    ] {
        let mappings = aliases.iter().map(|(uuid, alias)| {
            json!({"UUID": uuid, "State": "Enabled", "FunctionArn": format!("{FUNCTION_ARN}{alias}")})
        });
        let list = json!({"EventSourceMappings": mappings.collect::<Vec<_>>()}).to_string();
        let fault = move |called: &str| (called == "list").then(|| Fault::Http(200, list.clone()));
        let aws = Aws::faulty("Enabled", fault).await;
        let (_perseus, handler) = between(&aws, &[AT_ONCE], 503).await;
        while aws.state().calls.is_empty() {
            let mut context = invocation(30 * SECOND);
            context.invoked_function_arn.push_str(invoked);
            handler.handle(numbered(100).to_string().as_bytes(), &context).await.unwrap();
        }
        assert_eq!(aws.mapping().1, is_paused, "{invoked}, {aliases:?}");
        assert_eq!(aws.calls(), PAUSE[..if is_paused { 4 } else { 1 }], "{invoked}, {aliases:?}");
        assert!(aws.state().heads.iter().skip(1).all(|head| head.contains(UUID)), "{invoked}, {aliases:?}");
    }
}

/// The prober takes the mark of an enabled mapping off once it is six seconds old.
#[tokio::test(start_paused = true)]
async fn a_mapping_is_not_disabled_later_than_three_seconds_after_its_mark() {
    let late = |_: &str| Some(Fault::Late(1_100 * MS));
    let aws = Aws::faulty("Enabled", late).await;
    let (_perseus, handler) = between(&aws, &[AT_ONCE], 503).await;
    until_called(&aws, &handler).await;
    assert_eq!(aws.calls(), ["list", "tag", "tags"]);
    assert_eq!(aws.mapping(), ("Enabled", true));
}

#[tokio::test(start_paused = true)]
async fn after_a_pause_the_time_of_failures_starts_anew() {
    let aws = Aws::start("Enabled").await;
    let (_perseus, handler) = between(&aws, &[("CIRCUIT_BREAKER_AFTER", "20s")], 503).await;
    let until_paused = async || {
        let start = Instant::now();
        while aws.calls().is_empty() && start.elapsed() < 60 * SECOND {
            invoke(&handler, &numbered(10)).await;
            advance(SECOND).await;
        }
        start.elapsed()
    };
    until_paused().await;
    // The environment is frozen during the pause.
    advance(3_600 * SECOND).await;
    aws.state().mapping = "Enabled";
    let again = until_paused().await;
    assert!(again >= 20 * SECOND && again < 30 * SECOND, "{again:?}");
}
