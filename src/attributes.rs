//! What the producer says of a message, as it is posted.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::{
    event::text,
    json,
    record::{append_name, append_string, given},
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

    fn append(&self, wire: &mut Vec<u8>) -> Option<()> {
        wire.extend_from_slice(br#"{"dataType":"#);
        append_string(self.data_type?, wire)?;
        if let Some(value) = given(self.string_value) {
            append_name("stringValue", wire);
            append_string(value, wire)?;
        }
        if let Some(value) = given(self.binary_value) {
            append_name("binaryValue", wire);
            append_string(value, wire)?;
            is_base64(&text(value)?).then_some(())?;
        }
        for (name, values) in
            [("stringListValues", self.string_list_values), ("binaryListValues", self.binary_list_values)]
        {
            if let Some(values) = given(values).filter(|values| !is_empty(values)) {
                append_name(name, wire);
                wire.extend_from_slice(values.as_bytes());
            }
        }
        wire.push(b'}');
        Some(())
    }
}

fn is_empty(values: &str) -> bool {
    values.trim_matches(['[', ']', ' ', '\n', '\r', '\t']).is_empty()
}

/// Whether text is binary data in base64, padded or not. It goes on as it came, so it is decoded nowhere but in passing.
fn is_base64(text: &str) -> bool {
    const fn engine(padding: DecodePaddingMode) -> GeneralPurpose {
        GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(padding))
    }
    const UNPADDED: GeneralPurpose = engine(DecodePaddingMode::RequireNone);
    const ANY_PADDING: GeneralPurpose = engine(DecodePaddingMode::Indifferent);
    // Whole groups of four letters, each of which stands alone.
    const STEP: usize = 1024;
    let mut data = [0; STEP];
    let mut steps = text.as_bytes().chunks(STEP).peekable();
    while let Some(step) = steps.next() {
        let engine = if steps.peek().is_some() { UNPADDED } else { ANY_PADDING };
        if engine.decode_slice(step, &mut data).is_err() {
            return false;
        }
    }
    true
}
