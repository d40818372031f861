//! A request, and its outcome under the fault schedule.

use std::time::Duration;

use crate::{clock::Ms, perseus::Reply};

/// A request: everything that its outcome depends on.
pub(crate) struct Posted<'a> {
    pub(crate) at: Ms,
    pub(crate) body_bytes: usize,
    /// How many requests are being handled, this one included.
    pub(crate) load: usize,
    /// How many requests have come in this second, this one included.
    pub(crate) in_second: u32,
    /// Whether an earlier request with its key lost its client or its connection.
    pub(crate) was_cut_off: bool,
    /// Whether its idempotency key came with another body before.
    pub(crate) reuses_key: bool,
    /// Whether its records have ids. Without ids no record can be refused alone.
    pub(crate) has_ids: bool,
    pub(crate) records: &'a [PostedRecord],
}

impl Posted<'_> {
    pub(super) fn has_poison(&self) -> bool {
        self.records.iter().any(|record| record.is_poison)
    }
}

/// A record of a request.
pub(crate) struct PostedRecord {
    pub(crate) id: String,
    pub(crate) group: Option<String>,
    pub(crate) is_poison: bool,
}

/// The outcome of a request.
#[derive(Debug)]
pub(crate) struct RequestOutcome {
    /// The reply, and which records are committed.
    pub(crate) reply: Reply,
    /// When the records are committed, whether or not the client still waits.
    pub(crate) commits_after: Duration,
    pub(crate) replies_after: Duration,
    pub(crate) ending: Ending,
    /// Whether the reply says which records are committed.
    pub(crate) is_definite: bool,
    /// Whether the failure is random: it does not depend on the records.
    pub(crate) is_random: bool,
}

impl RequestOutcome {
    /// A reply that says what was committed.
    pub(super) fn definite(reply: Reply) -> Self {
        let (commits_after, replies_after) = (Duration::ZERO, Duration::ZERO);
        Self {
            reply,
            commits_after,
            replies_after,
            ending: Ending::Reply,
            is_definite: true,
            is_random: false,
        }
    }

    /// A random failure: it could have hit any request.
    pub(super) fn failure(reply: Reply) -> Self {
        Self { is_random: true, ..Self::definite(reply) }
    }

    /// A random failure that does not tell the client what was committed.
    pub(super) fn indefinite(reply: Reply, ending: Ending) -> Self {
        Self { is_definite: false, ending, ..Self::failure(reply) }
    }
}

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The reply is sent.
    Reply,
    /// The connection is reset.
    Reset,
    /// The connection is closed.
    Close,
    /// Nothing is sent, and the connection stays open.
    Silence,
    /// Bytes that are not HTTP are sent.
    NoHttp,
}
