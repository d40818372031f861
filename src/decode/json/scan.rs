//! JSON text as a whole: whether it is valid, and what an object holds. No values are built, unless serde builds them.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::decode::json::{
    unescape,
    walk::{OBJECT, Walk},
};

/// Whether text is one JSON value.
pub(crate) fn is_value(text: &str) -> bool {
    let mut walk = Walk::new(text.as_bytes());
    walk.value().is_some() && walk.is_at_end()
}

/// A JSON string without its quotes; `None` if the value is not a string.
pub(crate) fn string(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"')
}

/// Reads a struct from an object only. (serde also reads it from an array, field by field.)
pub(crate) fn read_object<'a, T: Deserialize<'a>>(raw: &'a str) -> Option<T> {
    raw.starts_with('{').then(|| serde_json::from_str(raw).ok())?
}

/// Reads a struct from an object only. (serde also reads it from an array, field by field.)
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
            }
        }

        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// Passes each key and value of an object to `take`. `None` if `take` returns `None`, if the value is not an object, or if
/// a key is not Unicode text.
pub(crate) fn each_entry<'a>(
    value: &'a str,
    mut take: impl FnMut(&str, &'a str) -> Option<()>,
) -> Option<()> {
    let mut walk = Walk::new(value.as_bytes());
    let mut more = walk.open(OBJECT)?;
    while more {
        let key = walk.key()?;
        let field = walk.value()?;
        take(&unescape::text(&value[key])?, &value[field])?;
        more = walk.more(OBJECT)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;
    use crate::decode::json::strategies;

    proptest! {
        #[test]
        fn serde_accepts_the_same_texts(text in strategies::text()) {
            prop_assert_eq!(is_value(&text), serde_json::from_str::<IgnoredAny>(&text).is_ok());
        }

        #[test]
        fn serde_finds_the_same_entries(text in strategies::text()) {
            let mut entries = Vec::new();
            let walked = each_entry(&text, |key, value| {
                entries.push((key.to_owned(), value.to_owned()));
                Some(())
            });
            let by_serde = serde_json::from_str::<Entries>(&text).ok();
            // `each_entry` does not check the text after the object.
            if walked.is_some() && is_value(&text) || by_serde.is_some() {
                prop_assert_eq!(Some(entries), by_serde.map(|Entries(entries)| entries));
            }
        }
    }

    struct Entries(Vec<(String, String)>);

    impl<'de> serde::Deserialize<'de> for Entries {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Map;

            impl<'de> serde::de::Visitor<'de> for Map {
                type Value = Entries;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                    let mut entries = Vec::new();
                    while let Some((key, value)) = map.next_entry::<String, &serde_json::value::RawValue>()? {
                        entries.push((key, value.get().to_owned()));
                    }
                    Ok(Entries(entries))
                }
            }

            deserializer.deserialize_map(Map)
        }
    }

    #[test]
    fn an_error_is_found_at_each_position_of_a_block() {
        for wrong in ["\"", "\\", "\\x", "\\u12", "\\u123g", "\n", "\u{1f}"] {
            for at in 0..200 {
                let text = format!("[\"{}{wrong}{}\"]", "x".repeat(at), "y".repeat(200 - at));
                assert!(!is_value(&text), "{wrong:?} at {at}");
            }
        }
    }

    #[test]
    fn line_breaks_and_tabs_are_allowed_only_between_tokens() {
        for at in 0..130 {
            let space = " \n\r\t".repeat(at);
            assert!(is_value(&format!(
                "{space}[{space}\"a\"{space},{space}{{\"b\"{space}:{space}1}}]{space}"
            )));
            assert!(!is_value(&format!("[{space}\"a\tb\"]")));
            assert!(!is_value(&format!("[{space}\u{b}]")));
        }
    }

    #[test]
    fn each_bracket_must_match() {
        for text in
            ["[1}", r#"{"a":1]"#, r#"{"a":[1}}"#, r#"[{"a":1]]"#, "[[1}]", "[}", "{]", r#"[{"a":1},2}"#]
        {
            assert!(!is_value(text), "{text}");
        }
    }

    #[test]
    fn any_depth_of_nesting_is_accepted() {
        for depth in [1, 63, 64, 65, 128, 129, 1_000, 100_000] {
            let nested = "[{\"a\":".repeat(depth) + "1" + &"}]".repeat(depth);
            assert!(is_value(&nested), "{depth}");
            assert!(!is_value(&nested.replacen("}]", "]}", 1)), "{depth}");
            assert!(!is_value(&nested[..nested.len() - 1]), "{depth}");
        }
    }
}
