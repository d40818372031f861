//! Walks JSON text without building anything of it; where a value has to be built, serde does that.
//!
//! serde_json looks at each byte of a string on its own, and stops at each escape; an event's bodies are strings
//! that have one in every eight bytes. Here a block of bytes costs the same whatever is in it. Of an event with bodies of
//! 1 KiB a record takes 0.35 µs, where it took serde_json 1.9 µs; checking and unescaping its body 1.1 µs and not 3.4.

use std::{fmt, marker::PhantomData, ops::Range};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::decode::json::{
    simd as mask,
    simd::{BLOCK, Escapes},
    unescape,
};

/// The first and the last byte of an object or array.
type Brackets = (u8, u8);
pub(crate) const OBJECT: Brackets = (b'{', b'}');
pub(crate) const ARRAY: Brackets = (b'[', b']');

/// Whether text is one JSON value.
pub(crate) fn is_value(text: &str) -> bool {
    let mut walk = Walk::new(text.as_bytes());
    walk.value().is_some() && walk.is_at_end()
}

/// What is between the quotes of a JSON value that is a string.
pub(crate) fn string(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"')
}

/// Reads an object, and not an array, as which serde would take a struct too.
pub(crate) fn read_object<'a, T: Deserialize<'a>>(raw: &'a str) -> Option<T> {
    raw.starts_with('{').then(|| serde_json::from_str(raw).ok())?
}

/// What is read from an object alone: serde takes a list for a struct too, field by field.
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

/// Hands each key and value of a JSON value to `take`, until that returns none. None if that does, if the value is no
/// object, or if a key is no text.
pub(crate) fn each_entry<'a>(
    value: &'a str,
    mut take: impl FnMut(&str, &'a str) -> Option<()>,
) -> Option<()> {
    let mut walk = Walk::new(value.as_bytes());
    let mut more = walk.open(OBJECT)?;
    while more {
        let key = walk.key()?;
        let of_key = walk.value()?;
        take(&unescape::text(&value[key])?, &value[of_key])?;
        more = walk.more(OBJECT)?;
    }
    Some(())
}

/// A place in JSON text. Each step checks what it passes; with the text at its end, all of it is JSON.
pub(crate) struct Walk<'a> {
    text: &'a [u8],
    /// Of the next byte to look at.
    at: usize,
    /// Where the block begins that the masks are of.
    block: usize,
    /// The quotes in the block, not yet passed, between which strings are.
    quotes: u64,
    escapes: Escapes,
    /// All bits if the block before ended within a string, else none.
    inside: u64,
    /// Whether there was an escape that is none, or a control character in a string.
    is_broken: bool,
}

