//! Reads the reply to a batch call: which entries did SQS confirm?

use reqwest::{Response, StatusCode};
use serde::Deserialize;
use thiserror::Error;

use crate::{
    decode::json::scan::Object,
    http::{read_at_most, root_cause},
    sqs::action::Action,
};

/// The longest reply that is read. A reply with ten entries takes about 2 kB.
const LONGEST_REPLY: usize = 64 << 10;

/// The reply to a batch call.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Reply {
    successful: Option<Vec<Object<Done>>>,
    failed: Option<Vec<Object<Refused>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Done {
    id: String,
    /// Only in the reply to `SendMessageBatch`.
    message_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refused {
    id: String,
    #[serde(default)]
    code: String,
}

/// What a reply confirms.
#[derive(Debug)]
pub(super) struct Confirmed {
    /// For each entry: whether it is certainly done.
    pub(super) done: Vec<bool>,
    /// Why the first entry that is not done is not done.
    pub(super) refusal: Option<Failure>,
}

/// Why an entry, or a whole call, is not known to be done.
#[derive(Debug, Error)]
pub enum Failure {
    /// There was no time to send the call, or no reply in time.
    #[error("no time left")]
    Timeout,
    /// No connection could be made.
    #[error("no connection ({})", root_cause(.0))]
    Unreachable(#[source] reqwest::Error),
    /// The connection was lost.
    #[error("connection lost ({})", root_cause(.0))]
    Lost(#[source] reqwest::Error),
    /// SQS refused it, with this status and error code.
    #[error("status {}{}{}", .0, if .1.is_empty() { "" } else { ": " }, .1)]
    Refused(u16, String),
    /// The connection ended before the reply did.
    #[error("a reply cut short")]
    CutShort(#[source] reqwest::Error),
    /// The reply is longer than 64 KiB.
    #[error("a reply that is too long")]
    TooLong,
    /// The reply is not the documented JSON.
    #[error("a reply that cannot be read")]
    Unreadable,
    /// The reply contradicts itself or the call.
    #[error("a reply that names an entry twice, or one that was not sent")]
    WrongEntry,
    /// The reply neither confirms nor refuses an entry.
    #[error("a reply that does not confirm every message")]
    Unconfirmed,
}

impl Failure {
    /// Whether other calls will fail likewise: wrong names, missing permissions, throttling.
    pub(super) fn is_for_all(&self) -> bool {
        matches!(self, Failure::Refused(400..500, _) | Failure::Unreachable(_))
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        if error.is_connect() { Failure::Unreachable(error) } else { Failure::Lost(error) }
    }
}

/// Reads the reply to a call with this number of entries.
///
/// # Errors
///
/// If the reply refuses the whole call, or cannot be trusted.
pub(super) async fn read(response: Response, action: Action, entries: usize) -> Result<Confirmed, Failure> {
    let status = response.status();
    let body = read_at_most(response, LONGEST_REPLY).await;
    let body = body.map_err(Failure::CutShort)?;
    let body = body.ok_or(Failure::TooLong)?;
    if status == StatusCode::OK { confirmed(&body, action, entries) } else { Err(refused(status, &body)) }
}

/// What a reply confirms. If one part of it makes no sense, no part is believed: an entry wrongly taken as done is a
/// lost record.
fn confirmed(body: &[u8], action: Action, entries: usize) -> Result<Confirmed, Failure> {
    let reply: Option<Reply> = body.starts_with(b"{").then(|| serde_json::from_slice(body).ok()).flatten();
    let reply = reply.ok_or(Failure::Unreadable)?;
    let mut named = vec![false; entries];
    let mut index = |id: &str| {
        let index = (0..entries).find(|index| index.to_string() == id);
        index.filter(|index| !std::mem::replace(&mut named[*index], true)).ok_or(Failure::WrongEntry)
    };
    let mut done = vec![false; entries];
    for Object(Done { id, message_id }) in reply.successful.unwrap_or_default() {
        let is_taken = message_id.is_some_and(|id| !id.is_empty());
        done[index(&id)?] = is_taken || action != Action::SendMessageBatch;
    }
    let mut refusal = None;
    for Object(Refused { id, code }) in reply.failed.unwrap_or_default() {
        index(&id)?;
        refusal.get_or_insert(Failure::Refused(StatusCode::OK.as_u16(), plain(&code)));
    }
    let is_whole = done.iter().all(|is_done| *is_done);
    let refusal = refusal.or((!is_whole).then_some(Failure::Unconfirmed));
    Ok(Confirmed { done, refusal })
}

/// What a reply with status 200 confirms, for tests/fuzz: whether each entry is done, and why the first that is not done
/// is not.
///
/// # Errors
///
/// If the reply cannot be trusted.
pub fn done(body: &[u8], action: Action, entries: usize) -> Result<(Vec<bool>, Option<Failure>), Failure> {
    confirmed(body, action, entries).map(|Confirmed { done, refusal }| (done, refusal))
}

fn refused(status: StatusCode, body: &[u8]) -> Failure {
    #[derive(Deserialize)]
    struct Error {
        #[serde(rename = "__type")]
        kind: String,
    }
    let kind = serde_json::from_slice(body).map(|Error { kind }| kind).unwrap_or_default();
    Failure::Refused(status.as_u16(), plain(&kind))
}

/// The short name of an error code: `com.amazonaws.sqs#QueueDoesNotExist` becomes `QueueDoesNotExist`. Drops characters
/// that no error code has, because the name is logged.
fn plain(code: &str) -> String {
    let name = code.rsplit('#').next().unwrap_or_default();
    name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').take(60).collect()
}

#[cfg(test)]
mod tests {
    use std::iter::successors;

    use proptest::prelude::*;

    use super::*;
    use crate::http::client_builder;

    const CHANGE: Action = Action::ChangeMessageVisibilityBatch;
    const SEND: Action = Action::SendMessageBatch;

    fn done(body: &str, action: Action) -> Option<Vec<bool>> {
        confirmed(body.as_bytes(), action, 3).ok().map(|confirmed| confirmed.done)
    }

    fn reqwest_error() -> reqwest::Error {
        client_builder().build().unwrap().get("no URL").build().unwrap_err()
    }

    /// One failure of each kind: the compiler asks for new ones.
    fn each() -> impl Iterator<Item = Failure> {
        successors(Some(Failure::Timeout), |failure| match failure {
            Failure::Timeout => Some(Failure::Unreachable(reqwest_error())),
            Failure::Unreachable(_) => Some(Failure::Lost(reqwest_error())),
            Failure::Lost(_) => Some(Failure::Refused(403, String::new())),
            Failure::Refused(..) => Some(Failure::CutShort(reqwest_error())),
            Failure::CutShort(_) => Some(Failure::TooLong),
            Failure::TooLong => Some(Failure::Unreadable),
            Failure::Unreadable => Some(Failure::WrongEntry),
            Failure::WrongEntry => Some(Failure::Unconfirmed),
            Failure::Unconfirmed => None,
        })
    }

    #[test]
    fn each_failure_is_explained_in_the_documents() {
        let page = include_str!("../../docs/log-lines.md");
        for failure in each() {
            let reason = failure.to_string().replace(&root_cause(&reqwest_error()).to_string(), "…");
            let reason = reason.replace("403", "");
            assert!(page.contains(&format!("`{reason}")), "docs/log-lines.md does not have `{reason}`");
        }
    }

    #[test]
    fn an_entry_is_done_if_the_reply_confirms_it() {
        for (body, expected) in [
            (
                r#"{"Successful":[{"Id":"2"},{"Id":"0"}],"Failed":[{"Id":"1","Code":"x"}]}"#,
                [true, false, true],
            ),
            (r#"{"Successful":[{"Id":"1","More":[]}],"Failed":null}"#, [false, true, false]),
            (r#"{"Failed":[]}"#, [false; 3]),
            ("{}", [false; 3]),
        ] {
            assert_eq!(done(body, CHANGE).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn an_entry_that_is_neither_confirmed_nor_refused_has_a_reason() {
        let why = |body: &str, action| {
            confirmed(body.as_bytes(), action, 1).unwrap().refusal.map(|refusal| refusal.to_string())
        };
        let unconfirmed = Some(Failure::Unconfirmed.to_string());
        for body in ["{}", r#"{"Successful":[],"Failed":[]}"#, r#"{"Successful":[{"Id":"0"}]}"#] {
            assert_eq!(why(body, SEND), unconfirmed, "{body}");
        }
        assert_eq!(why("{}", CHANGE), unconfirmed);
        assert_eq!(why(r#"{"Successful":[{"Id":"0"}]}"#, CHANGE), None);
        let refused = why(r#"{"Failed":[{"Id":"0","Code":"Throttled"}]}"#, SEND);
        assert_eq!(refused.as_deref(), Some("status 200: Throttled"));
    }

    #[test]
    fn a_message_is_sent_if_sqs_gave_it_an_id() {
        let body = r#"{"Successful":[{"Id":"0","MessageId":"m"},{"Id":"1","MessageId":""},{"Id":"2"}]}"#;
        assert_eq!(done(body, SEND).unwrap(), [true, false, false]);
    }

    #[test]
    fn a_reply_that_makes_no_sense_confirms_nothing() {
        for body in [
            "",
            "<html>",
            "[[],[]]",
            r#"[[{"Id":"0"}],[]]"#,
            r#"{"Successful":[["0","m"]]}"#,
            r#"{"Failed":[["0","x"]]}"#,
            r#"{"Successful":[{"Id":"0"}]"#,
            r#"{"Successful":[{"Id":"0"}]} x"#,
            r#"{"Successful":[{"Id":0}]}"#,
            r#"{"Successful":[{}]}"#,
            r#"{"Successful":[{"Id":"0"},{"Id":"0"}]}"#,
            r#"{"Successful":[{"Id":"0"}],"Failed":[{"Id":"0"}]}"#,
            r#"{"Successful":[{"Id":"0"},{"Id":"3"}]}"#,
            r#"{"Successful":[{"Id":"0"},{"Id":"00"}]}"#,
            r#"{"Successful":[{"Id":"0"},{"Id":""}]}"#,
            r#"{"Successful":[{"Id":"0"}],"Failed":[{"Id":"9"}]}"#,
        ] {
            assert_eq!(done(body, CHANGE), None, "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_reply_causes_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = confirmed(&body, SEND, 3);
            refused(StatusCode::BAD_REQUEST, &body);
        }
    }

    #[test]
    fn only_the_error_code_of_a_refusal_is_shown() {
        let told = |body: &str| refused(StatusCode::BAD_REQUEST, body.as_bytes()).to_string();
        assert_eq!(
            told(r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"handle"}"#),
            "status 400: QueueDoesNotExist"
        );
        assert_eq!(told("<html>"), "status 400");
        let long = told(&format!(r#"{{"__type":"a b\n{}"}}"#, "x".repeat(100)));
        assert_eq!(long, format!("status 400: ab{}", "x".repeat(58)));
    }
}
