//! Block masks: what is where in 64 bytes of JSON text, one bit for each byte.
//!
//! The method and the names are those of Langdale and Lemire, *Parsing Gigabytes of JSON per Second* (the simdjson paper),
//! section 3.1.

use wide::u8x16;

/// The bytes of a block.
pub(crate) const BLOCK: usize = 64;

/// The bytes that one SIMD instruction takes.
pub(crate) const STEP: usize = 16;

/// Bit i is set if `is` holds for byte i.
#[inline]
fn block_mask(block: &[u8; BLOCK], is: impl Fn(u8x16) -> u8x16) -> u64 {
    let (steps, _) = block.as_chunks::<STEP>();
    let masks = steps.iter().map(|step| u64::from(is(u8x16::new(*step)).to_bitmask()));
    masks.enumerate().fold(0, |mask, (i, step)| mask | step << (STEP * i))
}

/// Bit i is set if byte i is `byte`.
#[inline]
pub(crate) fn equal_mask(block: &[u8; BLOCK], byte: u8) -> u64 {
    block_mask(block, |bytes| bytes.simd_eq(u8x16::splat(byte)))
}

/// Bit i is set if byte i is a control character (0x00 to 0x1F).
#[inline]
pub(crate) fn control_mask(block: &[u8; BLOCK]) -> u64 {
    let last = u8x16::splat(0x1F);
    let ([a, b, c, d], []) = block.as_chunks::<STEP>() else { return u64::MAX };
    let lowest = u8x16::new(*a).min(u8x16::new(*b)).min(u8x16::new(*c).min(u8x16::new(*d)));
    // Hardly any block has a control character, and this test takes a quarter of the work.
    if lowest.min(last).simd_eq(lowest).to_bitmask() == 0 {
        return 0;
    }
    block_mask(block, |bytes| bytes.min(last).simd_eq(bytes))
}

/// Whether any byte is `byte`.
#[inline]
pub(crate) fn contains(bytes: &[u8; STEP], byte: u8) -> bool {
    u8x16::new(*bytes).simd_eq(u8x16::splat(byte)).to_bitmask() != 0
}

/// Finds escapes, block by block.
#[derive(Default)]
pub(crate) struct EscapeScanner {
    /// 1 if the previous block ended with a backslash that escapes the first byte of the next block, else 0.
    next_is_escaped: u64,
}

/// The escapes of a block. In `\\"` the first backslash begins an escape, the second is escaped, and the quote is neither.
pub(crate) struct EscapeBits {
    /// Bit i is set if byte i is a backslash that begins an escape.
    pub(crate) begin: u64,
    /// Bit i is set if byte i is escaped: a backslash that begins an escape is before it.
    pub(crate) escaped: u64,
}

impl EscapeScanner {
    /// The escapes of the next block; bit i of `backslashes` is set if byte i is a backslash.
    ///
    /// In a run of backslashes every other one begins an escape. The subtraction carries through each run, so that
    /// runs at odd and at even positions can be told apart without a loop (3.1.1 of the paper).
    #[inline]
    pub(crate) fn next(&mut self, backslashes: u64) -> EscapeBits {
        const ODD_BITS: u64 = 0xAAAA_AAAA_AAAA_AAAA;
        let unescaped = backslashes & !self.next_is_escaped;
        let codes = ((unescaped << 1 | ODD_BITS).wrapping_sub(unescaped)) ^ ODD_BITS;
        let escaped = codes ^ (backslashes | self.next_is_escaped);
        let begin = codes & backslashes;
        self.next_is_escaped = begin >> 63;
        EscapeBits { begin, escaped }
    }
}

/// Bit i of the result is the XOR of bits 0 to i. With a bit for each quote, the result has the bits of each opening
/// quote and of the string behind it, up to the closing quote.
#[inline]
pub(crate) fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_xor_marks_the_strings_between_quotes() {
        //                                 "ab" "c"  with the first byte on the right
        assert_eq!(prefix_xor(0b0_1_0_1_0_1_0_0_1), 0b0_0_1_1_0_0_1_1_1);
        // A string that is still open at the end of the block.
        assert_eq!(prefix_xor(1 << 60), 0b1111 << 60);
    }

    #[test]
    fn every_other_backslash_of_a_run_begins_an_escape_even_across_blocks() {
        let mut scanner = EscapeScanner::default();
        let EscapeBits { begin, escaped } = scanner.next(0b0111_0110 | 1 << 63);
        assert_eq!((begin, escaped), (0b0101_0010 | 1 << 63, 0b1010_0100));
        let EscapeBits { begin, escaped } = scanner.next(0b11);
        assert_eq!((begin, escaped), (0b10, 0b101));
    }

    #[test]
    fn a_mask_has_a_bit_for_each_byte() {
        for at in 0..BLOCK {
            let mut block = [b' '; BLOCK];
            block[at] = 0x1F;
            assert_eq!((control_mask(&block), equal_mask(&block, 0x1F)), (1 << at, 1 << at));
        }
    }
}
