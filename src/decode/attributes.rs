//! The producer's message attributes, as Perseus receives them.

use crate::decode::{
    field::{append_key, append_name, append_string, given},
    json::scan as json,
};

/// Far more attributes than SQS allows, which is ten.
const MAX_ATTRIBUTES: usize = 100;

/// Appends the attributes of a message, in the order of the event, if there are any. `None` if they do not have the form
/// that SQS sends; `wire` then ends with garbage.
pub(crate) fn append(attributes: Option<&str>, wire: &mut Vec<u8>) -> Option<()> {
    let Some(attributes) = given(attributes) else { return Some(()) };
    let mut count = 0;
    json::each_entry(attributes, |name, attribute| {
        count += 1;
        if count == 1 {
            append_name("attributes", wire);
        }
        wire.push(if count == 1 { b'{' } else { b',' });
        serde_json::to_writer(&mut *wire, name).ok()?;
        wire.push(b':');
        Attribute::read(attribute)?.append(wire)?;
        (count <= MAX_ATTRIBUTES).then_some(())
    })?;
    if count > 0 {
        wire.push(b'}');
    }
    Some(())
}

/// An attribute's fields, each as JSON.
#[derive(Default)]
struct Attribute<'a> {
    data_type: Option<&'a str>,
    string_value: Option<&'a str>,
    binary_value: Option<&'a str>,
    // SQS reserves the lists for later use; today they are null, absent or empty. They are forwarded unread.
    string_list_values: Option<&'a str>,
    binary_list_values: Option<&'a str>,
}

impl<'a> Attribute<'a> {
    /// Reads an attribute; `None` if it is not an object, or has a field twice.
    fn read(attribute: &'a str) -> Option<Self> {
        let mut read = Attribute::default();
        json::each_entry(attribute, |name, value| {
            let field = match name {
                "dataType" => &mut read.data_type,
                "stringValue" => &mut read.string_value,
                "binaryValue" => &mut read.binary_value,
                "stringListValues" => &mut read.string_list_values,
                "binaryListValues" => &mut read.binary_list_values,
                _ => return Some(()),
            };
            field.replace(value).is_none().then_some(())
        })?;
        Some(read)
    }

    /// Appends the fields that are there, unchanged. SQS has validated real attributes; test events often lack a type or
    /// have invalid base64, and are delivered all the same.
    fn append(&self, wire: &mut Vec<u8>) -> Option<()> {
        wire.push(b'{');
        let start = wire.len();
        for (name, value) in [
            ("dataType", self.data_type),
            ("stringValue", self.string_value),
            ("binaryValue", self.binary_value),
        ] {
            if let Some(value) = given(value) {
                append_field(name, start, wire);
                append_string(value, wire)?;
            }
        }
        for (name, values) in
            [("stringListValues", self.string_list_values), ("binaryListValues", self.binary_list_values)]
        {
            if let Some(values) = given(values).filter(|values| !is_empty(values)) {
                append_field(name, start, wire);
                wire.extend_from_slice(values.as_bytes());
            }
        }
        wire.push(b'}');
        Some(())
    }
}

/// Appends the name of a field; `start` is where the object's first field begins.
fn append_field(name: &str, start: usize, wire: &mut Vec<u8>) {
    if wire.len() == start {
        append_key(name, wire);
    } else {
        append_name(name, wire);
    }
}

fn is_empty(values: &str) -> bool {
    values.trim_matches(['[', ']', ' ', '\n', '\r', '\t']).is_empty()
}
