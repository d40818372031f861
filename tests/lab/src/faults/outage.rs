//! Outages: times in which Perseus accepts nothing.

use rand::{RngExt, rngs::ChaCha8Rng};

use super::{Ending, RequestOutcome, replies};
use crate::{
    clock::Ms,
    perseus::{Reply, Takes},
};

/// Where a redirect leads to. A function that follows it gets a 200.
pub(crate) const LOGIN_PAGE: &str = "/login";

/// A shorter one is a blip: a restart of Perseus or of its proxy.
const SHORTEST_OUTAGE: Ms = 2_000;

/// A time in which Perseus accepts nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) from: Ms,
    pub(crate) until: Ms,
    pub(crate) kind: OutageKind,
}

macro_rules! kinds {
    ($($variant:ident = $name:literal;)+) => {
        /// How an outage looks from outside.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum OutageKind {
            $(#[doc = $name] $variant,)+
        }

        impl OutageKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// What it is, in words.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

kinds! {
    Unavailable = "503";
    ServerError = "500";
    Reset = "resets";
    Closed = "closed connections";
    Silent = "hangs";
    Refused = "refused connections";
    Html = "200 with a sign-in page";
    NoHttp = "no HTTP";
    CutShort = "replies cut short";
    BadRequest = "400 to everything";
    Unprocessable = "422 to everything";
    Unauthorized = "401";
    Redirected = "302";
}

impl OutageKind {
    /// The kinds that Perseus causes.
    pub const OF_PERSEUS: &[Self] = &[
        Self::Unavailable,
        Self::ServerError,
        Self::Reset,
        Self::Closed,
        Self::Silent,
        Self::Refused,
        Self::Html,
        Self::NoHttp,
        Self::CutShort,
        Self::BadRequest,
        Self::Unprocessable,
    ];

    /// The kinds that a restart can look like.
    pub(crate) const OF_RESTARTS: &[Self] = &[Self::Unavailable, Self::Reset, Self::Closed, Self::Refused];

    /// The kinds that wrong settings of the function can cause.
    pub(crate) const OF_SETTINGS: &[Self] = &[Self::Unauthorized, Self::Redirected];

    /// Whether every request is refused with 400 or 422.
    pub(crate) fn refuses(self) -> bool {
        matches!(self, Self::BadRequest | Self::Unprocessable)
    }
}

impl Outage {
    pub(crate) fn is_blip(&self) -> bool {
        self.until - self.from < SHORTEST_OUTAGE
    }

    /// Whether it overlaps this time.
    pub(super) fn meets(&self, from: Ms, until: Ms) -> bool {
        self.from <= until && from < self.until
    }

    pub(super) fn is_at(&self, time: Ms) -> bool {
        (self.from..self.until).contains(&time)
    }
}

/// The outcome of a request during an outage.
pub(super) fn during(outage: OutageKind, rng: &mut ChaCha8Rng) -> RequestOutcome {
    let nothing = |reply: Reply| reply.taking(Takes::Nothing);
    match outage {
        OutageKind::Unavailable => RequestOutcome::failure(Reply::status(503)),
        OutageKind::ServerError => RequestOutcome::failure(Reply::status(500)),
        // While connections are refused, only requests that were under way when the port closed arrive.
        OutageKind::Reset | OutageKind::Refused => {
            RequestOutcome::indefinite(Reply::status(503), Ending::Reset)
        }
        OutageKind::Closed => RequestOutcome::indefinite(Reply::status(503), Ending::Close),
        OutageKind::Silent => RequestOutcome::indefinite(Reply::status(503), Ending::Silence),
        OutageKind::Html => RequestOutcome::indefinite(nothing(replies::sign_in()), Ending::Reply),
        OutageKind::NoHttp => RequestOutcome::indefinite(Reply::status(503), Ending::NoHttp),
        OutageKind::CutShort => {
            RequestOutcome::indefinite(nothing(replies::cut_short(rng.random_bool(0.5))), Ending::Reply)
        }
        OutageKind::BadRequest => RequestOutcome::failure(replies::refusal(400, rng)),
        OutageKind::Unprocessable => RequestOutcome::failure(replies::refusal(422, rng)),
        OutageKind::Unauthorized => RequestOutcome::failure(Reply::status(401)),
        OutageKind::Redirected => RequestOutcome::failure(Reply::status(302).header("location", LOGIN_PAGE)),
    }
}
