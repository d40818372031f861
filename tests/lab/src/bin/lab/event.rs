//! The events to send: files, or a generated one.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use lab::{events, function};
use serde_json::Value;

use crate::arguments::Arguments;

/// An event and what the lab understands of it.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) text: String,
    /// `None` when it is not an SQS event.
    pub(crate) messages: Option<Vec<Message>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) id: String,
    /// Its message group, on a FIFO queue.
    pub(crate) group: Option<String>,
    /// As Perseus must receive it: a JSON value if the text is one, otherwise a string.
    pub(crate) body: Value,
}

impl Event {
    pub(crate) fn new(name: String, text: String) -> Self {
        let messages = messages(&text);
        Self { name, text, messages }
    }
}

/// The events the command line asks for, once each.
pub(crate) fn load(arguments: &Arguments) -> anyhow::Result<Vec<Event>> {
    if let Some(records) = arguments.records {
        let text = events::generate(records, arguments.bytes, arguments.groups);
        return Ok(vec![Event::new("generated".to_owned(), text)]);
    }
    let files = match &arguments.events[..] {
        [] => samples()?,
        files => files.to_vec(),
    };
    files.iter().map(|file| read(file)).collect()
}

fn read(file: &Path) -> anyhow::Result<Event> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read the event {}", file.display()))?;
    let name = file.strip_prefix(function::workspace()).unwrap_or(file);
    Ok(Event::new(name.display().to_string(), text))
}

fn samples() -> anyhow::Result<Vec<PathBuf>> {
    let folder = function::workspace().join("events");
    let missing =
        || format!("there are no sample events in {}: name files, or try --records 10", folder.display());
    let entries = std::fs::read_dir(&folder).with_context(missing)?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .with_context(missing)?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    if files.is_empty() {
        bail!(missing());
    }
    Ok(files)
}

fn messages(text: &str) -> Option<Vec<Message>> {
    let event: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()?;
    event["Records"].as_array()?.iter().map(message).collect()
}

fn message(record: &Value) -> Option<Message> {
    let id = record["messageId"].as_str().filter(|id| !id.is_empty())?;
    let body = match &record["body"] {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())),
        other => other.clone(),
    };
    let is_fifo = record["eventSourceARN"].as_str().is_some_and(|arn| arn.ends_with(".fifo"));
    let group = record["attributes"]["MessageGroupId"].as_str().filter(|_| is_fifo);
    (record["eventSource"] == "aws:sqs").then(|| Message {
        id: id.to_owned(),
        group: group.map(str::to_owned),
        body,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_that_is_json_is_read_as_json() {
        let record = |body| json!({ "eventSource": "aws:sqs", "messageId": "a", "body": body });
        let event = json!({ "Records": [record("{\"a\":1}"), record("{a"), record("7")] });
        let event = Event::new(String::new(), format!("\u{feff}{event}"));
        let bodies: Vec<Value> =
            event.messages.expect("an SQS event").into_iter().map(|one| one.body).collect();
        assert_eq!(bodies, [json!({ "a": 1 }), json!("{a"), json!(7)]);
    }

    #[test]
    fn what_is_no_sqs_event_has_no_messages() {
        for text in
            ["", "{}", r#"{"Records":[{"messageId":"a"}]}"#, r#"{"Records":[{"eventSource":"aws:sqs"}]}"#]
        {
            assert_eq!(Event::new(String::new(), text.to_owned()).messages, None);
        }
    }
}
