//! From JSON strings to their text.

use std::borrow::Cow;

use crate::decode::json::simd::{self, BLOCK, EscapeScanner, STEP, equal_mask};

/// The text of a JSON string; `raw` is the string without its quotes. `None` if it holds a lone surrogate, and so is not
/// Unicode text.
pub(crate) fn text(raw: &str) -> Option<Cow<'_, str>> {
    if !has_escape(raw.as_bytes()) {
        return Some(Cow::Borrowed(raw));
    }
    let mut text = Vec::new();
    append(raw, &mut text)?;
    String::from_utf8(text).ok().map(Cow::Owned)
}

// Most strings are short names and ids. memchr is made for long ones: with it all decoding is 3 to 5 % slower.
fn has_escape(raw: &[u8]) -> bool {
    let (steps, rest) = raw.as_chunks();
    steps.iter().any(|step| simd::contains(step, b'\\')) || rest.contains(&b'\\')
}

/// Appends the text. After `None`, `out` ends with garbage.
pub(crate) fn append(raw: &str, out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    // The text is never longer than its JSON string.
    out.resize(start + raw.len() + STEP, 0);
    let len = copy_unescaped(raw.as_bytes(), &mut out[start..])?;
    out.truncate(start + len);
    Some(())
}

/// Writes the text to `out`, which must have room for `STEP` bytes more. Returns the length of the text.
fn copy_unescaped(raw: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut target = Target { out, len: 0 };
    let mut escapes = EscapeScanner::default();
    let mut copied = 0;
    for start in (0..raw.len()).step_by(BLOCK) {
        let mut begin = escapes.next(backslashes(&raw[start..])).begin;
        while begin != 0 {
            let at = start + begin.trailing_zeros() as usize;
            begin &= begin - 1;
            // The second half of a surrogate pair is copied already.
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
        Some(block) => equal_mask(block, b'\\'),
        None => {
            let mut block = [0; BLOCK];
            block[..rest.len()].copy_from_slice(rest);
            equal_mask(&block, b'\\')
        }
    }
}

/// The text that is being written.
struct Target<'a> {
    out: &'a mut [u8],
    /// How much is written.
    len: usize,
}

impl Target<'_> {
    #[inline]
    fn copy(&mut self, raw: &[u8], from: usize, end: usize) {
        let len = end - from;
        // Most runs between two escapes are shorter than a step, which one instruction copies.
        match (raw.get(from..from + STEP), self.out.get_mut(self.len..self.len + STEP)) {
            // The next write overwrites the surplus.
            (Some(step), Some(place)) if len <= STEP => place.copy_from_slice(step),
            _ => self.out[self.len..][..len].copy_from_slice(&raw[from..end]),
        }
        self.len += len;
    }

    /// Writes the character of the escape at `at`. Returns where to read on.
    #[inline]
    fn replace(&mut self, raw: &[u8], at: usize) -> Option<usize> {
        let byte = match raw.get(at + 1)? {
            // The character is the one in the text: it is copied with the bytes after it.
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

/// The character of a `\u` escape or of a surrogate pair, and where to read on.
fn code_point(raw: &[u8], at: usize) -> Option<(char, usize)> {
    let unit = unit(raw, at)?;
    if let Some(char) = char::from_u32(unit) {
        return Some((char, at + 6));
    }
    let pair = [unit, self::unit(raw, at + 6)?].map(|unit| unit as u16);
    let char = char::decode_utf16(pair).next()?.ok()?;
    Some((char, at + 12))
}

/// The UTF-16 code unit of a `\u` escape.
fn unit(raw: &[u8], at: usize) -> Option<u32> {
    let digits = raw.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit * 16 + char::from(digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::json::strategies;

    proptest! {
        #[test]
        fn serde_reads_the_same_text(raw in strategies::raw_string()) {
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
    fn escapes_are_found_at_each_position_of_a_block() {
        for at in 0..200 {
            let raw = "x".repeat(at) + r#"\ud83d\ude00\\\"\u00e9"# + &"y".repeat(at % 70);
            let expected = "x".repeat(at) + "😀\\\"é" + &"y".repeat(at % 70);
            assert_eq!(text(&raw).unwrap(), expected);
        }
    }
}
