//! Reads a reply: which records did Perseus accept?

use std::collections::{HashMap, HashSet};

use memchr::memmem;
use serde::{Deserialize, Deserializer, de::IgnoredAny};

use crate::decode::json::scan::Object;

const UNREADABLE: &str = "a reply that cannot be read";

/// The reason for a reply that must list failures and does not.
pub const WITHOUT_FAILURES: &str = "a reply without batchItemFailures";

const UNKNOWN_ID: &str = "a reply that names an id that was not sent";

/// What a reply says about the records of its request.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Perseus accepted all of them.
    Accepted,
    /// Perseus accepted all but these. Each id comes with whether the record can be retried.
    Refused(HashMap<String, bool>),
    /// The reply cannot be trusted, for this reason. Nothing counts as acknowledged.
    Unknown(&'static str),
}

/// What a reply with this body says about the records with these ids.
///
/// `must_tell` is set if the status alone acknowledges nothing (207, or `PERSEUS_ACK=body`). `ids` is empty if the format
/// carries no ids; each id that the reply names is then unknown.
pub fn verdict(body: &[u8], ids: &[&str], must_tell: bool) -> Verdict {
    let Some(failures) = failures(trimmed(body)) else {
        return Verdict::Unknown(UNREADABLE);
    };
    match failures {
        None if must_tell => Verdict::Unknown(WITHOUT_FAILURES),
        None => Verdict::Accepted,
        Some(failures) if failures.is_empty() => Verdict::Accepted,
        Some(failures) => refused(failures, ids),
    }
}

/// Whether a reply is an HTML page, such as a sign-in page or a web server's default site. Perseus sends none.
///
/// Some frameworks label every reply `text/html`, so the body must look like HTML too.
pub fn is_page(is_html: bool, body: &[u8]) -> bool {
    is_html && trimmed(body).starts_with(b"<")
}

/// Whether it is the page with which nginx refuses a client certificate, or demands one. Its status is 400, as for bad records.
///
/// Only the page's own title counts: a page about bad records may repeat their text.
pub(crate) fn is_certificate_page(is_html: bool, body: &[u8]) -> bool {
    const TITLE: &[u8] = b"<title>";
    const TITLES: [&str; 2] =
        ["400 The SSL certificate error</title>", "400 No required SSL certificate was sent</title>"];
    let title = memmem::find(body, TITLE).map(|at| &body[at + TITLE.len()..]);
    is_page(is_html, body)
        && title.is_some_and(|title| TITLES.iter().any(|own| title.starts_with(own.as_bytes())))
}

fn trimmed(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii()
}

fn refused(failures: Vec<Object<Failure>>, ids: &[&str]) -> Verdict {
    let ids: HashSet<&str> = ids.iter().copied().collect();
    let mut refused = HashMap::with_capacity(failures.len());
    for Object(Failure { id, retryable }) in failures {
        if !ids.contains(id.as_str()) {
            return Verdict::Unknown(UNKNOWN_ID);
        }
        *refused.entry(id).or_insert(true) &= retryable.unwrap_or(true);
    }
    Verdict::Refused(refused)
}

const FIELD: &[u8] = b"batchItemFailures";

#[derive(Deserialize)]
struct Reply {
    /// None if the reply does not have the field, `Some(None)` if it is null.
    #[serde(default, rename = "batchItemFailures", deserialize_with = "present")]
    failures: Option<Option<Vec<Object<Failure>>>>,
}

fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(field: D) -> Result<Option<T>, D::Error> {
    T::deserialize(field).map(Some)
}

#[derive(Deserialize)]
struct Failure {
    #[serde(rename = "itemIdentifier")]
    id: String,
    retryable: Option<bool>,
}

