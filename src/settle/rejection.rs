//! Why a record will never be accepted.

use thiserror::Error;

use crate::decode::record::Unreadable;

/// Why a record will never be accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Rejection {
    /// Perseus refused a request with this record only: the status, and the redacted reply (see
    /// [`crate::perseus::redact`]).
    #[error("status {0}: {1}")]
    Alone(u16, String),
    /// Perseus refused this record by its id, in a reply with this status.
    #[error("refused by name")]
    ByName(u16),
    /// The record is malformed.
    #[error(transparent)]
    Unreadable(Unreadable),
}

impl Rejection {
    /// Perseus' status, if the record was sent.
    pub fn status(&self) -> Option<u16> {
        match self {
            Rejection::Alone(status, _) | Rejection::ByName(status) => Some(*status),
            Rejection::Unreadable(_) => None,
        }
    }
}
