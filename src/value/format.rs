//! What requests and replies look like.

/// What a request's body looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchFormat {
    /// `{"records":[…]}`: each with its id, its attributes and its body.
    Records,
    /// A JSON array of the bodies alone.
    Array,
    /// One body a line.
    Ndjson,
}

impl BatchFormat {
    /// All of them.
    pub const ALL: [BatchFormat; 3] = [BatchFormat::Records, BatchFormat::Array, BatchFormat::Ndjson];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            BatchFormat::Records => "records",
            BatchFormat::Array => "array",
            BatchFormat::Ndjson => "ndjson",
        }
    }
}

/// What acknowledges a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// A status of success, unless the reply names failures.
    Status,
    /// Nothing less than a reply that is a JSON object with `batchItemFailures`.
    Body,
}

/// How a request's body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, at its fastest level.
    Gzip,
    /// zstd, at its fastest regular level.
    Zstd,
}

impl Compression {
    /// All of them.
    pub const ALL: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];

    /// Its name, which is also its `content-encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        }
    }
}
