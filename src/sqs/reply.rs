//! Reads the reply to a batch call: which entries did SQS confirm?

use reqwest::{Response, StatusCode};
use serde::Deserialize;

use crate::{
    aws::failure::{Failure, object, plain, read_success},
    decode::json::scan::Object,
    sqs::action::Action,
};

/// The longest reply that is read, in bytes. A reply with ten entries takes about 2 kB.
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

/// Reads the reply to a call with this number of entries.
///
/// # Errors
///
/// If the reply refuses the whole call, or cannot be trusted.
pub(super) async fn read(response: Response, action: Action, entries: usize) -> Result<Confirmed, Failure> {
    let body = read_success(response, LONGEST_REPLY, |status| status == StatusCode::OK).await?;
    confirmed(&body, action, entries)
}

/// What a reply confirms. If one part of it makes no sense, no part is believed: an entry wrongly taken as done is a
/// lost record.
fn confirmed(body: &[u8], action: Action, entries: usize) -> Result<Confirmed, Failure> {
    let reply: Reply = object(body)?;
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
        }
    }
}
