//! What the end of a request says about Perseus' load.

/// What the end of a request says about Perseus' load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Perseus had the capacity to answer.
    Answered,
    /// Perseus answered that it lacks the capacity: 429.
    Busy,
    /// No usable reply, as happens under too much load: 502, 503, 504, no reply in time, no connection.
    Overloaded,
    /// No usable reply, for a reason that says nothing about load: 500, a lost connection, a reply that cannot be
    /// understood.
    Failed,
    /// Nothing can be concluded.
    Unclear,
}

impl Signal {
    /// Whether Perseus is reachable and understands requests.
    pub(super) fn is_usable(self) -> bool {
        matches!(self, Signal::Answered | Signal::Busy)
    }
}
