//! What the producer says of a message, as it is posted.

use crate::decode::{
    field::{append_key, append_name, append_string, given},
    json::scan as json,
};

/// More attributes than any message has: SQS takes ten.
const MOST: usize = 100;

/// Appends the attributes of a message, in the order of the event, if there are any. None if they are not what SQS
/// sends; what has been appended then is of no use.
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
        (count <= MOST).then_some(())
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
    // Reserved by SQS for later use: null, absent or empty today. Whatever they will be goes along unread.
    string_list_values: Option<&'a str>,
    binary_list_values: Option<&'a str>,
}

impl<'a> Attribute<'a> {
    /// Reads an object. None if it is none, or has a field twice.
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

    /// Appends what is there of it, as it came. SQS vouches for its own attributes; what the events that people make by hand
    /// lack (a type, base64 that is some) is no reason to keep a record back.
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

/// Appends the name of a field of an object whose fields begin at `start`.
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
