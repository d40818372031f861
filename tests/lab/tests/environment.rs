//! The environment, with a shell script for a function.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lab::environment::{Answer, Builder, Environment, Invoke, StartError};
use serde_json::{Value, json};

fn function(behaviour: &str) -> Builder {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/function.sh");
    Environment::builder(script).env("BEHAVIOUR", behaviour)
}

async fn started(behaviour: &str) -> Environment {
    function(behaviour).start().await.expect("the script asks for work")
}

async fn response(environment: &Environment, event: &str) -> Value {
    match environment.invoke(event.to_owned()).await.answer {
        Answer::Response(response) => response,
        other => panic!("{other:?}"),
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970")
}

#[cfg(target_os = "linux")]
/// Whether a process is alive and not a zombie.
fn is_alive(pid: &Value) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|state| !state.is_empty() && !state.starts_with(" Z"))
}

#[cfg(target_os = "linux")]
async fn is_gone(pid: &Value) -> bool {
    for _ in 0..100 {
        if !is_alive(pid) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test]
async fn one_environment_answers_event_after_event() {
    let environment = function("echo").memory_mb(256).start().await.expect("the script asks for work");
    assert_eq!(response(&environment, r#"{"first":1}"#).await, json!({ "first": 1 }));
    let second = environment.invoke(r#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#).await;
    assert_eq!(second.answer.failed_ids(), ["a"]);
    assert!(second.time_left > Duration::from_secs(20) && second.time_left < Duration::from_secs(30));
    let logs = environment.shutdown().await;
    assert_eq!(logs[..2], ["started with 256 MB", r#"got {"first":1}"#]);
}

#[tokio::test]
async fn an_invocation_carries_what_lambda_sends() {
    let environment =
        function("heads").timeout(Duration::from_secs(20)).start().await.expect("the script starts");
    let before = since_epoch();
    let heads = response(&environment, "{}").await;
    let deadline = heads["deadline"].as_str().and_then(|text| text.parse().ok()).map(Duration::from_millis);
    let timeout = deadline.expect("a deadline in milliseconds") + Duration::from_millis(1) - before;
    assert!((Duration::from_secs(20)..Duration::from_secs(22)).contains(&timeout), "{timeout:?}");
    assert!(heads["trace"].as_str().is_some_and(|trace| trace.starts_with("Root=1-")));
    assert!(heads["arn"].as_str().is_some_and(|arn| arn.ends_with(":function:perseus-forwarder")));
}

#[tokio::test]
async fn an_odd_deadline_is_passed_on_as_it_is_and_no_trace_id_means_no_header() {
    let environment = started("heads").await;
    let invoke =
        Invoke { event: "{}".into(), deadline_ms: 600_000, wait: Duration::from_secs(10), trace_id: None };
    let invocation = environment.invoke_with(invoke).await;
    let Answer::Response(heads) = invocation.answer else { panic!("{:?}", invocation.answer) };
    assert_eq!(heads["deadline"], "600000");
    assert_eq!(heads["trace"], "");
    assert_eq!(invocation.time_left, Duration::ZERO);
}

#[tokio::test]
async fn the_function_sees_only_what_lambda_and_the_caller_set() {
    let variables = response(&started("variables").await, "{}").await;
    let names: Vec<&str> = variables.as_str().expect("a list of names").split_whitespace().collect();
    assert!(names.contains(&"AWS_LAMBDA_FUNCTION_NAME") && names.contains(&"BEHAVIOUR"));
    assert!(!names.contains(&"CARGO") && !names.contains(&"HOME"), "{names:?}");
}

#[tokio::test]
async fn an_error_report_is_an_error() {
    let expected = Answer::Error { kind: "NotSqs".into(), message: "no Records".into() };
    assert_eq!(started("error").await.invoke("{}").await.answer, expected);
}

#[tokio::test]
async fn an_answer_that_is_not_json_is_an_error() {
    let answer = started("garbage").await.invoke("{}").await.answer;
    assert!(matches!(answer, Answer::Error { kind, .. } if kind == "InvalidResponse"));
}

#[tokio::test]
async fn a_process_that_ends_instead_of_answering_has_crashed() {
    let environment = started("crash").await;
    let Answer::Crashed { logs } = environment.invoke("{}").await.answer else { panic!("it ends") };
    assert_eq!(logs.last().map(String::as_str), Some("last words"));
    assert!(!environment.is_running());
}

#[tokio::test]
async fn a_time_out_ends_the_environment() {
    let environment =
        function("hang").timeout(Duration::from_millis(200)).start().await.expect("the script starts");
    let invocation = environment.invoke("{}").await;
    assert_eq!(invocation.answer, Answer::TimedOut);
    assert_eq!(invocation.time_left, Duration::ZERO);
    assert!(matches!(environment.invoke("{}").await.answer, Answer::Crashed { .. }));
}

#[tokio::test]
async fn a_late_answer_that_was_waited_for_has_no_time_left() {
    let invoke = Invoke {
        event: "{}".into(),
        deadline_ms: u64::try_from(since_epoch().as_millis()).expect("a date") + 100,
        wait: Duration::from_secs(10),
        trace_id: None,
    };
    let invocation = started("late").await.invoke_with(invoke).await;
    assert!(invocation.answer.failed_ids().is_empty());
    assert_eq!(invocation.time_left, Duration::ZERO);
    assert!(invocation.took >= Duration::from_millis(300));
}

#[tokio::test]
async fn invocations_at_once_all_get_their_own_answer() {
    let environment = started("echo").await;
    let (one, two) = tokio::join!(response(&environment, "1"), response(&environment, "2"));
    assert_eq!((one, two), (json!(1), json!(2)));
}

#[tokio::test]
async fn a_reported_initialisation_error_is_told_with_the_exit_code() {
    match function("no-init").start().await {
        Err(StartError::Init { kind, message, exit }) => {
            assert_eq!(
                (kind.as_str(), message.as_str(), exit),
                ("ConfigError", "PERSEUS_URL is not set", Some(3))
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_function_that_exits_before_it_asks_for_work_is_told_with_its_lines() {
    match function("exit").start().await {
        Err(StartError::Exited { status, logs }) => {
            assert_eq!((status.code(), logs), (Some(4), vec!["cannot go on".to_owned()]));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_function_that_never_asks_for_work_is_given_up() {
    let outcome = function("idle").init_timeout(Duration::from_millis(200)).start().await;
    assert!(matches!(outcome, Err(StartError::NeverAskedForWork)));
}

#[tokio::test]
async fn a_missing_executable_is_named() {
    let error = Environment::builder("/no/such/function").start().await.expect_err("there is no such file");
    assert!(error.to_string().starts_with("/no/such/function: "), "{error}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn nothing_is_left_behind_by_a_dropped_environment() {
    let environment = started("parent").await;
    let child = response(&environment, "{}").await;
    assert!(is_alive(&child));
    drop(environment);
    assert!(is_gone(&child).await);
}
