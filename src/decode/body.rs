//! A record's body as it is posted.

use crate::decode::json::{scan::Walk, unescape};

/// Appends what is posted of a body, `raw` being what is between the quotes of the JSON string that the event has:
/// text that is one JSON value is that value, byte for byte; any other is the JSON string as it came.
///
/// None if it is no text. What has been appended then is of no use.
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
    use crate::decode::json::strategies as specimen;

    /// The same by way of serde_json, three times slower.
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

    /// What is between the quotes of a JSON string with this text, whose characters are escaped as `how` says.
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
        fn a_body_is_what_it_is_to_serde(text in specimen::text(), how in proptest::collection::vec(0u8..20, 1..50)) {
            let raw = escaped(&text, &how);
            prop_assert_eq!(appended(&raw), by_serde(&raw));
        }

        #[test]
        fn text_that_is_none_is_found_whatever_is_around_it(raw in specimen::raw_string()) {
            prop_assert_eq!(appended(&raw), by_serde(&raw));
        }
    }
}
