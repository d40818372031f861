//! One request, its reply, and how it ended.

use std::fmt;

use crate::clock::Ms;

/// One request, as the simulated Perseus remembers it, with what its client can know of it.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// The invocation it belongs to.
    pub invocation: u32,
    /// When it arrived.
    pub arrived: Ms,
    /// When it ended.
    pub ended: Ms,
    /// What its client knows.
    pub client_view: ClientView,
    /// What Perseus replied.
    pub reply_kind: ReplyKind,
}

/// What Perseus replied to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// It committed some of the records, or all.
    Accepted,
    /// It refused the whole request: 400 or 422.
    Refused,
    /// Nothing that the client can use: any 5xx but 501, no HTTP, a page, a reply cut short, no reply.
    Unusable,
    /// Something else that shows that Perseus is up: 429, 413, a login page.
    Other,
}

/// What a client knows of the end of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientView {
    /// It is still waiting.
    Waiting,
    /// It got a reply that says which records were committed.
    Informed,
    /// It got no reply, or one that does not say which records were committed.
    Uninformed,
    /// It has hung up.
    HungUp,
}

/// How a request ended, as the report shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RequestEnd {
    /// With this status.
    Status(u16),
    /// With this status of success, in a reply that does not say which records were committed.
    Unclear(u16),
    /// The connection was reset or closed.
    Cut,
    /// The client did not wait for the end.
    HungUp,
}

impl fmt::Display for RequestEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Unclear(status) => write!(f, "{status}, unclear"),
            Self::Cut => f.write_str("connection lost"),
            Self::HungUp => f.write_str("hung up"),
        }
    }
}
