//! With `REJECTED_QUEUE_URL`: rejected records are sent to that queue.

use lab::perseus::{Received, Reply};
use serde_json::{Value, json};

use crate::support::{sqs::*, *};

const TO: (&str, &str) = ("REJECTED_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/dead");
const TO_FIFO: (&str, &str) =
    ("REJECTED_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/dead.fifo");

/// Refuses every request that holds a record whose id contains "bad".
fn picky(request: &Received) -> Reply {
    let is_bad = request.message_ids.iter().any(|id| id.contains("bad"));
    if is_bad { Reply::status(422).body("no time field") } else { Reply::ok() }
}

/// The same, but never answers a request that holds the record "slow".
fn picky_and_slow(request: &Received) -> Reply {
    if holds(request, "slow") { Reply::hang() } else { picky(request) }
}

fn bodies(sqs: &Sqs) -> Vec<String> {
    sqs.messages().iter().map(|message| message["MessageBody"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_rejected_record_is_dead_lettered_with_its_reason_and_not_reported() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let (_perseus, handler) = between(&sqs, &[TO], picky).await;
    let mut event = event("a bad c");
    event["Records"][1]["body"] = json!(" {\"n\" : 1.0}\u{e9}\t");
    event["Records"][1]["attributes"]["ApproximateReceiveCount"] = json!("2");
    event["Records"][1]["messageAttributes"] = json!({
        "site": {"dataType": "String.city", "stringValue": "Zürich", "stringListValues": [], "binaryListValues": []},
        "raw": {"dataType": "Binary", "binaryValue": "AAE="},
    });
    assert_eq!(report(&handler, &event).await, [""; 0]);
    let calls = sqs.calls();
    let [call] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!(call.header("x-amz-target"), Some("AmazonSQS.SendMessageBatch"));
    assert_eq!(call.queue_url, TO.1);
    let text = |text: &str| json!({"DataType": "String", "StringValue": text});
    let number = |number: &str| json!({"DataType": "Number", "StringValue": number});
    let expected = json!({
        "Id": "0",
        "MessageBody": " {\"n\" : 1.0}\u{e9}\t",
        "MessageAttributes": {
            "Rejected.Status": number("422"),
            "Rejected.Reason": text("status 422: no time field"),
            "Rejected.ReceiveCount": number("2"),
            "Rejected.SourceQueue": text("arn:aws:sqs:eu-west-1:123456789012:queue"),
            "Rejected.MessageId": text("bad"),
            "site": {"DataType": "String.city", "StringValue": "Zürich"},
            "raw": {"DataType": "Binary", "BinaryValue": "AAE="},
        },
    });
    assert_eq!(call.entries, [expected]);
}

#[tokio::test(start_paused = true)]
async fn a_record_refused_by_name_is_dead_lettered() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let (_perseus, handler) =
        between(&sqs, &[TO], |_| Reply::refuse(207, &[("b", Some(false)), ("d", Some(false))])).await;
    assert_eq!(report(&handler, &event("a b c d")).await, [""; 0]);
    for message in sqs.messages() {
        assert_eq!(message["MessageAttributes"]["Rejected.Status"]["StringValue"], "207");
        assert_eq!(message["MessageAttributes"]["Rejected.Reason"]["StringValue"], "refused by name");
    }
    assert_eq!(sqs.messages().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_record_is_dead_lettered_if_its_body_is_text() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let (_perseus, handler) = between(&sqs, &[TO], |_| Reply::ok()).await;
    let mut event = event("a b c d e");
    event["Records"][0]["attributes"]["SentTimestamp"] = json!("yesterday");
    event["Records"][1]["messageAttributes"] = json!({"x": {"dataType": "Binary", "binaryValue": 7}});
    event["Records"][2]["body"] = json!(null);
    event["Records"][3]["body"] = json!({"a": 1});
    assert_eq!(report(&handler, &event).await, ["c", "d"]);
    let reasons: Vec<_> = sqs
        .messages()
        .iter()
        .map(|message| message["MessageAttributes"]["Rejected.Reason"]["StringValue"].clone())
        .collect();
    assert_eq!(reasons, ["its attributes cannot be read", "its messageAttributes cannot be read"]);
    assert!(sqs.messages().iter().all(|message| message["MessageAttributes"]["Rejected.Status"].is_null()));
}

#[tokio::test(start_paused = true)]
async fn errored_records_stay_in_the_queue() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    for status in [500, 403] {
        let settings = [TO, ("MAX_ATTEMPTS", "1")];
        let (_perseus, handler) = between(&sqs, &settings, move |_| Reply::status(status)).await;
        assert_eq!(report(&handler, &event("a b")).await, ["a", "b"]);
    }
    assert_eq!(sqs.calls().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn unconfirmed_records_are_reported_and_the_answer_is_before_the_deadline() {
    let alone = [Answer::ConfirmWithoutMessages, Answer::Refuse(&["0", "1"])];
    for answer in misbehaviour().into_iter().chain(alone) {
        let told = answer.clone();
        let sqs = Sqs::start(move |_| told.clone()).await;
        let settings = [TO, ("REQUEST_TIMEOUT", "60s"), ("BATCH_MAX_RECORDS", "1")];
        let (_perseus, handler) = between(&sqs, &settings, picky_and_slow).await;
        let (reported, took) = timed(&handler, &event("a bad1 slow bad2"), 5 * SECOND).await;
        match answer {
            // SQS confirms all but the first entry.
            Answer::Refuse(["0"]) | Answer::Forget => assert_eq!(reported, ["bad1", "slow"], "{answer:?}"),
            _ => assert_eq!(reported, ["bad1", "slow", "bad2"], "{answer:?}"),
        }
        assert!(took < 4_510 * MS, "{answer:?}: {took:?}");
        assert!(!sqs.calls().is_empty(), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_both_sqs_settings_the_answer_is_before_the_deadline() {
    for answer in [Answer::Hang, Answer::Trickle, Answer::Confirm.after(60 * SECOND)] {
        let told = answer.clone();
        let sqs = Sqs::start(move |_| told.clone()).await;
        let settings = [TO, ("SQS_VISIBILITY", "on"), ("REQUEST_TIMEOUT", "60s"), ("BATCH_MAX_RECORDS", "1")];
        let (_perseus, handler) = between(&sqs, &settings, picky_and_slow).await;
        let (reported, took) = timed(&handler, &event("bad slow"), 5 * SECOND).await;
        assert_eq!(reported, ["bad", "slow"], "{answer:?}");
        // Half of the last second, and half of the rest.
        assert!(took < 4_760 * MS, "{answer:?}: {took:?}");
        assert_eq!(sqs.calls().len(), 2, "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_have_at_most_ten_entries_and_one_mebibyte() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let (_perseus, handler) = between(&sqs, &[TO], picky).await;
    let ids: Vec<_> = (0..25).map(|n| format!("bad{n:02}")).collect();
    assert_eq!(report(&handler, &event(&ids.join(" "))).await, [""; 0]);
    let mut counts: Vec<_> = sqs.calls().iter().map(|call| call.entries.len()).collect();
    counts.sort_unstable();
    assert_eq!(counts, [5, 10, 10]);

    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let (_perseus, handler) = between(&sqs, &[TO], picky).await;
    let large = ids[..5].iter().map(|id| record(id, &"x".repeat(400 << 10)));
    assert_eq!(report(&handler, &event_of(large)).await, [""; 0]);
    let mut counts: Vec<_> = sqs.calls().iter().map(|call| call.entries.len()).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_message_without_room_for_the_reason_stays_in_the_queue() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let (_perseus, handler) = between(&sqs, &[TO], picky).await;
    let records = [record("bad1", &"x".repeat(1 << 20)), record("bad2", "x")];
    assert_eq!(report(&handler, &event_of(records)).await, ["bad1"]);
    assert_eq!(bodies(&sqs), ["x"]);
}

#[tokio::test(start_paused = true)]
async fn a_record_of_an_unknown_queue_is_dead_lettered_without_the_queues_name() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let (_perseus, handler) = between(&sqs, &[TO], picky).await;
    let mut event = event("a bad");
    event["Records"][0].as_object_mut().unwrap().remove("eventSourceARN");
    assert_eq!(report(&handler, &event).await, [""; 0]);
    assert!(sqs.messages()[0]["MessageAttributes"]["Rejected.SourceQueue"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_record_is_not_sent_to_the_queue_that_it_comes_from() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let source = ("REJECTED_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/queue");
    let (_perseus, handler) = between(&sqs, &[source], picky).await;
    assert_eq!(report(&handler, &event("a bad")).await, ["bad"]);
    assert_eq!(sqs.calls().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dead_lettered_record_leaves_its_group_and_the_rest_of_the_group_comes_back() {
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let (perseus, handler) = between(&sqs, &[TO_FIFO], picky).await;
    assert_eq!(report(&handler, &fifo("a1 b1 a2bad a3 b2 a4")).await, ["a3", "a4"]);
    let messages = sqs.messages();
    let [message] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(message["MessageGroupId"], "a");
    assert_eq!(message["MessageDeduplicationId"], "a2bad");
    // The group continues in the next invocation.
    assert_eq!(report(&handler, &fifo("a3 a4")).await, [""; 0]);
    let committed: Vec<_> = perseus.committed().into_iter().filter(|id| id.starts_with('a')).collect();
    assert_eq!(committed, ["a1", "a3", "a4"]);
}

#[tokio::test(start_paused = true)]
async fn an_unconfirmed_record_still_blocks_its_group() {
    let sqs = Sqs::start(|_| Answer::Refuse(&["0"])).await;
    let (_perseus, handler) = between(&sqs, &[TO_FIFO], picky).await;
    assert_eq!(report(&handler, &fifo("a1 a2bad a3 b1")).await, ["a2bad", "a3"]);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_record_behind_another_failure_of_its_group_stays_in_the_queue() {
    let refused = [("a1", Some(true)), ("a2", Some(false)), ("b1", Some(false)), ("b2", Some(false))];
    let sqs = Sqs::start(|_| Answer::Confirm).await;
    let settings = [TO_FIFO, ("MAX_ATTEMPTS", "1")];
    let (_perseus, handler) = between(&sqs, &settings, move |_| Reply::refuse(207, &refused)).await;
    assert_eq!(report(&handler, &fifo("a1 a2 b1 b2 c1")).await, ["a1", "a2", "b2"]);
    let ids: Vec<Value> =
        sqs.messages().iter().map(|message| message["MessageDeduplicationId"].clone()).collect();
    assert_eq!(ids, ["b1"]);
}

#[tokio::test(start_paused = true)]
async fn records_behind_a_dead_lettered_record_come_back_soon() {
    for (answer, timeouts) in [(Answer::Confirm, 1), (Answer::Refuse(&["0"]), 0)] {
        let sqs = Sqs::start(move |_| answer.clone()).await;
        let (_perseus, handler) = between(&sqs, &[TO_FIFO, ("SQS_VISIBILITY", "on")], picky).await;
        report(&handler, &fifo("a1bad a2 b1")).await;
        let changed = sqs.timeouts();
        assert_eq!(changed.len(), timeouts, "{changed:?}");
        assert!(changed.iter().all(|(_, seconds)| (1..=10).contains(seconds)), "{changed:?}");
    }
}
