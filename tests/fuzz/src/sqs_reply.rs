//! An entry counts as done only if SQS' reply says so of it, once, and makes sense in all other places.

use perseus_forwarder::sqs::{Action, MOST_ENTRIES, done};
use serde_json::Value;

/// Takes the input for the body of a reply, to calls of every length.
pub fn check(body: &[u8]) {
    for action in [Action::ChangeMessageVisibilityBatch, Action::SendMessageBatch] {
        for entries in 1..=MOST_ENTRIES {
            if let Ok((done, failure)) = done(body, action, entries) {
                assert_eq!(done.len(), entries);
                // Whatever is not done has a reason, unless it is named as refused.
                assert!(failure.is_some() || done.iter().all(|is_done| *is_done));
                check_done(body, action, &done);
            }
        }
    }
}

fn check_done(body: &[u8], action: Action, done: &[bool]) {
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        // Only what nobody reads can be too deep for a value.
        Err(error) if error.to_string().starts_with("recursion limit") => return,
        Err(error) => panic!("believed, and no JSON: {error}"),
    };
    let named = |list: &str, id: &str| {
        let entries = value.get(list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let of_id = |entry: &&Value| entry.get("Id").and_then(Value::as_str) == Some(id);
        entries.iter().filter(of_id).cloned().collect::<Vec<_>>()
    };
    for (place, is_done) in done.iter().enumerate() {
        let id = place.to_string();
        let (successful, failed) = (named("Successful", &id), named("Failed", &id));
        assert!(successful.len() + failed.len() <= 1);
        let has_message_id =
            |entry: &Value| entry.get("MessageId").and_then(Value::as_str).is_some_and(|id| !id.is_empty());
        let is_taken =
            successful.first().is_some_and(|entry| action != Action::SendMessageBatch || has_message_id(entry));
        assert_eq!(*is_done, is_taken);
    }
}
