//! The forms of requests and acknowledgements.

/// The format of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchFormat {
    /// `{"records":[…]}`: each record with its id, attributes and body.
    Records,
    /// A JSON array of the bodies.
    Array,
    /// One body per line.
    Ndjson,
}

impl BatchFormat {
    /// All formats.
    pub const ALL: [BatchFormat; 3] = [BatchFormat::Records, BatchFormat::Array, BatchFormat::Ndjson];

    /// The name in the configuration.
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
    /// A successful status, unless the reply names failures.
    Status,
    /// Only a reply that is a JSON object with `batchItemFailures`.
    Body,
}

/// How a request's body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not compressed.
    None,
    /// gzip, at its fastest level.
    Gzip,
    /// zstd, at its fastest regular level.
    Zstd,
}

impl Compression {
    /// All kinds.
    pub const ALL: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];

    /// The name in the configuration, which is also the `content-encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        }
    }
}
