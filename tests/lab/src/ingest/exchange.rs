//! One request and its end.

use std::fmt;

use crate::clock::Ms;

/// One request, as the misbehaving Perseus remembers it: what its client could know of it.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// The invocation it belongs to.
    pub invocation: u32,
    /// When it arrived, and when it ended.
    pub arrived: Ms,
    /// When it ended.
    pub ended: Ms,
    /// What its client has heard.
    pub heard: Heard,
    /// What Perseus made of it.
    pub said: Said,
}

/// What Perseus made of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It committed some of the records, or all.
    Accepted,
    /// It refused the whole request: 400 or 422.
    Refused,
    /// Nothing that can be used: any 5xx but 501, no HTTP, a page, a reply cut short, none at all.
    Nothing,
    /// Something else, by which it shows that it is up: 429, 413, a login asked for.
    Other,
}

/// What a client has heard of what became of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is still waiting.
    Nothing,
    /// A reply that says what was committed.
    Everything,
    /// No reply, or one that does not say it.
    TooLittle,
    /// It has hung up.
    HungUp,
}

/// How a request ended, as the figures tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// With this status.
    Status(u16),
    /// The connection was reset or closed.
    Cut,
    /// The client did not wait for the end.
    HungUp,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Cut => f.write_str("connection lost"),
            Self::HungUp => f.write_str("hung up"),
        }
    }
}
