//! An entry counts as done only if SQS' reply confirms it exactly once and is valid as a whole.

use perseus_forwarder::sqs::{
    action::{Action, MOST_ENTRIES},
    reply::done,
};
use serde_json::value::RawValue;

use crate::{
    entries::{entries, field},
    record::text,
};

/// Uses the input as the body of a reply, to calls with any number of entries.
pub fn check(body: &[u8]) {
    for action in [Action::ChangeMessageVisibilityBatch, Action::SendMessageBatch] {
        for entries in 1..=MOST_ENTRIES {
            if let Ok((done, failure)) = done(body, action, entries) {
                assert_eq!(done.len(), entries);
                // An entry that is not done has a reason, unless the reply names it as failed.
                assert!(failure.is_some() || done.iter().all(|is_done| *is_done));
                check_done(body, action, &done);
            }
        }
    }
}

fn check_done(body: &[u8], action: Action, done: &[bool]) {
    // Invalid UTF-8 is possible only in parts that are not read.
    let Ok(body) = std::str::from_utf8(body) else { return };
    let reply = entries(body).expect("a confirming reply is an object");
    let (successful, failed) = (listed(&reply, "Successful"), listed(&reply, "Failed"));
    for (place, is_done) in done.iter().enumerate() {
        let of_place = |entry: &&Fields<'_>| string(entry, "Id") == Some(place.to_string());
        let named: Vec<_> = successful.iter().filter(of_place).collect();
        assert!(named.len() + failed.iter().filter(of_place).count() <= 1);
        let has_message_id = |entry: &Fields<'_>| string(entry, "MessageId").is_some_and(|id| !id.is_empty());
        let is_taken = |entry: &Fields<'_>| action != Action::SendMessageBatch || has_message_id(entry);
        assert_eq!(*is_done, named.first().is_some_and(|entry| is_taken(entry)));
    }
}

type Fields<'a> = Vec<(String, &'a str)>;

/// The entries of a list that may be absent or null.
fn listed<'a>(reply: &Fields<'a>, list: &str) -> Vec<Fields<'a>> {
    let list = field(reply, list).expect("a confirming reply has no list twice");
    let list = list.map(|list| serde_json::from_str::<Option<Vec<&RawValue>>>(list).expect("it is a list"));
    let entry = |entry: &'a RawValue| entries(entry.get()).expect("it is a list of objects");
    list.flatten().unwrap_or_default().into_iter().map(entry).collect()
}

fn string(entry: &Fields<'_>, name: &str) -> Option<String> {
    text(field(entry, name).flatten()?)
}