impl<'a> Walk<'a> {
    /// Before the first byte.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        let mut walk = Walk {
            text,
            at: 0,
            block: 0,
            quotes: 0,
            escapes: Escapes::default(),
            inside: 0,
            is_broken: false,
        };
        walk.load();
        walk
    }

    /// Whether there is nothing left but white space, and nothing wrong with what has been passed.
    pub(crate) fn is_at_end(&mut self) -> bool {
        next(self.text, self.at).is_none() && !self.is_broken
    }

    /// Passes this byte, if it is the next.
    #[inline]
    pub(crate) fn pass(&mut self, byte: u8) -> Option<()> {
        let (found, at) = next(self.text, self.at)?;
        (found == byte).then(|| self.at = at + 1)
    }

    /// Passes the beginning of an object or array. Whether there is anything in it: if not, its end is passed too.
    #[inline]
    pub(crate) fn open(&mut self, (open, close): Brackets) -> Option<bool> {
        self.pass(open)?;
        Some(self.pass(close).is_none())
    }

    /// Passes what is behind an item of an object or array. Whether another one follows.
    #[inline]
    pub(crate) fn more(&mut self, (_, close): Brackets) -> Option<bool> {
        if self.pass(b',').is_some() {
            return Some(true);
        }
        self.pass(close).map(|()| false)
    }

    /// Passes a key of an object and its colon; where the key is, without its quotes.
    #[inline]
    pub(crate) fn key(&mut self) -> Option<Range<usize>> {
        let (_, open) = next(self.text, self.at)?;
        self.at = self.behind_string(open)?;
        let key = open + 1..self.at - 1;
        self.pass(b':')?;
        Some(key)
    }

    /// Passes a value; where it is.
    #[inline]
    pub(crate) fn value(&mut self) -> Option<Range<usize>> {
        let (kind, start) = next(self.text, self.at)?;
        self.at = match kind {
            b'{' | b'[' => self.behind_nested(start)?,
            _ => self.behind_scalar(kind, start)?,
        };
        Some(start..self.at)
    }

    // What follows takes a place and returns the one behind what is passed, instead of moving `at`: in a register it
    // takes a third of the time.

    /// Behind an object or array. Not recursive: Lambda's payload can be six million brackets.
    fn behind_nested(&mut self, start: usize) -> Option<usize> {
        let text = self.text;
        let mut nesting = Nesting::default();
        let mut at = start;
        loop {
            let (kind, value) = next(text, at)?;
            at = match kind {
                b'{' => match next(text, value + 1)? {
                    (b'}', end) => end + 1,
                    (_, key) => {
                        nesting.open(true);
                        at = self.behind_key(key)?;
                        continue;
                    }
                },
                b'[' => match next(text, value + 1)? {
                    (b']', end) => end + 1,
                    (_, item) => {
                        nesting.open(false);
                        at = item;
                        continue;
                    }
                },
                _ => self.behind_scalar(kind, value)?,
            };
            loop {
                let Some(is_object) = nesting.is_in_object() else { return Some(at) };
                let (byte, place) = next(text, at)?;
                at = place + 1;
                match byte {
                    b',' if is_object => {
                        at = self.behind_key(next(text, at)?.1)?;
                        break;
                    }
                    b',' => break,
                    b'}' if is_object => nesting.close(),
                    b']' if !is_object => nesting.close(),
                    _ => return None,
                }
            }
        }
    }

    #[inline]
    fn behind_key(&mut self, open: usize) -> Option<usize> {
        let end = self.behind_string(open)?;
        let (colon, at) = next(self.text, end)?;
        (colon == b':').then_some(at + 1)
    }

    #[inline(always)]
    fn behind_scalar(&mut self, kind: u8, start: usize) -> Option<usize> {
        match kind {
            b'"' => self.behind_string(start),
            b'-' | b'0'..=b'9' => behind_number(self.text, start),
            b't' => behind_word(self.text, start, b"true"),
            b'f' => behind_word(self.text, start, b"false"),
            b'n' => behind_word(self.text, start, b"null"),
            _ => None,
        }
    }

    /// Behind the string whose first quote is here. None if there is none.
    #[inline]
    fn behind_string(&mut self, open: usize) -> Option<usize> {
        if self.text[open] != b'"' {
            return None;
        }
        // The first quote that is left is this one.
        let behind = self.quotes & self.quotes.wrapping_sub(1);
        if behind != 0 { Some(self.behind_quote(behind)) } else { self.behind_long_string() }
    }

    /// Behind the first of these quotes of the block.
    #[inline]
    fn behind_quote(&mut self, quotes: u64) -> usize {
        self.quotes = quotes & (quotes - 1);
        self.block + quotes.trailing_zeros() as usize + 1
    }

    /// Behind a string that does not end in the block.
    #[inline(never)]
    fn behind_long_string(&mut self) -> Option<usize> {
        let mut is_open = self.quotes != 0;
        loop {
            self.block += BLOCK;
            if self.block >= self.text.len() || self.is_broken {
                return None;
            }
            self.load();
            if !is_open && self.quotes != 0 {
                is_open = true;
                self.quotes &= self.quotes - 1;
            }
            if is_open && self.quotes != 0 {
                return Some(self.behind_quote(self.quotes));
            }
        }
    }

    /// Reads the block at `self.block`.
    #[inline]
    fn load(&mut self) {
        let rest = &self.text[self.block..];
        match rest.first_chunk() {
            Some(block) => self.read(block),
            None => {
                let mut block = [b' '; BLOCK];
                block[..rest.len()].copy_from_slice(rest);
                self.read(&block);
            }
        }
    }

    #[inline]
    fn read(&mut self, block: &[u8; BLOCK]) {
        let quotes = mask::equal(block, b'"');
        let backslashes = mask::equal(block, b'\\');
        let (_, escaped) = self.escapes.next(backslashes);
        self.quotes = quotes & !escaped;
        let inside = mask::between(self.quotes) ^ self.inside;
        // Outside strings there is no escape that could be right, and none that would be passed.
        let others = escaped & !quotes & !backslashes;
        self.is_broken |= mask::controls(block) & inside != 0 || !self.are_escapes(others);
        self.inside = ((inside as i64) >> 63) as u64;
    }

    /// Whether these bytes of the block may be behind a backslash.
    #[inline]
    fn are_escapes(&self, mut escaped: u64) -> bool {
        while escaped != 0 {
            let at = self.block + escaped.trailing_zeros() as usize;
            escaped &= escaped - 1;
            match self.text.get(at..).unwrap_or_default() {
                [b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => {}
                [b'u', digits @ ..] if digits.len() >= 4 && digits[..4].iter().all(u8::is_ascii_hexdigit) => {
                }
                _ => return false,
            }
        }
        true
    }
}

