//! Why a record will never be taken.

use std::fmt;

use crate::decode::record::Unreadable;

/// Why a record will never be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// Perseus refused a request that held nothing else, with this status and this to say of it (see
    /// [`crate::perseus::redact`]).
    Alone(u16, String),
    /// Perseus refused it by name, in a reply with this status.
    ByName(u16),
    /// It cannot be read.
    Unreadable(Unreadable),
}

impl Rejection {
    /// Perseus' status, if it was asked.
    pub fn status(&self) -> Option<u16> {
        match self {
            Rejection::Alone(status, _) | Rejection::ByName(status) => Some(*status),
            Rejection::Unreadable(_) => None,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejection::Alone(status, said) => write!(f, "status {status}: {said}"),
            Rejection::ByName(_) => f.write_str("refused by name"),
            Rejection::Unreadable(what) => what.fmt(f),
        }
    }
}
