//! What SQS says of the entries of a call.

use std::fmt;

use reqwest::{Response, StatusCode};
use serde::Deserialize;

use crate::{
    decode::json::scan::Object,
    http::{read_at_most, root_cause},
    sqs::action::Action,
};

/// The longest reply that is read. Ten entries take about 2 kB.
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
    /// Of a message that was sent.
    message_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refused {
    id: String,
    #[serde(default)]
    code: String,
}

/// What SQS says of the entries of a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Confirmed {
    /// Of each entry whether it is done, for certain.
    pub(super) done: Vec<bool>,
    /// Why the first one that was refused was.
    pub(super) refusal: Option<Failure>,
}

/// Why an entry, or a whole call, is not known to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It was not asked in time, or not answered.
    Timeout,
    /// There was no connection.
    Unreachable(String),
    /// The connection was lost.
    Lost(String),
    /// SQS refused it, with this status and code.
    Refused(u16, String),
    /// The reply makes no sense.
    Reply(&'static str),
}

impl Failure {
    /// Whether the same has to be expected of any other call: of names, permissions, throttling.
    pub(super) fn is_for_all(&self) -> bool {
        matches!(self, Failure::Refused(400..500, _) | Failure::Unreachable(_))
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        let cause = root_cause(&error).to_string();
        if error.is_connect() { Failure::Unreachable(cause) } else { Failure::Lost(cause) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Timeout => f.write_str("no time left"),
            Failure::Unreachable(cause) => write!(f, "no connection ({cause})"),
            Failure::Lost(cause) => write!(f, "connection lost ({cause})"),
            Failure::Refused(status, code) if code.is_empty() => write!(f, "status {status}"),
            Failure::Refused(status, code) => write!(f, "status {status}: {code}"),
            Failure::Reply(what) => f.write_str(what),
        }
    }
}

/// Reads the reply to a call of that many entries.
///
/// # Errors
///
/// If it refuses the whole call, or makes no sense.
pub(super) async fn read(response: Response, action: Action, entries: usize) -> Result<Confirmed, Failure> {
    let status = response.status();
    let body = read_at_most(response, LONGEST_REPLY).await;
    let body = body.map_err(|_| Failure::Reply("a reply cut short"))?;
    let body = body.ok_or(Failure::Reply("a reply that is too long"))?;
    if status == StatusCode::OK { confirmed(&body, action, entries) } else { Err(refused(status, &body)) }
}

/// What a reply confirms. Where it makes no sense in one place it is believed in none: an entry that counts
/// as done and is not would be a record lost.
fn confirmed(body: &[u8], action: Action, entries: usize) -> Result<Confirmed, Failure> {
    let reply: Option<Reply> = body.starts_with(b"{").then(|| serde_json::from_slice(body).ok()).flatten();
    let reply = reply.ok_or(Failure::Reply("a reply that cannot be read"))?;
    let mut named = vec![false; entries];
    let mut place = |id: &str| {
        let place = (0..entries).find(|place| place.to_string() == id);
        place
            .filter(|place| !std::mem::replace(&mut named[*place], true))
            .ok_or(Failure::Reply("a reply that names an entry twice, or one that was not sent"))
    };
    let mut done = vec![false; entries];
    for Object(Done { id, message_id }) in reply.successful.unwrap_or_default() {
        let is_taken = message_id.is_some_and(|id| !id.is_empty());
        done[place(&id)?] = is_taken || action != Action::SendMessageBatch;
    }
    let mut refusal = None;
    for Object(Refused { id, code }) in reply.failed.unwrap_or_default() {
        place(&id)?;
        refusal.get_or_insert(Failure::Refused(StatusCode::OK.as_u16(), plain(&code)));
    }
    let is_whole = done.iter().all(|is_done| *is_done);
    let refusal =
        refusal.or((!is_whole).then_some(Failure::Reply("a reply that does not confirm every message")));
    Ok(Confirmed { done, refusal })
}

/// What a reply with status 200 confirms, for tests/fuzz: of each entry whether it is done, and why the first that is not
/// is not.
///
/// # Errors
///
/// If it makes no sense.
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

/// The name of an error, and nothing that could be anything else:
/// `com.amazonaws.sqs#QueueDoesNotExist` is `QueueDoesNotExist`.
fn plain(code: &str) -> String {
    let name = code.rsplit('#').next().unwrap_or_default();
    name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').take(60).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHANGE: Action = Action::ChangeMessageVisibilityBatch;
    const SEND: Action = Action::SendMessageBatch;

    fn done(body: &str, action: Action) -> Option<Vec<bool>> {
        confirmed(body.as_bytes(), action, 3).ok().map(|confirmed| confirmed.done)
    }

    #[test]
    fn an_entry_is_done_if_the_reply_says_so() {
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
    fn what_is_neither_confirmed_nor_refused_has_a_reason() {
        let why = |body: &str, action| confirmed(body.as_bytes(), action, 1).unwrap().refusal;
        let unconfirmed = Some(Failure::Reply("a reply that does not confirm every message"));
        for body in ["{}", r#"{"Successful":[],"Failed":[]}"#, r#"{"Successful":[{"Id":"0"}]}"#] {
            assert_eq!(why(body, SEND), unconfirmed, "{body}");
        }
        assert_eq!(why("{}", CHANGE), unconfirmed);
        assert_eq!(why(r#"{"Successful":[{"Id":"0"}]}"#, CHANGE), None);
        let refused = Some(Failure::Refused(200, "Throttled".to_owned()));
        assert_eq!(why(r#"{"Failed":[{"Id":"0","Code":"Throttled"}]}"#, SEND), refused);
    }

    #[test]
    fn a_message_is_sent_if_it_has_an_id() {
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
        fn no_reply_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = confirmed(&body, SEND, 3);
            refused(StatusCode::BAD_REQUEST, &body);
        }
    }

    #[test]
    fn a_refusal_is_named_and_nothing_else_of_it_is_told() {
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
