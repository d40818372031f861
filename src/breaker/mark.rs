//! The mark on a mapping that the breaker has paused: two tags.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use crate::aws::date::iso_8601;

/// The tag that says since when (ISO 8601, UTC). It alone makes the mark.
pub(super) const PAUSED_SINCE: &str = "perseus-forwarder:paused-since";
/// The tag that says why.
pub(super) const PAUSED_FOR: &str = "perseus-forwarder:paused-for";

/// The forwarder disables the mapping within this time after it has put the mark there, or not at all.
pub(super) const FRESH: Duration = Duration::from_secs(6);

/// Why delivery is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Perseus gives no usable reply.
    Outage,
    /// Perseus refuses everything.
    Refusals,
    /// The set-up is wrong.
    SetUp,
}

impl Cause {
    /// The value of its tag.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Cause::Outage => "outage",
            Cause::Refusals => "refusals",
            Cause::SetUp => "set-up",
        }
    }
}

/// The mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// Since when delivery is paused.
    pub(super) since: String,
    /// Why.
    pub(super) cause: Cause,
}

impl Mark {
    /// The mark among a mapping's tags. A cause that is missing or unknown counts as an outage.
    pub(super) fn of_tags(mut tags: BTreeMap<String, String>) -> Option<Self> {
        let since = tags.remove(PAUSED_SINCE)?;
        let name = tags.remove(PAUSED_FOR).unwrap_or_default();
        let cause = [Cause::Refusals, Cause::SetUp].into_iter().find(|cause| cause.name() == name);
        Some(Mark { since, cause: cause.unwrap_or(Cause::Outage) })
    }

    /// Whether a forwarder may just have put it there. `now` is the time of day.
    pub(super) fn is_fresh(&self, now: SystemTime) -> bool {
        // Dates of this form are in the order of their texts.
        (iso_8601(now - FRESH)..=iso_8601(now + FRESH)).contains(&self.since)
    }

    /// The tags that make it.
    pub(super) fn tags(&self) -> [(&'static str, &str); 2] {
        [(PAUSED_SINCE, &self.since), (PAUSED_FOR, self.cause.name())]
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn mark(tags: &[(&str, &str)]) -> Option<Mark> {
        Mark::of_tags(tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn only_the_first_tag_makes_a_mark_and_a_missing_cause_is_an_outage() {
        assert_eq!(mark(&[]), None);
        assert_eq!(mark(&[(PAUSED_FOR, "outage"), ("team", "orders")]), None);
        for (cause, expected) in [
            (None, Cause::Outage),
            (Some("outage"), Cause::Outage),
            (Some("lunch"), Cause::Outage),
            (Some("refusals"), Cause::Refusals),
            (Some("set-up"), Cause::SetUp),
        ] {
            let tags = [(PAUSED_SINCE, "2026-11-30T09:00:00Z"), (PAUSED_FOR, cause.unwrap_or_default())];
            let tags = &tags[..1 + usize::from(cause.is_some())];
            assert_eq!(mark(tags).map(|mark| mark.cause), Some(expected), "{cause:?}");
        }
    }

    #[test]
    fn a_mark_is_fresh_for_six_seconds() {
        let now = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        let is_fresh = |since: &str| Mark { since: since.to_owned(), cause: Cause::Outage }.is_fresh(now);
        assert!(is_fresh("2015-08-30T12:36:00Z") && is_fresh("2015-08-30T12:35:54Z"));
        for old in ["2015-08-30T12:35:53Z", "2014-12-31T23:59:59Z", "", "zzz"] {
            assert!(!is_fresh(old), "{old}");
        }
    }

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        for cause in [Cause::Outage, Cause::Refusals, Cause::SetUp] {
            let written = Mark { since: "2026-11-30T09:00:00Z".to_owned(), cause };
            assert_eq!(mark(&written.tags()), Some(written.clone()));
        }
    }
}
