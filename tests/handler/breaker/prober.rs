//! The prober: what it does in each state of the mapping.

use std::{collections::HashMap, ffi::OsString};

use lab::perseus::{Perseus, Received, Reply};
use perseus_forwarder::{breaker::prober::Prober, config::ProberConfig};
use serde_json::json;
use tokio::time::{Instant, advance};

use crate::support::{aws::*, *};

const RESUME: [&str; 4] = ["get", "tags", "enable", "untag"];

async fn prober(
    aws: &Aws,
    settings: &[(&str, &str)],
    answer: impl FnMut(&Received) -> Reply + Send + 'static,
) -> (Perseus, Prober) {
    fastrand::seed(7);
    let perseus = Perseus::start(answer).await;
    let mut variables: HashMap<_, _> = aws.settings().into_iter().collect();
    let (url, queue) = (perseus.url(), format!("{}123456789012/queue", variables["AWS_ENDPOINT_URL"]));
    variables.extend([("PERSEUS_URL", url.as_str()), ("PROBE_QUEUE_URL", &queue), ("PROBE_MAPPING", UUID)]);
    variables.extend(settings.iter().copied());
    let config = ProberConfig::from_lookup(|name| variables.get(name).map(OsString::from)).unwrap();
    (perseus, Prober::new(config).unwrap())
}

/// A run of the prober. Returns whether it ended without an error.
async fn run(prober: &Prober) -> bool {
    prober.run(&context(50 * SECOND)).await.is_ok()
}

