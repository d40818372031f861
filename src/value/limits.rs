//! The limits of a batch.

/// When a batch is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// The most records in one request.
    pub max_records: usize,
    /// The most bytes of one request's uncompressed body. A larger record has a request of its own.
    pub max_bytes: usize,
}
