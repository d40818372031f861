//! The function's answer, parsed as strictly as Lambda parses it.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

/// What an answer says about the messages of its event.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ParsedAnswer {
    /// The indexes of the messages that stay in the queue. All of them if the answer fails the whole batch.
    pub(crate) kept: HashSet<usize>,
    /// Why the answer fails the whole batch.
    pub(crate) refused: Option<&'static str>,
    /// Ids that it must not name.
    pub(crate) unexpected_ids: UnexpectedIds,
}

/// Ids that an answer must not contain, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnexpectedIds {
    /// Empty ones.
    pub empty: u16,
    /// Ids of no message of the event.
    pub unknown: u16,
    /// Repeated ids.
    pub twice: u16,
}

impl UnexpectedIds {
    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// Reads an answer to an event whose messages have these ids.
///
/// These are a success: an empty or null answer, an empty object, an empty or null `batchItemFailures`. An id that is
/// empty, null or unknown fails the whole batch, and so does an answer that is not a batch response.
pub(crate) fn parse(answer: &[u8], ids: &[String]) -> ParsedAnswer {
    let failures = match serde_json::from_slice(answer) {
        Ok(Value::Null) => Vec::new(),
        Ok(Value::Object(mut response)) => match response.remove("batchItemFailures") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(failures)) => failures,
            Some(_) => return keep_whole_batch(ids, "batchItemFailures is no list"),
        },
        Ok(_) => return keep_whole_batch(ids, "the answer is no object"),
        Err(_) if answer.is_empty() => Vec::new(),
        Err(_) => return keep_whole_batch(ids, "the answer is not JSON"),
    };
    let mut places: HashMap<&str, Vec<usize>> = HashMap::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        places.entry(id).or_default().push(index);
    }
    let mut parsed = ParsedAnswer::default();
    let mut seen = HashSet::new();
    for failure in &failures {
        let id = failure["itemIdentifier"].as_str().unwrap_or_default();
        match places.get(id) {
            _ if id.is_empty() => parsed.unexpected_ids.empty += 1,
            None => parsed.unexpected_ids.unknown += 1,
            Some(_) if !seen.insert(id) => parsed.unexpected_ids.twice += 1,
            Some(places) => parsed.kept.extend(places),
        }
    }
    match parsed.unexpected_ids {
        UnexpectedIds { empty: 1.., .. } => with_whole_batch_kept(parsed, ids, "an empty itemIdentifier"),
        UnexpectedIds { unknown: 1.., .. } => with_whole_batch_kept(parsed, ids, "an unknown itemIdentifier"),
        _ => parsed,
    }
}

/// The result of an invocation without a valid answer.
pub(crate) fn keep_whole_batch(ids: &[String], why: &'static str) -> ParsedAnswer {
    with_whole_batch_kept(ParsedAnswer::default(), ids, why)
}

fn with_whole_batch_kept(parsed: ParsedAnswer, ids: &[String], why: &'static str) -> ParsedAnswer {
    ParsedAnswer { kept: (0..ids.len()).collect(), refused: Some(why), ..parsed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(answer: &str) -> ParsedAnswer {
        parse(answer.as_bytes(), &["a", "b", "b"].map(str::to_owned))
    }

    #[test]
    fn an_answer_that_names_nothing_is_a_success() {
        for answer in
            ["", "null", "{}", r#"{"batchItemFailures":[]}"#, r#"{"batchItemFailures":null}"#, r#"{"x":1}"#]
        {
            assert_eq!(parsed(answer), ParsedAnswer::default(), "{answer}");
        }
    }

    #[test]
    fn every_copy_of_a_named_id_is_kept() {
        let named = parsed(r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#);
        assert_eq!(named, ParsedAnswer { kept: HashSet::from([1, 2]), ..ParsedAnswer::default() });
    }

    #[test]
    fn an_invalid_answer_keeps_everything() {
        for answer in [
            r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"itemidentifier":"a"}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"c"}]}"#,
            r#"{"batchItemFailures":["a"]}"#,
            r#"{"batchItemFailures":{}}"#,
            "\"OK\"",
            "[]",
            "{",
        ] {
            let parsed = parsed(answer);
            assert_eq!(parsed.kept.len(), 3, "{answer}");
            assert!(parsed.refused.is_some(), "{answer}");
        }
    }

    #[test]
    fn an_id_named_twice_is_noted_and_harmless() {
        let twice = parsed(r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"a"}]}"#);
        assert_eq!((twice.kept.len(), twice.refused, twice.unexpected_ids.twice), (1, None, 1));
        assert!(!twice.unexpected_ids.is_empty());
    }
}
