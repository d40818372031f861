//! Why records come back, as the log lines say it. docs/log-lines.md explains each reason, and tests/docs.rs compares the two.
//!
//! The reasons of a failed request and of a reply are in `perseus`, those of an unreadable record in `decode`. Each
//! compares its own with the document.

/// Defines the reasons, and `ALL` of them.
macro_rules! reasons {
    ($($name:ident: $reason:literal;)*) => {
        $(pub(crate) const $name: &str = $reason;)*

        /// Every reason.
        pub const ALL: &[&str] = &[$($name),*];
    };
}

reasons! {
    // Records that were sent.
    CUT_OFF: "cut off by the deadline";
    REFUSED_BY_NAME: "refused by name";
    TOKEN_REFUSED: "its token was refused";
    CERTIFICATE_REFUSED: "its client certificate was refused";
    OVERTOOK: "taken before one that was refused";

    // Records that were not sent. A time follows the last three.
    SET_UP_WRONG: "the set-up is wrong";
    NO_TOKEN: "there is no token";
    NO_CERTIFICATE: "there is no client certificate";
    REFUSES_ALL: "Perseus refuses everything, and is only probed";
    DOWN: "Perseus is down, and only probed";
    HELD: "Perseus asked to be left alone (Retry-After) for another";
    OVERLOADED: "Perseus is overloaded: the next request has to wait";
    NO_TIME: "no time left for an attempt, which is expected to take";
}
