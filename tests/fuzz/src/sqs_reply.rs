//! An entry counts as done only if SQS' reply says so of it, once, and makes sense in all other places.

use perseus_forwarder::sqs::{
    action::{Action, MOST_ENTRIES},
    reply::done,
};
use serde_json::value::RawValue;

use crate::{
    entries::{entries, field},
    record::text,
};

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
    // Only in what nobody reads.
    let Ok(body) = std::str::from_utf8(body) else { return };
    let reply = entries(body).expect("what is believed is an object");
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
    let list = field(reply, list).expect("what is believed has no list twice");
    let list = list.map(|list| serde_json::from_str::<Option<Vec<&RawValue>>>(list).expect("it is a list"));
    let entry = |entry: &'a RawValue| entries(entry.get()).expect("it is a list of objects");
    list.flatten().unwrap_or_default().into_iter().map(entry).collect()
}

fn string(entry: &Fields<'_>, name: &str) -> Option<String> {
    text(field(entry, name).flatten()?)
}
