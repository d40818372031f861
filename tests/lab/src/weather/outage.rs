//! Times in which Perseus takes nothing.

use super::{Ending, Fate};
use crate::{clock::Ms, perseus::Reply};

/// What an outage may redirect to. A function that goes there finds a 200.
pub(crate) const LOGIN_PAGE: &str = "/login";

/// A time in which Perseus takes nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) from: Ms,
    pub(crate) until: Ms,
    pub(crate) kind: OutageKind,
}

/// How an outage looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutageKind {
    /// A load balancer without a server behind it: 503.
    Unavailable,
    /// Connections are reset.
    Reset,
    /// No replies.
    Silent,
    /// The token has expired: 401.
    Unauthorized,
    /// Someone has put a login page in front of it: 302.
    Redirected,
}

impl OutageKind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Unavailable, Self::Reset, Self::Silent, Self::Unauthorized, Self::Redirected];
}

/// What comes of a request during an outage.
pub(super) fn during(outage: OutageKind) -> Fate {
    match outage {
        OutageKind::Unavailable => Fate::failure(Reply::status(503)),
        OutageKind::Reset => Fate::untold(Reply::status(503), Ending::Reset),
        OutageKind::Silent => Fate::untold(Reply::status(503), Ending::Silence),
        OutageKind::Unauthorized => Fate::failure(Reply::status(401)),
        OutageKind::Redirected => Fate::failure(Reply::status(302).header("location", LOGIN_PAGE)),
    }
}
