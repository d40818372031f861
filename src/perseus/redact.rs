//! Redaction: a short excerpt of a refusal for the log, without private data of the request.
//!
//! Servers often quote the data they refuse. So each word of the reply that also occurs in the request is replaced by
//! `~`. Field names of the contract and message ids are not secret and stay.

use std::{borrow::Cow, cmp::Reverse, ops::Range};

use memchr::memmem;

/// The longest excerpt, in bytes.
const LONGEST: usize = 160;

/// Shorter words occur in almost any body and reveal nothing, unless they have digits.
const SHORTEST_WORD: usize = 3;

/// The field names of the contract, in lower case.
const FIELDS: &[&str] = &[
    "records",
    "messageid",
    "senttimestamp",
    "receivecount",
    "groupid",
    "sequencenumber",
    "deduplicationid",
    "traceheader",
    "attributes",
    "datatype",
    "stringvalue",
    "binaryvalue",
    "body",
];

/// The beginning of `reply` as visible ASCII. A word is replaced by `~` if `private` holds for it (in lower case), except in
/// a whole id of `ids`.
pub(crate) fn excerpt(reply: &[u8], private: impl Fn(&[u8]) -> bool, ids: &[&str]) -> String {
    let is_word = |b: &u8| b.is_ascii_alphanumeric();
    let mut excerpt = String::new();
    // The cut may split a word. Its first part still occurs in the request, so it is found and replaced.
    let reply = without_escapes(&reply[..reply.len().min(LONGEST)]);
    let known = whole_ids(&reply, ids);
    let mut end = 0;
    for run in reply.chunk_by(|a, b| is_word(a) == is_word(b)) {
        let start = end;
        end += run.len();
        let text = std::str::from_utf8(run).unwrap_or_default();
        let word = run.to_ascii_lowercase();
        if !run.first().is_some_and(is_word) {
            excerpt.extend(run.iter().map(|&b| if b.is_ascii_punctuation() { char::from(b) } else { ' ' }));
        } else if (run.len() >= SHORTEST_WORD || run.iter().any(u8::is_ascii_digit))
            && private(&word)
            && !FIELDS.iter().any(|field| occurs(&word, field.as_bytes()))
            && !known.iter().any(|id| id.start <= start && end <= id.end)
        {
            excerpt.push('~');
        } else {
            excerpt.push_str(text);
        }
    }
    excerpt.trim().to_owned()
}

/// Where an id stands in the text. Only a whole one: almost any short number is a part of some id.
fn whole_ids(text: &[u8], ids: &[&str]) -> Vec<Range<usize>> {
    let is_bounded = |place: &Range<usize>| {
        let before = place.start.checked_sub(1).and_then(|before| text.get(before));
        ![before, text.get(place.end)].into_iter().flatten().any(u8::is_ascii_alphanumeric)
    };
    let find = |id: &&str| {
        let length = id.len();
        memmem::find_iter(text, id.as_bytes()).map(move |start| start..start + length).collect::<Vec<_>>()
    };
    ids.iter().filter(|id| !id.is_empty()).flat_map(find).filter(is_bounded).collect()
}

/// Whether `word` occurs in `text`.
pub(crate) fn occurs(word: &[u8], text: &[u8]) -> bool {
    memmem::find(text, word).is_some()
}

/// Whether `word` is part of a secret, or contains a word of the secret.
pub(crate) fn tells(word: &[u8], secret: &[u8]) -> bool {
    let words = secret.split(|b| !b.is_ascii_alphanumeric());
    occurs(word, secret) || words.filter(|own| own.len() > SHORTEST_WORD).any(|own| occurs(own, word))
}

/// Replaces each literal copy of a secret in the text by `~`, also if the secret's words are short. `secrets` are in
/// lower case.
pub(crate) fn without(secrets: &[Vec<u8>], text: &[u8]) -> Vec<u8> {
    let mut parts: Vec<_> = secrets.iter().flat_map(|secret| secret.split(|b| *b == b' ')).collect();
    parts.retain(|part| part.len() > SHORTEST_WORD);
    // Longest first: otherwise a secret's prefix is removed and its tail stays.
    parts.sort_by_key(|part| Reverse(part.len()));
    let lower = text.to_ascii_lowercase();
    let mut rest = Vec::with_capacity(text.len());
    let mut place = 0;
    while place < text.len() {
        let secret = parts.iter().find(|part| lower[place..].starts_with(part));
        rest.push(if secret.is_some() { b'~' } else { text[place] });
        place += secret.map_or(1, |part| part.len());
    }
    rest
}

