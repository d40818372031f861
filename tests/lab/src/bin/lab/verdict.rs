//! The result of one event: what happened to its messages, and what went wrong.

use std::{collections::BTreeSet, time::Duration};

use lab::{
    environment::{Answer, Invocation},
    perseus::Excerpt,
};
use serde_json::Value;

use crate::{
    event::{Event, Message},
    order,
};

/// One event, sent and answered.
pub(crate) struct Run {
    pub(crate) invocation: Invocation,
    /// What Perseus has seen of it.
    pub(crate) seen: Excerpt,
}

/// What happened to the messages of one event.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) acknowledged: usize,
    /// The messages that stay in the queue.
    pub(crate) returned: Vec<String>,
    /// The messages that left the queue without being committed.
    pub(crate) lost: Vec<String>,
    /// The messages Perseus committed, repeats aside.
    pub(crate) committed: usize,
    /// What is wrong with the answer by itself, in words.
    pub(crate) violations: Vec<String>,
    /// Why there was no answer, or none in time.
    pub(crate) late: Option<&'static str>,
}

impl Verdict {
    pub(crate) fn of(event: &Event, run: &Run) -> Self {
        let messages = event.messages.as_deref().unwrap_or_default();
        let mut verdict =
            Self { late: lateness(&run.invocation), committed: distinct(run), ..Self::default() };
        match (&run.invocation.answer, run.invocation.answer.batch_item_failures()) {
            (_, Some(failed)) => verdict.settle(messages, failed, run),
            (Answer::Response(response), None) => {
                verdict.violations.push(format!("the answer is not a batch response: {response}"));
            }
            // Lambda returns the whole batch.
            _ => verdict.returned = messages.iter().map(|message| message.id.clone()).collect(),
        }
        verdict.violations.extend(order::overtaken(messages, &run.seen.committed));
        if event.messages.is_none() && matches!(run.invocation.answer, Answer::Response(_)) {
            verdict.violations.push("an event that is not of SQS was answered as if it were".to_owned());
        }
        verdict
    }

    fn settle(&mut self, messages: &[Message], failed: Vec<String>, run: &Run) {
        let known: BTreeSet<&str> = messages.iter().map(|message| message.id.as_str()).collect();
        let mut reported = BTreeSet::new();
        for id in &failed {
            if !known.contains(id.as_str()) {
                self.violations.push(format!("the answer names `{id}`, which is not in the event"));
            } else if !reported.insert(id.as_str()) {
                self.violations.push(format!("the answer names {id} twice"));
            }
        }
        let acknowledged: Vec<&Message> =
            messages.iter().filter(|message| !reported.contains(message.id.as_str())).collect();
        self.violations.extend(order::unreported(messages, &reported));
        self.acknowledged = acknowledged.len();
        self.lost = lost(&acknowledged, run);
        self.returned = failed;
    }
}

fn lost(acknowledged: &[&Message], run: &Run) -> Vec<String> {
    let ids: BTreeSet<&str> = run.seen.committed.iter().map(String::as_str).collect();
    let bodies: BTreeSet<String> = match ids.is_empty() {
        // `array` and `ndjson` carry no ids: there a message is known by its body.
        true => run.seen.committed_records.iter().map(Value::to_string).collect(),
        false => BTreeSet::new(),
    };
    let arrived =
        |message: &Message| ids.contains(message.id.as_str()) || bodies.contains(&message.body.to_string());
    acknowledged.iter().filter(|message| !arrived(message)).map(|message| message.id.clone()).collect()
}

fn distinct(run: &Run) -> usize {
    match run.seen.committed.is_empty() {
        true => run.seen.committed_records.len(),
        false => run.seen.committed.iter().collect::<BTreeSet<_>>().len(),
    }
}

fn lateness(invocation: &Invocation) -> Option<&'static str> {
    match invocation.answer {
        Answer::TimedOut => Some("the function was killed at its deadline"),
        Answer::Crashed { .. } => Some("the function ended without one"),
        _ if invocation.time_left == Duration::ZERO => Some("it came after the deadline"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(ids: &[&str]) -> Event {
        let record =
            |id: &&str| json!({ "eventSource": "aws:sqs", "messageId": id, "body": format!("body of {id}") });
        let records: Vec<Value> = ids.iter().map(record).collect();
        Event::new("event".to_owned(), json!({ "Records": records }).to_string())
    }

    fn run(answer: Answer, committed: &[&str]) -> Run {
        let second = Duration::from_secs(1);
        Run {
            invocation: Invocation { answer, took: second, time_left: second },
            seen: Excerpt {
                committed: committed.iter().map(ToString::to_string).collect(),
                ..Excerpt::default()
            },
        }
    }

    fn failed(ids: &[&str]) -> Answer {
        let failures: Vec<Value> = ids.iter().map(|id| json!({ "itemIdentifier": id })).collect();
        Answer::Response(json!({ "batchItemFailures": failures }))
    }

    #[test]
    fn a_message_is_committed_or_returned() {
        let verdict = Verdict::of(&event(&["a", "b", "c"]), &run(failed(&["c"]), &["a", "b", "b"]));
        let expected =
            Verdict { acknowledged: 2, returned: vec!["c".into()], committed: 2, ..Verdict::default() };
        assert_eq!(verdict, expected);
    }

    #[test]
    fn a_message_that_is_neither_is_lost() {
        let verdict = Verdict::of(&event(&["a", "b"]), &run(failed(&[]), &["a"]));
        assert_eq!(verdict.lost, ["b"]);
    }

    #[test]
    fn without_ids_a_message_is_known_by_its_body() {
        let mut run = run(failed(&[]), &[]);
        run.seen.committed_records = vec![json!("body of a")];
        assert_eq!(Verdict::of(&event(&["a", "b"]), &run).lost, ["b"]);
    }

    #[test]
    fn ids_that_fail_the_batch_on_lambda_are_violations() {
        let verdict = Verdict::of(&event(&["a"]), &run(failed(&["a", "a", "", "x"]), &[]));
        assert_eq!(verdict.violations.len(), 3);
    }

    #[test]
    fn an_error_returns_the_whole_batch() {
        let error = Answer::Error { kind: String::new(), message: String::new() };
        let verdict = Verdict::of(&event(&["a", "b"]), &run(error, &[]));
        assert_eq!((verdict.returned.len(), verdict.late), (2, None));
    }

    #[test]
    fn another_services_event_must_not_be_answered() {
        let foreign = Event::new("sns".to_owned(), r#"{"Records":[{"EventSource":"aws:sns"}]}"#.to_owned());
        assert_eq!(Verdict::of(&foreign, &run(failed(&[]), &[])).violations.len(), 1);
        assert_eq!(Verdict::of(&foreign, &run(Answer::Response(Value::Null), &[])).violations.len(), 2);
    }

    #[test]
    fn no_answer_in_time_is_late() {
        for answer in [Answer::TimedOut, Answer::Crashed { logs: Vec::new() }] {
            assert!(Verdict::of(&event(&["a"]), &run(answer, &[])).late.is_some());
        }
        let mut late = run(failed(&["a"]), &[]);
        late.invocation.time_left = Duration::ZERO;
        assert!(Verdict::of(&event(&["a"]), &late).late.is_some());
    }
}