/// The failures that a reply lists: `Some(None)` if it has no such list, `None` if it may have one but cannot be read.
fn failures(body: &[u8]) -> Option<Option<Vec<Object<Failure>>>> {
    let failures = match body.first() {
        // Only an object: serde would also read a struct from an array.
        Some(b'{') => serde_json::from_slice(body).map(|Reply { failures }| failures).ok()?,
        Some(b'[') => serde_json::from_slice(body).map(|IgnoredAny| None).ok()?,
        // "OK", an HTML page, an empty body.
        _ => None,
    };
    // A gateway may put Perseus' reply into one of its own. The list is then in there, where this does not read it.
    let is_hidden = || memchr::memmem::find(body, FIELD).is_some();
    if failures.is_none() && is_hidden() { None } else { Some(failures.flatten()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IDS: &[&str] = &["a", "b", "c"];

    fn refused(ids: &[(&str, bool)]) -> Verdict {
        Verdict::Refused(ids.iter().map(|(id, retryable)| ((*id).to_owned(), *retryable)).collect())
    }

    #[test]
    fn a_reply_without_failures_accepts_all_records() {
        for body in [
            "",
            " \r\n",
            "OK",
            "<html>",
            "{}",
            "[]",
            "null",
            r#"{"batchItemFailures":[]}"#,
            r#"{"ok":[[[]]]}"#,
        ] {
            assert_eq!(verdict(body.as_bytes(), IDS, false), Verdict::Accepted, "{body}");
        }
        assert_eq!(verdict(br#"{"batchItemFailures":null}"#, IDS, false), Verdict::Accepted);
        assert_eq!(verdict(b"\xff\xfe", IDS, false), Verdict::Accepted);
    }

    #[test]
    fn an_html_page_is_labelled_html_and_looks_like_html() {
        for body in ["<!DOCTYPE html>", "\u{feff}\r\n <html>", "<"] {
            assert!(is_page(true, body.as_bytes()), "{body}");
            assert!(!is_page(false, body.as_bytes()), "{body}");
        }
        for body in ["", "OK", "{}", r#"{"batchItemFailures":[]}"#, "x<html>"] {
            assert!(!is_page(true, body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn a_207_must_list_the_failures() {
        for body in
            ["", "OK", "{}", "[]", "[[]]", "null", r#"{"batchItemFailures":null}"#, r#"{"failures":[]}"#]
        {
            assert!(matches!(verdict(body.as_bytes(), IDS, true), Verdict::Unknown(_)), "{body}");
        }
        assert_eq!(verdict(br#"{"batchItemFailures":[]}"#, IDS, true), Verdict::Accepted);
    }

    #[test]
    fn failures_are_retryable_unless_the_reply_says_otherwise() {
        let body =
            br#" {"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"b","retryable":false},
            {"itemIdentifier":"c","retryable":null,"why":"x"}],"x":1} "#;
        assert_eq!(verdict(body, IDS, false), refused(&[("a", true), ("b", false), ("c", true)]));
        let twice =
            br#"{"batchItemFailures":[{"itemIdentifier":"a","retryable":false},{"itemIdentifier":"a"}]}"#;
        assert_eq!(verdict(twice, IDS, true), refused(&[("a", false)]));
        let marked = "\u{feff}{\"batchItemFailures\":[{\"itemIdentifier\":\"a\"}]}";
        assert_eq!(verdict(marked.as_bytes(), IDS, false), refused(&[("a", true)]));
    }

    #[test]
    fn an_unreadable_reply_acknowledges_nothing() {
        for body in [
            r#"{"batchItemFailures":[{"itemIdent"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"a"}]"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"a"}]} {}"#,
            r#"{"batchItemFailures":{}}"#,
            r#"{"batchItemFailures":"a"}"#,
            r#"{"batchItemFailures":[{}]}"#,
            r#"{"batchItemFailures":["a"]}"#,
            r#"{"batchItemFailures":[["a",true]]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":1}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"a","retryable":"no"}]}"#,
            r#"{"batchItemFailures":[],"batchItemFailures":[{"itemIdentifier":"a"}]}"#,
            r#"{"a":1"#,
            "[1,",
            r#"HTTP/1.1 {"batchItemFailures":[]}"#,
            r#"{"statusCode":207,"body":"{\"batchItemFailures\":[{\"itemIdentifier\":\"a\"}]}"}"#,
            r#"{"data":{"batchItemFailures":[{"itemIdentifier":"a"}]}}"#,
            r#"[{"batchItemFailures":[{"itemIdentifier":"a"}]}]"#,
        ] {
            for must_tell in [false, true] {
                assert!(matches!(verdict(body.as_bytes(), IDS, must_tell), Verdict::Unknown(_)), "{body}");
            }
        }
    }

    #[test]
    fn an_id_that_was_not_sent_makes_the_reply_unknown() {
        let unknown = Verdict::Unknown(UNKNOWN_ID);
        for id in ["", "d", "A", "a "] {
            let body =
                format!(r#"{{"batchItemFailures":[{{"itemIdentifier":"a"}},{{"itemIdentifier":"{id}"}}]}}"#);
            assert_eq!(verdict(body.as_bytes(), IDS, false), unknown, "{id:?}");
        }
        let body = br#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#;
        assert_eq!(verdict(body, &[], false), unknown);
    }

    #[test]
    fn a_hundred_thousand_brackets_do_not_overflow_the_stack() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(verdict(deep.as_bytes(), IDS, false), Verdict::Accepted);
        assert_eq!(verdict(format!(r#"{{"x":{deep}}}"#).as_bytes(), IDS, false), Verdict::Accepted);
        let deep = format!(r#"{{"batchItemFailures":{deep}}}"#);
        assert!(matches!(verdict(deep.as_bytes(), IDS, false), Verdict::Unknown(_)));
    }

    #[test]
    fn each_reason_is_explained_in_the_documents() {
        let page = include_str!("../../docs/log-lines.md");
        for reason in [UNREADABLE, WITHOUT_FAILURES, UNKNOWN_ID] {
            assert!(
                page.contains(&format!("`status … with {reason}`")),
                "docs/log-lines.md does not have {reason}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_reply_causes_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200), must_tell: bool) {
            verdict(&body, IDS, must_tell);
        }
    }

    #[test]
    fn a_reply_cut_short_accepts_nothing() {
        let whole = br#"{"batchItemFailures":[{"itemIdentifier":"a","retryable":true}],"note":"something"}"#;
        for cut in 1..whole.len() {
            assert!(matches!(verdict(&whole[..cut], IDS, false), Verdict::Unknown(_)), "{cut}");
        }
    }
}
