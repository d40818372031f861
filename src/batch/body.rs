//! The body of a request: one buffer that records are appended to.

use std::{fmt, ops::Range};

use bytes::Bytes;

use crate::value::format::BatchFormat;

/// The bytes that a format puts around and between records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Framing {
    /// Before the first record.
    pub(crate) open: &'static str,
    /// Between two records.
    pub(crate) between: &'static str,
    /// After the last record.
    pub(crate) close: &'static str,
}

impl Framing {
    /// The framing of a format.
    pub(crate) const fn of(format: BatchFormat) -> Self {
        match format {
            BatchFormat::Records => Framing { open: r#"{"records":["#, between: ",", close: "]}" },
            BatchFormat::Array => Framing { open: "[", between: ",", close: "]" },
            BatchFormat::Ndjson => Framing { open: "", between: "\n", close: "\n" },
        }
    }

    /// The length of a body with this many records, which have `bytes` bytes together.
    pub(crate) fn body_len(&self, records: usize, bytes: usize) -> usize {
        self.open.len() + bytes + self.between.len() * records.saturating_sub(1) + self.close.len()
    }
}

/// A body under construction.
pub(crate) struct Body {
    framing: Framing,
    bytes: Vec<u8>,
    is_empty: bool,
}

impl Body {
    pub(crate) fn new(framing: Framing) -> Self {
        Body { framing, bytes: Vec::new(), is_empty: true }
    }

    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve_exact(bytes);
    }

    /// Appends a record. Returns where it is.
    pub(crate) fn push(&mut self, wire: &[u8]) -> Range<usize> {
        let before = if self.is_empty { self.framing.open } else { self.framing.between };
        self.is_empty = false;
        self.bytes.extend_from_slice(before.as_bytes());
        let start = self.bytes.len();
        self.bytes.extend_from_slice(wire);
        start..self.bytes.len()
    }

    pub(crate) fn close(mut self) -> Bytes {
        self.bytes.extend_from_slice(self.framing.close.as_bytes());
        self.bytes.into()
    }
}

// Written by hand so that no part of a message can be logged by accident.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("framing", &self.framing).finish_non_exhaustive()
    }
}
