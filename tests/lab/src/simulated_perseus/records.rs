//! The records of a request, matched with the messages of the queue.

use serde_json::Value;

use crate::{
    faults::{PostedRecord, RequestOutcome},
    perseus::{Format, Received},
    sqs::queue::Number,
    traffic::messages::{self, Messages},
};

/// The records of a request, and the numbers of their messages.
pub(super) struct RequestRecords {
    pub(super) records: Vec<PostedRecord>,
    pub(super) numbers: Vec<Option<Number>>,
}

impl RequestRecords {
    /// In formats without ids, the body says which message it is.
    pub(super) fn of(received: &Received, messages: &Messages) -> Self {
        let numbers: Vec<Option<Number>> = match received.format {
            Some(Format::Records) => received.message_ids.iter().map(|id| messages.number(id)).collect(),
            _ => received.records.iter().map(|body| messages.number_of(body)).collect(),
        };
        let records = match received.format {
            Some(Format::Records) => received.records.iter().map(posted).collect(),
            _ => received.records.iter().zip(&numbers).map(|(body, n)| alone(body, *n, messages)).collect(),
        };
        Self { records, numbers }
    }

    /// The messages that the reply commits.
    pub(super) fn accepted(&self, outcome: &RequestOutcome) -> Vec<Number> {
        let numbered = self.records.iter().zip(&self.numbers);
        let accepted = numbered.filter(|(record, _)| outcome.reply.commits(Some(&record.id)));
        accepted.filter_map(|(_, number)| *number).collect()
    }

    /// Where the request differs from the messages of the queue, in words.
    pub(super) fn alterations(&self, received: &Received, messages: &Messages) -> Vec<String> {
        if received.format != Some(Format::Records) {
            let strangers = self.numbers.iter().filter(|number| number.is_none());
            return strangers.map(|_| "a body is that of no message of the queue".to_owned()).collect();
        }
        let mut findings = Vec::new();
        for (id, record) in received.message_ids.iter().zip(&received.records) {
            match messages.number(id) {
                None => findings.push(format!("`{id}` is the id of no message of the queue")),
                Some(number) if !messages.is_intact(number, &record["body"]) => {
                    findings.push(format!("the body of {id} is not the one that was sent"));
                }
                Some(number) => {
                    let group = messages.group_id(number);
                    if record["groupId"].as_str() != group.as_deref() {
                        findings.push(format!("the group of {id} is not the one it was sent to"));
                    }
                }
            }
        }
        findings
    }
}

fn posted(record: &Value) -> PostedRecord {
    PostedRecord {
        id: record["messageId"].as_str().unwrap_or_default().to_owned(),
        group: record["groupId"].as_str().map(str::to_owned),
        is_poison: messages::is_poison(&record["body"]),
    }
}

/// A record in a format without ids.
fn alone(body: &Value, number: Option<Number>, messages: &Messages) -> PostedRecord {
    PostedRecord {
        id: number.map(|number| messages.id(number)).unwrap_or_default(),
        group: number.and_then(|number| messages.group_id(number)),
        is_poison: messages::is_poison(body),
    }
}