/// Replaces escape sequences (`\u0022`, `\n`, `%22`) by blanks. Otherwise the escape and the word behind it are one
/// word that does not occur in the request.
fn without_escapes(text: &[u8]) -> Cow<'_, [u8]> {
    let mut plain = Cow::Borrowed(text);
    let mut place = 0;
    while place < text.len() {
        let rest = &text[place..];
        let hex = |from: usize, digits: usize| {
            rest.get(from..from + digits).is_some_and(|found| found.iter().all(u8::is_ascii_hexdigit))
        };
        let length = match rest {
            [b'%', ..] if hex(1, 2) => 3,
            [b'\\', b'u', ..] if hex(2, 4) => 6,
            [b'\\', b'x', ..] if hex(2, 2) => 4,
            [b'\\', _, ..] => 2,
            _ => {
                place += 1;
                continue;
            }
        };
        plain.to_mut()[place..place + length].fill(b' ');
        place += length;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(reply: &str, sent: &str) -> String {
        let sent = sent.to_lowercase();
        excerpt(reply.as_bytes(), |word| occurs(word, sent.as_bytes()), &["059f36b4-87a3"])
    }

    #[test]
    fn a_plain_refusal_is_shown() {
        assert_eq!(
            of("missing field `time` in Body\n", r#"{"messageId":"x","sentTimestamp":1,"body":1}"#),
            "missing field `time` in Body"
        );
    }

    #[test]
    fn words_of_the_request_are_not_shown() {
        let sent = r#"{"messageId":"059f36b4-87a3","body":{"card":"4111 1111","name":"caf\u00e9 Müller"}}"#;
        let reply = r#"cannot take "4111 1111" of café Müller (059f36b4-87a3)"#;
        assert_eq!(of(reply, sent), r#"cannot take "~ ~" of ~   M  ~ (059f36b4-87a3)"#);
    }

    #[test]
    fn a_number_that_is_part_of_an_id_is_not_shown() {
        let sent = r#"{"messageId":"059f36b4-87a3","body":{"pin":"059","cvv":"87"}}"#;
        let reply = "pin 059 and cvv 87 of 059f36b4-87a3, 059f36b4-87a3x";
        assert_eq!(of(reply, sent), "~ ~ and ~ ~ of 059f36b4-87a3, ~-87a3x");
    }

    #[test]
    fn words_of_the_request_are_not_shown_in_other_case_or_escaped() {
        let sent = r#"{"body":{"name":"Hunter","pin":"42"}}"#;
        for reply in [
            "HUNTER hunter",
            r"\u0022Hunter\u0022",
            r"\nHunter\tHunter\x22Hunter",
            "%22Hunter%22",
            r"\u002242",
            "%2242",
            r"\\Hunter",
        ] {
            let shown = of(reply, sent).to_lowercase();
            assert!(shown.contains('~') && !shown.contains("hunter") && !shown.contains("42"), "{shown}");
        }
        // These only look like an escape. None may panic.
        for reply in ["100%", "100%zz", r"a\", r"\u12", r"\x1", "%4"] {
            of(reply, sent);
        }
    }

    #[test]
    fn a_secret_of_short_words_is_not_shown() {
        let secrets = [b"bearer a-b.cd".to_vec(), b"a-b.cd_ef".to_vec(), b"no".to_vec()];
        let of = |text: &str| String::from_utf8(without(&secrets, text.as_bytes())).unwrap();
        assert_eq!(of("no A-B.cd, and xa-b.cd_efy for Bearer"), "no ~, and x~y for ~");
        assert_eq!(of(""), "");
    }

    #[test]
    fn a_word_that_contains_a_word_of_a_secret_tells_it() {
        for word in ["hunter2", "hunter", "xhunter2x"] {
            assert!(tells(word.as_bytes(), b"bearer abc.hunter2"), "{word}");
        }
        for word in ["hunting", "abcd", "2hunter"] {
            assert!(!tells(word.as_bytes(), b"bearer abc.hunter2"), "{word}");
        }
    }

    #[test]
    fn a_word_that_the_cut_splits_is_not_shown() {
        let reply = format!("{} supersecret", "-".repeat(LONGEST - 6));
        assert!(!of(&reply, "supersecret").contains("super"));
    }

    #[test]
    fn an_excerpt_is_short_and_visible_ascii() {
        let reply: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        let excerpt = excerpt(&reply, |_| false, &[]);
        assert!(excerpt.len() <= LONGEST && excerpt.bytes().all(|b| b == b' ' || b.is_ascii_graphic()));
    }
}
