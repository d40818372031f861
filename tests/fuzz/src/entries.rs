//! An object's fields as serde_json finds them.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The fields of an object in their order, including repeated names.
pub(crate) struct Entries<'a>(pub(crate) Vec<(String, &'a str)>);

/// The fields of a value. None if it is not an object.
pub(crate) fn entries(value: &str) -> Option<Vec<(String, &str)>> {
    serde_json::from_str(value).ok().map(|Entries(entries)| entries)
}

/// The value of this field, if it is there. None if it is there twice.
pub(crate) fn field<'a>(fields: &[(String, &'a str)], name: &str) -> Option<Option<&'a str>> {
    let mut found = fields.iter().filter(|(known, _)| known == name).map(|(_, value)| *value);
    let value = found.next();
    found.next().is_none().then_some(value)
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some((name, value)) = fields.next_entry::<String, &RawValue>()? {
                    entries.push((name, value.get()));
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}
