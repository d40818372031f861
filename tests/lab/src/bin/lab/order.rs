//! The order of a FIFO queue: within a group nothing overtakes, and nothing after a failure leaves the queue.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::Message;

/// Messages committed before an earlier message of their group, in words.
pub(crate) fn overtaken(messages: &[Message], committed: &[String]) -> Vec<String> {
    let mut first_commit = BTreeMap::new();
    for (index, id) in committed.iter().enumerate() {
        first_commit.entry(id.as_str()).or_insert(index);
    }
    let mut last_of_group: BTreeMap<&str, (usize, &Message)> = BTreeMap::new();
    let mut findings = Vec::new();
    for (group, message) in grouped(messages) {
        let Some(&index) = first_commit.get(message.id.as_str()) else {
            continue;
        };
        match last_of_group.insert(group, (index, message)) {
            Some((earlier, before)) if earlier > index => findings.push(format!(
                "{} was committed before {}, which is ahead of it in {group}",
                message.id, before.id
            )),
            _ => {}
        }
    }
    findings
}

/// Messages that left the queue although an earlier message of their group did not, in words.
pub(crate) fn unreported(messages: &[Message], reported: &BTreeSet<&str>) -> Vec<String> {
    let mut failed_groups = BTreeSet::new();
    let mut findings = Vec::new();
    for (group, message) in grouped(messages) {
        if reported.contains(message.id.as_str()) {
            failed_groups.insert(group);
        } else if failed_groups.contains(group) {
            findings.push(format!("{} is not reported after a failure in {group}", message.id));
        }
    }
    findings
}

fn grouped(messages: &[Message]) -> impl Iterator<Item = (&str, &Message)> {
    messages.iter().filter_map(|message| Some((message.group.as_deref()?, message)))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Messages of the groups `a`, `b` and none, in an order: `a1`, `b1`, `-1`.
    fn messages(ids: &[&str]) -> Vec<Message> {
        let group = |id: &str| (!id.starts_with('-')).then(|| id[..1].to_owned());
        ids.iter().map(|id| Message { id: (*id).to_owned(), group: group(id), body: Value::Null }).collect()
    }

    fn committed(ids: &[&str]) -> Vec<String> {
        ids.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn groups_may_mix_and_repeat_but_not_overtake() {
        let messages = messages(&["a1", "b1", "a2", "b2", "-1", "-2"]);
        assert!(
            overtaken(&messages, &committed(&["b1", "b2", "a1", "a1", "-2", "a2", "-1", "a1"])).is_empty()
        );
        assert_eq!(overtaken(&messages, &committed(&["a2", "b1", "a1"])).len(), 1);
    }

    #[test]
    fn a_group_is_reported_from_its_first_failure_on() {
        let messages = messages(&["a1", "b1", "a2", "b2", "-1", "-2"]);
        assert!(unreported(&messages, &BTreeSet::from(["a2", "b1", "b2", "-1"])).is_empty());
        assert_eq!(unreported(&messages, &BTreeSet::from(["a1"])).len(), 1);
    }
}
