//! The mark on a mapping that the breaker has paused: two tags.

use std::collections::BTreeMap;

/// The tag that says since when (ISO 8601, UTC). It alone makes the mark.
pub(super) const PAUSED_SINCE: &str = "perseus-forwarder:paused-since";
/// The tag that says why.
pub(super) const PAUSED_FOR: &str = "perseus-forwarder:paused-for";

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

    /// The tags that make it.
    pub(super) fn tags(&self) -> [(&'static str, &str); 2] {
        [(PAUSED_SINCE, &self.since), (PAUSED_FOR, self.cause.name())]
    }
}

#[cfg(test)]
mod tests {
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
    fn a_mark_is_read_as_it_was_written() {
        for cause in [Cause::Outage, Cause::Refusals, Cause::SetUp] {
            let written = Mark { since: "2026-11-30T09:00:00Z".to_owned(), cause };
            assert_eq!(mark(&written.tags()), Some(written.clone()));
        }
    }
}
