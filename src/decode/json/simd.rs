//! What is where in 64 bytes of JSON text, a bit for each byte: what a scan needs of most bytes is only that
//! they are nothing special.

use wide::u8x16;

/// Bytes of a block.
pub(crate) const BLOCK: usize = 64;

/// Bytes that one instruction takes.
pub(crate) const STEP: usize = 16;

/// The bytes of which that is so; the first one is the lowest bit.
#[inline]
fn of(block: &[u8; BLOCK], is: impl Fn(u8x16) -> u8x16) -> u64 {
    let (quarters, _) = block.as_chunks::<STEP>();
    let masks = quarters.iter().map(|quarter| u64::from(is(u8x16::new(*quarter)).to_bitmask()));
    masks.enumerate().fold(0, |mask, (i, quarter)| mask | quarter << (STEP * i))
}

/// The bytes that are this one.
#[inline]
pub(crate) fn equal(block: &[u8; BLOCK], byte: u8) -> u64 {
    of(block, |bytes| bytes.simd_eq(u8x16::splat(byte)))
}

/// Whether any byte is this one.
#[inline]
pub(crate) fn has(bytes: &[u8; STEP], byte: u8) -> bool {
    u8x16::new(*bytes).simd_eq(u8x16::splat(byte)).to_bitmask() != 0
}

/// The bytes that no JSON string has as they are.
#[inline]
pub(crate) fn controls(block: &[u8; BLOCK]) -> u64 {
    let last = u8x16::splat(0x1F);
    let ([a, b, c, d], []) = block.as_chunks::<STEP>() else { return u64::MAX };
    let lowest = u8x16::new(*a).min(u8x16::new(*b)).min(u8x16::new(*c).min(u8x16::new(*d)));
    // Hardly ever is there one: then a quarter of the work will do.
    if lowest.min(last).simd_eq(lowest).to_bitmask() == 0 {
        return 0;
    }
    of(block, |bytes| bytes.min(last).simd_eq(bytes))
}

/// Block by block, which backslashes begin an escape, and which bytes they escape. (In `\\"` the second one begins
/// none.)
#[derive(Default)]
pub(crate) struct Escapes {
    /// Whether the block before ended with the beginning of one, as its lowest bit.
    carried: u64,
}

impl Escapes {
    /// Of the next block, with these backslashes: what begins an escape, and what is escaped.
    // The subtraction carries through each run of backslashes, and what it leaves of a run tells the odd ones from the
    // even (Langdale and Lemire, Parsing Gigabytes of JSON per Second, 3.1.1).
    #[inline]
    pub(crate) fn next(&mut self, backslashes: u64) -> (u64, u64) {
        const ODD: u64 = 0xAAAA_AAAA_AAAA_AAAA;
        let candidates = backslashes & !self.carried;
        let ends = ((candidates << 1 | ODD).wrapping_sub(candidates)) ^ ODD;
        let escaped = ends ^ (backslashes | self.carried);
        let begins = ends & backslashes;
        self.carried = begins >> 63;
        (begins, escaped)
    }
}

/// Inverts all bits from each bit on: between the first and the second, the third and the fourth, and so on.
#[inline]
pub(crate) fn between(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}