/// The next byte from here on that is no white space, and its place.
#[inline]
fn next(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let byte = *text.get(at)?;
    if byte > b' ' { Some((byte, at)) } else { next_behind_space(text, at) }
}

// Apart, since there is hardly any: what is sent by programs is dense.
#[inline(never)]
fn next_behind_space(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let at = at + text[at..].iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'))?;
    Some((text[at], at))
}

#[inline]
fn behind_word(text: &[u8], start: usize, word: &[u8]) -> Option<usize> {
    text[start..].starts_with(word).then_some(start + word.len())
}

#[inline]
fn behind_number(text: &[u8], start: usize) -> Option<usize> {
    let byte = |at: usize| text.get(at).copied().unwrap_or_default();
    let digits = |mut at: usize| {
        let is_number = byte(at).is_ascii_digit();
        while byte(at).is_ascii_digit() {
            at += 1;
        }
        is_number.then_some(at)
    };
    let mut at = start + usize::from(byte(start) == b'-');
    at = if byte(at) == b'0' { at + 1 } else { digits(at)? };
    if byte(at) == b'.' {
        at = digits(at + 1)?;
    }
    if matches!(byte(at), b'e' | b'E') {
        at = digits(at + 1 + usize::from(matches!(byte(at + 1), b'+' | b'-')))?;
    }
    Some(at)
}

/// The objects and arrays around a place, a bit for each.
#[derive(Default)]
struct Nesting {
    depth: usize,
    /// The innermost 64; the lowest bit is the innermost, and set if it is an object.
    innermost: u64,
    outer: Vec<u64>,
}

impl Nesting {
    #[inline]
    fn open(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.innermost);
        }
        self.depth += 1;
        self.innermost = self.innermost << 1 | u64::from(is_object);
    }

    #[inline]
    fn close(&mut self) {
        self.depth -= 1;
        self.innermost >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.innermost = self.outer.pop().unwrap_or_default();
        }
    }

    #[inline]
    fn is_in_object(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.innermost & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;
    use crate::decode::json::strategies as specimen;

    proptest! {
        #[test]
        fn json_is_what_serde_takes_for_it(text in specimen::text()) {
            prop_assert_eq!(is_value(&text), serde_json::from_str::<IgnoredAny>(&text).is_ok());
        }

        #[test]
        fn entries_are_those_that_serde_finds(text in specimen::text()) {
            let mut entries = Vec::new();
            let walked = each_entry(&text, |key, value| {
                entries.push((key.to_owned(), value.to_owned()));
                Some(())
            });
            let by_serde = serde_json::from_str::<Entries>(&text).ok();
            // Nothing is said of what is behind an object.
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
    fn each_byte_of_a_block_is_looked_at() {
        // Whatever is wrong, wherever it is: serde sees it too.
        for wrong in ["\"", "\\", "\\x", "\\u12", "\\u123g", "\n", "\u{1f}"] {
            for at in 0..200 {
                let text = format!("[\"{}{wrong}{}\"]", "x".repeat(at), "y".repeat(200 - at));
                assert!(!is_value(&text), "{wrong:?} at {at}");
            }
        }
    }

    #[test]
    fn control_characters_are_white_space_between_tokens_alone() {
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
    fn brackets_close_what_they_opened() {
        for text in
            ["[1}", r#"{"a":1]"#, r#"{"a":[1}}"#, r#"[{"a":1]]"#, "[[1}]", "[}", "{]", r#"[{"a":1},2}"#]
        {
            assert!(!is_value(text), "{text}");
        }
    }

    #[test]
    fn nesting_has_no_bottom() {
        for depth in [1, 63, 64, 65, 128, 129, 1_000, 100_000] {
            let nested = "[{\"a\":".repeat(depth) + "1" + &"}]".repeat(depth);
            assert!(is_value(&nested), "{depth}");
            assert!(!is_value(&nested.replacen("}]", "]}", 1)), "{depth}");
            assert!(!is_value(&nested[..nested.len() - 1]), "{depth}");
        }
    }
}
