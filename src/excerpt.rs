//! A short piece of a refusal for the log, with nothing in it that was private in the request.
//!
//! Servers like to quote what they refuse. So every word of the reply that also stands in what was sent
//! is left out, except the contract's own field names and the message ids, which are no secrets.

use memchr::memmem;

/// The longest excerpt, in bytes.
const LONGEST: usize = 160;

/// Shorter words are in almost any body, and say nothing; digits do.
const SHORTEST_WORD: usize = 3;

const FIELDS: &[&str] = &[
    "records",
    "messageId",
    "sentTimestamp",
    "receiveCount",
    "groupId",
    "sequenceNumber",
    "deduplicationId",
    "traceHeader",
    "attributes",
    "dataType",
    "stringValue",
    "binaryValue",
    "body",
];

/// The beginning of `reply`, as visible ASCII, without any word that occurs in `private` (in any case)
/// and not in `public`.
pub fn excerpt<'a>(reply: &[u8], private: impl Fn(&[u8]) -> bool, public: &[&'a str]) -> String {
    let is_word = |b: &u8| b.is_ascii_alphanumeric();
    let mut excerpt = String::new();
    // A word at the cut would be a part of a word, which is found in `private` as well.
    let reply = &reply[..reply.len().min(LONGEST)];
    for run in reply.chunk_by(|a, b| is_word(a) == is_word(b)) {
        let text = std::str::from_utf8(run).unwrap_or_default();
        if !run.first().is_some_and(is_word) {
            excerpt.extend(run.iter().map(|&b| if b.is_ascii_punctuation() { char::from(b) } else { ' ' }));
        } else if (run.len() >= SHORTEST_WORD || run.iter().any(u8::is_ascii_digit))
            && private(run)
            && !FIELDS.contains(&text)
            && !public.iter().any(|known: &&'a str| known.contains(text))
        {
            excerpt.push('~');
        } else {
            excerpt.push_str(text);
        }
    }
    excerpt.trim().to_owned()
}

/// Whether `word` occurs in `text`.
pub fn occurs(word: &[u8], text: &[u8]) -> bool {
    memmem::find(text, word).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(reply: &str, sent: &str) -> String {
        excerpt(reply.as_bytes(), |word| occurs(word, sent.as_bytes()), &["059f36b4-87a3"])
    }

    #[test]
    fn a_plain_refusal_is_shown() {
        assert_eq!(
            of("missing field `time` in body\n", r#"{"messageId":"x","body":1}"#),
            "missing field `time` in body"
        );
    }

    #[test]
    fn what_was_sent_is_not_shown() {
        let sent = r#"{"messageId":"059f36b4-87a3","body":{"card":"4111 1111","name":"caf\u00e9 Müller"}}"#;
        let reply = r#"cannot take "4111 1111" of café Müller (059f36b4-87a3)"#;
        assert_eq!(of(reply, sent), r#"cannot take "~ ~" of ~   M  ~ (059f36b4-87a3)"#);
    }

    #[test]
    fn a_word_at_the_cut_is_not_shown_either() {
        let reply = format!("{} supersecret", "-".repeat(LONGEST - 6));
        assert!(!of(&reply, "supersecret").contains("super"));
    }

    #[test]
    fn it_is_short_and_visible() {
        let reply: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        let excerpt = excerpt(&reply, |_| false, &[]);
        assert!(excerpt.len() <= LONGEST && excerpt.bytes().all(|b| b == b' ' || b.is_ascii_graphic()));
    }
}
