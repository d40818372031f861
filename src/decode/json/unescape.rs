//! JSON strings to the text that they stand for.

use std::borrow::Cow;

use crate::decode::json::{
    simd as mask,
    simd::{BLOCK, Escapes, STEP},
};

/// The text of a JSON string, of which `raw` is what is between the quotes. None if no Unicode text corresponds to it
/// (a lone surrogate).
pub(crate) fn text(raw: &str) -> Option<Cow<'_, str>> {
    if !has_escape(raw.as_bytes()) {
        return Some(Cow::Borrowed(raw));
    }
    let mut text = Vec::new();
    append(raw, &mut text)?;
    String::from_utf8(text).ok().map(Cow::Owned)
}

// Most strings are names and ids: memchr, made for long ones, would make all decoding 3 to 5 % slower.
fn has_escape(raw: &[u8]) -> bool {
    let (steps, rest) = raw.as_chunks();
    steps.iter().any(|step| mask::has(step, b'\\')) || rest.contains(&b'\\')
}

/// Appends that text. If there is none, what has been appended is of no use.
pub(crate) fn append(raw: &str, out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    // No text is longer than its JSON.
    out.resize(start + raw.len() + STEP, 0);
    let len = copy_unescaped(raw.as_bytes(), &mut out[start..])?;
    out.truncate(start + len);
    Some(())
}

/// Writes the text to `out`, which has room for a step more than it; returns its length.
fn copy_unescaped(raw: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut target = Target { out, len: 0 };
    let mut escapes = Escapes::default();
    let mut copied = 0;
    for start in (0..raw.len()).step_by(BLOCK) {
        let (mut begins, _) = escapes.next(backslashes(&raw[start..]));
        while begins != 0 {
            let at = start + begins.trailing_zeros() as usize;
            begins &= begins - 1;
            // Not the second half of a surrogate pair.
            if at >= copied {
                target.copy(raw, copied, at);
                copied = target.replace(raw, at)?;
            }
        }
    }
    target.copy(raw, copied, raw.len());
    Some(target.len)
}

#[inline]
fn backslashes(rest: &[u8]) -> u64 {
    match rest.first_chunk() {
        Some(block) => mask::equal(block, b'\\'),
        None => {
            let mut block = [0; BLOCK];
            block[..rest.len()].copy_from_slice(rest);
            mask::equal(&block, b'\\')
        }
    }
}

/// Where the text goes.
struct Target<'a> {
    out: &'a mut [u8],
    /// Of what is there.
    len: usize,
}

impl Target<'_> {
    #[inline]
    fn copy(&mut self, raw: &[u8], from: usize, end: usize) {
        let len = end - from;
        // A step is more than most runs between two escapes, and one instruction.
        match (raw.get(from..from + STEP), self.out.get_mut(self.len..self.len + STEP)) {
            // What is too much is written over.
            (Some(step), Some(place)) if len <= STEP => place.copy_from_slice(step),
            _ => self.out[self.len..][..len].copy_from_slice(&raw[from..end]),
        }
        self.len += len;
    }

    /// What the escape at `at` stands for; returns where what is not read yet begins.
    #[inline]
    fn replace(&mut self, raw: &[u8], at: usize) -> Option<usize> {
        let byte = match raw.get(at + 1)? {
            // It stands for itself, and is copied with what follows.
            b'"' | b'\\' | b'/' => return Some(at + 1),
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 0x08,
            b'f' => 0x0C,
            _ => {
                let (char, end) = code_point(raw, at)?;
                self.len += char.encode_utf8(&mut self.out[self.len..]).len();
                return Some(end);
            }
        };
        self.out[self.len] = byte;
        self.len += 1;
        Some(at + 2)
    }
}

/// The character of a `\u` escape, or of two that are a surrogate pair, and where what follows begins.
fn code_point(raw: &[u8], at: usize) -> Option<(char, usize)> {
    let unit = unit(raw, at)?;
    if let Some(char) = char::from_u32(unit) {
        return Some((char, at + 6));
    }
    let pair = [unit, self::unit(raw, at + 6)?].map(|unit| unit as u16);
    let char = char::decode_utf16(pair).next()?.ok()?;
    Some((char, at + 12))
}

/// The number in a `\u` escape.
fn unit(raw: &[u8], at: usize) -> Option<u32> {
    let digits = raw.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit * 16 + char::from(digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::json::strategies as specimen;

    proptest! {
        #[test]
        fn the_text_is_the_one_that_serde_reads(raw in specimen::raw_string()) {
            let by_serde = serde_json::from_str::<String>(&format!("\"{raw}\"")).ok();
            prop_assert_eq!(text(&raw).map(Cow::into_owned), by_serde.clone());
            let mut out = b"before".to_vec();
            if append(&raw, &mut out).is_some() {
                prop_assert_eq!(out, ("before".to_owned() + &by_serde.unwrap()).into_bytes());
            } else {
                prop_assert!(by_serde.is_none());
            }
        }
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        assert!(matches!(text("é"), Some(Cow::Borrowed("é"))));
    }

    #[test]
    fn an_escape_may_be_anywhere_in_a_block() {
        for at in 0..200 {
            let raw = "x".repeat(at) + r#"\ud83d\ude00\\\"\u00e9"# + &"y".repeat(at % 70);
            let expected = "x".repeat(at) + "😀\\\"é" + &"y".repeat(at % 70);
            assert_eq!(text(&raw).unwrap(), expected);
        }
    }
}
