//! The objects and arrays around a place in JSON text.

/// The objects and arrays around a place, one bit for each.
#[derive(Default)]
pub(crate) struct Nesting {
    depth: usize,
    /// The innermost 64 levels; bit 0 is the innermost. A bit is set for an object.
    innermost: u64,
    /// The levels around those, 64 in each item.
    outer: Vec<u64>,
}

impl Nesting {
    #[inline]
    pub(crate) fn open(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.innermost);
        }
        self.depth += 1;
        self.innermost = self.innermost << 1 | u64::from(is_object);
    }

    #[inline]
    pub(crate) fn close(&mut self) {
        self.depth -= 1;
        self.innermost >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.innermost = self.outer.pop().unwrap_or_default();
        }
    }

    /// Whether the innermost level is an object; `None` outside of all.
    #[inline]
    pub(crate) fn is_in_object(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.innermost & 1 == 1)
    }
}
