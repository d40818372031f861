//! A record's body, as Perseus receives it.

use crate::decode::json::{unescape, walk::Walk};

/// Appends a body. `raw` is the body's JSON string in the event, without the quotes.
///
/// If the text is one JSON value, that value is appended, byte for byte; otherwise the JSON string as it came.
/// `None` if the string is not Unicode text; `wire` then ends with garbage.
pub(crate) fn append(raw: &str, wire: &mut Vec<u8>) -> Option<()> {
    let start = wire.len();
    unescape::append(raw, wire)?;
    let mut walk = Walk::new(&wire[start..]);
    let value = walk.value().filter(|_| walk.is_at_end());
    if let Some(value) = value {
        wire.truncate(start + value.end);
        wire.drain(start..start + value.start);
    } else {
        wire.truncate(start);
        wire.push(b'"');
        wire.extend_from_slice(raw.as_bytes());
        wire.push(b'"');
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;
    use crate::decode::json::strategies;

    /// The same with serde_json, which takes three times as long.
    fn by_serde(raw: &str) -> Option<String> {
        let string = format!("\"{raw}\"");
        let text: String = serde_json::from_str(&string).ok()?;
        let value = serde_json::from_str::<&RawValue>(&text).map(|value| value.get().to_owned());
        Some(value.unwrap_or(string))
    }

    fn appended(raw: &str) -> Option<String> {
        let mut wire = b"before".to_vec();
        append(raw, &mut wire)?;
        Some(String::from_utf8(wire).unwrap().strip_prefix("before").unwrap().to_owned())
    }

    /// The JSON string of this text without its quotes; `how` chooses how each character is escaped.
    fn escaped(text: &str, how: &[u8]) -> String {
        let by_serde = |char: char| serde_json::to_string(&char).unwrap().trim_matches('"').to_owned();
        let escape = |(char, how): (char, &u8)| match how {
            0 => char.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}")).collect(),
            _ if char == '"' => r#"\""#.to_owned(),
            _ => by_serde(char),
        };
        text.chars().zip(how.iter().cycle()).map(escape).collect()
    }

    proptest! {
        #[test]
        fn serde_makes_the_same_of_a_text(text in strategies::text(), how in proptest::collection::vec(0u8..20, 1..50)) {
            let raw = escaped(&text, &how);
            prop_assert_eq!(appended(&raw), by_serde(&raw));
        }

        #[test]
        fn serde_makes_the_same_of_a_string_with_escapes(raw in strategies::raw_string()) {
            prop_assert_eq!(appended(&raw), by_serde(&raw));
        }
    }
}