/// The calls that look at the mapping, and these.
fn look_and(calls: &[&str]) -> Vec<String> {
    ["get", "tags"].iter().chain(calls).map(|call| (*call).to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn without_the_mark_or_during_a_change_nothing_happens() {
    for (mapping, mark) in [
        ("Enabled", false),
        ("Disabled", false),
        ("Enabling", true),
        ("Disabling", true),
        ("Updating", true),
        ("Creating", false),
        ("Deleting", true),
    ] {
        let aws = Aws::start(mapping).await;
        aws.state().send("a");
        if mark {
            aws.state().mark(Some("outage"));
        }
        let (perseus, prober) = prober(&aws, &[], |_| Reply::status(200)).await;
        assert!(run(&prober).await);
        assert_eq!(aws.calls(), look_and(&[]), "{mapping}");
        assert_eq!(aws.mapping(), (mapping, mark));
        assert!(perseus.received().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_acknowledged_message_is_deleted_and_delivery_resumes() {
    for cause in [None, Some("outage"), Some("refusals"), Some("set-up")] {
        let aws = Aws::paused(cause, "a b").await;
        let (perseus, prober) = prober(&aws, &[], |_| Reply::status(200)).await;
        assert!(run(&prober).await);
        assert_eq!(
            aws.calls(),
            look_and(&["receive", "delete a", RESUME[0], RESUME[1], RESUME[2], RESUME[3]]),
            "{cause:?}"
        );
        let state = aws.state();
        assert_eq!((state.mapping, state.is_marked()), ("Enabling", false));
        assert_eq!(posted(&perseus), ["a"]);
        let body: serde_json::Value = serde_json::from_slice(&perseus.received()[0].body).unwrap();
        let expected = serde_json::json!({"records": [{
            "messageId": "a", "sentTimestamp": 1545082649183_u64, "receiveCount": 1,
            "attributes": {"kind": {"dataType": "String", "stringValue": "order"}}, "body": {"n": 1},
        }]});
        assert_eq!(body, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_acknowledged_is_visible_at_once_and_delivery_stays_paused() {
    for (cause, status) in [
        (None, 503),
        (Some("outage"), 500),
        (Some("outage"), 401),
        (Some("outage"), 429),
        (Some("outage"), 302),
    ] {
        let aws = Aws::paused(cause, "a b").await;
        let (_perseus, prober) = prober(&aws, &[], move |_| Reply::status(status)).await;
        for _ in 0..3 {
            assert!(run(&prober).await);
            let calls = aws.calls();
            let attributes = calls.len() - 4;
            assert_eq!(calls[..4], look_and(&["receive", "release a"]), "{status}");
            assert!(attributes <= 1 && calls[4..].iter().all(|call| call == "attributes"), "{calls:?}");
            assert_eq!(aws.mapping(), ("Disabled", true));
            advance(60 * SECOND).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_queue_resumes_delivery() {
    let aws = Aws::start("Disabled").await;
    aws.state().mark(Some("refusals"));
    let (perseus, prober) = prober(&aws, &[], |_| Reply::status(503)).await;
    assert!(run(&prober).await);
    assert_eq!(aws.calls(), look_and(&["receive", RESUME[0], RESUME[1], RESUME[2], RESUME[3]]));
    assert!(perseus.received().is_empty());
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_a_refusal_proves_that_perseus_is_up() {
    let aws = Aws::paused(Some("outage"), "a").await;
    let (_perseus, prober) = prober(&aws, &[], |_| Reply::status(400)).await;
    assert!(run(&prober).await);
    assert_eq!(aws.calls(), look_and(&["receive", "release a", RESUME[0], RESUME[1], RESUME[2], RESUME[3]]));
    assert!(!aws.state().messages[0].is_hidden);
}

#[tokio::test(start_paused = true)]
async fn after_refusals_or_a_wrong_set_up_five_different_messages_are_tried() {
    for (cause, status) in [("refusals", 400), ("set-up", 403)] {
        let aws = Aws::paused(Some(cause), "a b c d e f").await;
        let (perseus, prober) = prober(&aws, &[], move |_| Reply::status(status)).await;
        assert!(run(&prober).await);
        let received = ["receive"; 5];
        let released = ["release a", "release b", "release c", "release d", "release e"];
        assert_eq!(aws.calls(), look_and(&[received, released].concat()), "{cause}");
        assert_eq!(posted(&perseus), ["a", "b", "c", "d", "e"]);
        assert_eq!(aws.mapping(), ("Disabled", true));
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_message_that_is_acknowledged_ends_the_search() {
    let aws = Aws::paused(Some("refusals"), "a b c d").await;
    let (_perseus, prober) =
        prober(&aws, &[], |request| Reply::status(if holds(request, "c") { 200 } else { 400 })).await;
    assert!(run(&prober).await);
    let expected = [
        "receive",
        "receive",
        "receive",
        "delete c",
        "release a",
        "release b",
        RESUME[0],
        RESUME[1],
        RESUME[2],
        RESUME[3],
    ];
    assert_eq!(aws.calls(), look_and(&expected));
}

#[tokio::test(start_paused = true)]
async fn refused_messages_and_no_others_do_not_resume_delivery() {
    let aws = Aws::paused(Some("refusals"), "a b").await;
    let (_perseus, prober) = prober(&aws, &[], |_| Reply::status(400)).await;
    assert!(run(&prober).await);
    assert_eq!(aws.calls(), look_and(&["receive", "receive", "receive", "release a", "release b"]));
}

#[tokio::test(start_paused = true)]
async fn the_mark_of_an_enabled_mapping_is_taken_off() {
    let aws = Aws::start("Enabled").await;
    aws.state().mark(Some("outage"));
    let (_perseus, prober) = prober(&aws, &[], |_| Reply::status(200)).await;
    assert!(run(&prober).await);
    assert_eq!(aws.calls(), look_and(&["untag", "get"]));
    assert!(!aws.state().is_marked());
}

#[tokio::test(start_paused = true)]
async fn a_mapping_that_is_disabled_meanwhile_gets_its_mark_back() {
    let aws = Aws::start("Enabled").await;
    aws.state().mark(Some("set-up"));
    aws.state().disabled_by_untag = true;
    let (_perseus, prober) = prober(&aws, &[], |_| Reply::status(200)).await;
    assert!(run(&prober).await);
    assert_eq!(aws.calls(), look_and(&["untag", "get", "tag"]));
    assert_eq!(aws.mapping(), ("Disabling", true));
    assert_eq!(aws.state().cause(), Some("set-up"));
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_an_operator_has_taken_over_is_kept() {
    let aws = Aws::paused(Some("outage"), "a").await;
    aws.state().taken_over_by_delete = true;
    let (_perseus, prober) = prober(&aws, &[], |_| Reply::status(200)).await;
    assert!(run(&prober).await);
    assert_eq!(aws.calls(), look_and(&["receive", "delete a", "get", "tags"]));
    assert_eq!(aws.mapping(), ("Disabled", false));
}

#[tokio::test(start_paused = true)]
async fn a_receive_whose_reply_is_lost_is_not_repeated() {
    let aws = Aws::faulty("Disabled", |called| (called == "receive").then_some(Fault::LostReply)).await;
    aws.state().mark(Some("outage"));
    aws.state().send("a b");
    let (_perseus, prober) = prober(&aws, &[], |_| Reply::status(200)).await;
    assert!(!run(&prober).await);
    assert_eq!(aws.calls(), look_and(&["receive"]));
}

#[tokio::test(start_paused = true)]
async fn a_fresh_mark_is_looked_at_again_before_it_is_taken_off() {
    for meanwhile in ["nothing", "disabled", "marked again"] {
        let aws = Aws::start("Enabled").await;
        let (_perseus, forwarder) = forwarder(
            &[&aws.settings()[..], &[("CIRCUIT_BREAKER", "on"), ("CIRCUIT_BREAKER_AFTER", "0s")]].concat(),
            |_| Reply::status(401),
        )
        .await;
        let mut context = context(30 * SECOND);
        context.invoked_function_arn = FUNCTION_ARN.to_owned();
        forwarder.handle(event("a").to_string().as_bytes(), &context).await.unwrap();
        assert_eq!(aws.calls(), ["list", "tag", "tags", "disable"]);
        // As if the prober had looked before the mapping was disabled.
        aws.state().mapping = "Enabled";
        let (_perseus, prober) = prober(&aws, &[], |_| Reply::status(200)).await;
        let happens = async {
            tokio::time::sleep(3 * SECOND).await;
            match meanwhile {
                "disabled" => aws.state().mapping = "Disabling",
                // The other mark is older than now.
                "marked again" => aws.state().mark(Some("outage")),
                _ => {}
            }
        };
        assert!(tokio::join!(run(&prober), happens).0);
        let untag: &[&str] = if meanwhile == "nothing" { &["untag", "get"] } else { &[] };
        assert_eq!(aws.calls(), [look_and(&[]), look_and(untag)].concat(), "{meanwhile}");
        assert_eq!(aws.state().is_marked(), meanwhile != "nothing", "{meanwhile}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_mapping_of_another_queue_is_an_error() {
    let aws = Aws::start("Disabled").await;
    aws.state().mark(Some("outage"));
    let queue = ("PROBE_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/other");
    let (_perseus, prober) = prober(&aws, &[queue], |_| Reply::status(200)).await;
    assert!(!run(&prober).await);
    assert_eq!(aws.calls(), ["get"]);
}

/// Everything that AWS can do wrong.
fn faults() -> Vec<Fault> {
    vec![
        error(429, "TooManyRequestsException"),
        error(403, "AccessDeniedException"),
        error(500, "ServiceException"),
        Fault::Http(200, "<html>".to_owned()),
        Fault::Hang,
        Fault::Reset,
    ]
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_is_an_error_and_the_next_run_repairs_what_is_undone() {
    for action in ["get", "tags", "receive", "delete", "enable", "untag"] {
        for fault in faults() {
            // Of these two only the status counts.
            if matches!((&fault, action), (Fault::Http(200, _), "delete" | "untag")) {
                continue;
            }
            let (name, start) = (format!("{action}: {fault:?}"), Instant::now());
            let aws = Aws::faulty("Disabled", move |called| {
                (called == action && start.elapsed() < 50 * SECOND).then(|| fault.clone())
            })
            .await;
            aws.state().mark(Some("outage"));
            aws.state().send("a b");
            let (_perseus, prober) = prober(&aws, &[], |_| Reply::status(200)).await;
            assert!(!run(&prober).await, "{name}");
            assert!(start.elapsed() < 30 * SECOND, "{name}: {:?}", start.elapsed());
            {
                // Lambda takes some seconds for a change, and SQS makes a message visible that was not deleted.
                let mut state = aws.state();
                assert!(state.mapping != "Disabled" || state.is_marked(), "{name}");
                state.mapping = if state.mapping == "Enabling" { "Enabled" } else { state.mapping };
                state.messages.iter_mut().for_each(|message| message.is_hidden = false);
            }
            advance(60 * SECOND).await;
            run(&prober).await;
            run(&prober).await;
            let state = aws.state();
            assert!(state.mapping.starts_with("Enabl") && !state.is_marked(), "{name}: {state:?}");
        }
    }
}

/// Without the mark nobody enables the mapping again.
#[tokio::test(start_paused = true)]
async fn the_mark_is_taken_off_only_if_lambda_says_that_it_enables_this_mapping() {
    let other = UUID.replace('1', "2");
    let large = UUID.to_uppercase();
    for (uuid, state, is_resumed) in [
        (UUID, "Enabling", true),
        (UUID, "Enabled", true),
        (UUID, "Updating", true),
        (&large, "Enabling", true),
        (UUID, "Disabled", false),
        (UUID, "Disabling", false),
        (UUID, "", false),
        (&other, "Enabling", false),
        (&other, "Disabled", false),
    ] {
        let reply = json!({"UUID": uuid, "State": state}).to_string();
        let aws = Aws::faulty("Disabled", move |called| {
            (called == "enable").then(|| Fault::Http(202, reply.clone()))
        })
        .await;
        aws.state().mark(Some("outage"));
        aws.state().send("a");
        let (_perseus, prober) = prober(&aws, &[], |_| Reply::status(200)).await;
        assert_eq!(run(&prober).await, is_resumed, "{uuid} {state}");
        assert_eq!(aws.state().is_marked(), !is_resumed, "{uuid} {state}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_made_visible_is_an_error() {
    let aws = Aws::faulty("Disabled", |called| (called == "release").then_some(Fault::Reset)).await;
    aws.state().mark(Some("outage"));
    aws.state().send("a");
    let (_perseus, prober) = prober(&aws, &[], |_| Reply::status(503)).await;
    assert!(!run(&prober).await);
    assert!(aws.state().is_marked());
}

#[tokio::test(start_paused = true)]
async fn a_perseus_that_hangs_leaves_time_for_the_calls() {
    for left in [5 * SECOND, 50 * SECOND] {
        for cause in ["outage", "refusals"] {
            let aws = Aws::paused(Some(cause), "a b c d e f").await;
            let (perseus, prober) = prober(&aws, &[], |_| Reply::hang()).await;
            assert!(prober.run(&context(left)).await.is_ok());
            // The parts of 5 s are too short for the first messages. What they leave is enough for the last one.
            assert!(!perseus.received().is_empty(), "{left:?}, {cause}");
            let state = aws.state();
            assert!(state.messages.iter().all(|message| !message.is_hidden), "{state:?}");
            assert!(state.messages[0].receives == 1 && state.is_marked(), "{state:?}");
        }
    }
}

/// Runs once a minute.
async fn minutes(prober: &Prober, minutes: u32) {
    for _ in 0..minutes {
        assert!(run(prober).await);
        advance(60 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_outage_does_not_cost_a_message_its_receives() {
    // After refusals and a wrong set-up it is received again after half an hour.
    for (cause, status, receives) in [("outage", 503, 5), ("refusals", 400, 6), ("set-up", 403, 6)] {
        let aws = Aws::paused(Some(cause), "a").await;
        aws.state().max_receives = Some(10);
        let start = Instant::now();
        let (perseus, prober) = prober(&aws, &[], move |_| {
            Reply::status(if start.elapsed() < 3_600 * SECOND { status } else { 200 })
        })
        .await;
        minutes(&prober, 60).await;
        assert_eq!(aws.state().messages[0].receives, receives, "{cause}");
        assert!(posted(&perseus).len() >= 60 && aws.mapping() == ("Disabled", true), "{cause}");
        aws.calls();
        assert!(run(&prober).await);
        assert_eq!(
            aws.calls(),
            look_and(&["receive", "delete a", RESUME[0], RESUME[1], RESUME[2], RESUME[3]]),
            "{cause}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_is_received_until_half_of_its_receives_are_spent() {
    for (max, receives) in [(3, 2), (4, 2), (5, 3), (6, 3)] {
        let aws = Aws::paused(Some("outage"), "a").await;
        aws.state().max_receives = Some(max);
        let (perseus, prober) = prober(&aws, &[("MAX_ATTEMPTS", "1")], |_| Reply::status(503)).await;
        minutes(&prober, 9).await;
        assert_eq!((aws.state().messages[0].receives, perseus.received().len()), (receives, 9), "{max}");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_not_received_again_share_the_time_too() {
    let aws = Aws::paused(Some("refusals"), "a b c d e").await;
    aws.state().max_receives = Some(2);
    let (perseus, prober) = prober(&aws, &[], |_| Reply::status(400)).await;
    minutes(&prober, 2).await;
    aws.calls();
    let before = perseus.received().len();
    // As above: the last one gets what the others leave.
    assert!(prober.run(&context(5 * SECOND)).await.is_ok());
    assert_eq!(aws.calls(), look_and(&[]));
    assert!(perseus.received()[before..].iter().any(|request| holds(request, "e")));
}

#[tokio::test(start_paused = true)]
async fn without_a_dead_letter_queue_each_run_receives() {
    let aws = Aws::paused(Some("outage"), "a").await;
    let (_perseus, prober) = prober(&aws, &[], |_| Reply::status(503)).await;
    minutes(&prober, 20).await;
    assert_eq!(aws.state().messages[0].receives, 20);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_forgotten_once_delivery_is_not_paused() {
    let aws = Aws::paused(Some("outage"), "a").await;
    aws.state().max_receives = Some(2);
    let (perseus, prober) = prober(&aws, &[], |_| Reply::status(503)).await;
    minutes(&prober, 3).await;
    aws.state().mapping = "Enabled";
    minutes(&prober, 1).await;
    // Another pause, and the message is gone.
    aws.state().messages.clear();
    aws.state().mapping = "Disabled";
    aws.state().mark(Some("outage"));
    let before = perseus.received().len();
    minutes(&prober, 1).await;
    assert_eq!((aws.mapping(), perseus.received().len()), (("Enabling", false), before));
}

#[tokio::test(start_paused = true)]
async fn a_call_to_lambda_that_fails_twice_is_made_a_third_time() {
    for (fault, is_repeated) in [(error(500, "ServiceException"), true), (error(403, "AccessDenied"), false)]
    {
        let mut faults = 2;
        let aws = Aws::faulty("Disabled", move |called| {
            let fails = called == "enable" && faults > 0;
            faults -= u32::from(fails);
            fails.then(|| fault.clone())
        })
        .await;
        aws.state().mark(Some("outage"));
        let (_perseus, prober) = prober(&aws, &[], |_| Reply::status(200)).await;
        assert_eq!(run(&prober).await, is_repeated);
        assert_eq!(
            aws.calls().iter().filter(|call| *call == "enable").count(),
            if is_repeated { 3 } else { 1 }
        );
    }
}

#[tokio::test(start_paused = true)]
async fn bad_messages_are_not_all_that_is_tried_after_refusals() {
    let aws = Aws::paused(Some("refusals"), "a b c d e").await;
    aws.state().max_receives = Some(2);
    let (_perseus, prober) =
        prober(&aws, &[], |request| Reply::status(if holds(request, "f") { 200 } else { 400 })).await;
    minutes(&prober, 3).await;
    // The bad ones are dead meanwhile.
    aws.state().messages.clear();
    aws.state().send("f");
    minutes(&prober, 31).await;
    assert_eq!(aws.mapping(), ("Enabling", false));
}
