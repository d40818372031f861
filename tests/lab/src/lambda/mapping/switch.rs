//! Whether the mapping is enabled: its state, which changes slowly, and its tags.

use std::collections::BTreeMap;

use rand::RngExt;

use crate::{
    clock::Ms,
    lambda::names::{PAUSED_FOR, PAUSED_SINCE},
    seeded_rng::SeededRng,
};

/// How long a change takes: the shortest and the longest.
const CHANGE: (Ms, Ms) = (10_000, 90_000);

/// The state of the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its pollers receive.
    Enabled,
    /// It is being disabled. Its pollers may still receive.
    Disabling,
    /// Nothing is received.
    Disabled,
    /// It is being enabled. Nothing is received yet.
    Enabling,
}

/// Who changed the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// An environment of the forwarder.
    Forwarder(u32),
    /// A run of the prober.
    Prober(u32),
    /// An operator, or a deployment.
    Operator,
}

/// A change of the mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: Ms,
    /// By whom.
    pub by: Caller,
    /// What.
    pub kind: ChangeKind,
    /// The mark on the mapping after the change: why it is paused.
    pub mark: Option<String>,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It begins to be enabled.
    Enable,
    /// It begins to be disabled.
    Disable,
    /// A change of its state is complete. The caller is the one that began it.
    Reached(State),
    /// It has tags, or other tags.
    Tag,
    /// It has tags no more.
    Untag,
}

/// The mapping's state and tags.
#[derive(Debug)]
pub(crate) struct Switch {
    seeded: SeededRng,
    state: State,
    /// When the change of state is complete, and who began it.
    pending: Option<(Ms, Caller)>,
    tags: BTreeMap<String, String>,
    changes: Vec<Change>,
}

impl State {
    /// Its name in the API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Enabled => "Enabled",
            Self::Disabling => "Disabling",
            Self::Disabled => "Disabled",
            Self::Enabling => "Enabling",
        }
    }

    /// Whether pollers may receive.
    pub fn receives(self) -> bool {
        matches!(self, Self::Enabled | Self::Disabling)
    }
}

impl Switch {
    /// An enabled mapping without tags.
    pub(crate) fn new(seeded: SeededRng) -> Self {
        Self { seeded, state: State::Enabled, pending: None, tags: BTreeMap::new(), changes: Vec::new() }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }

    /// Why the breaker has paused the mapping. None if it has no mark of the breaker.
    pub(crate) fn mark(&self) -> Option<&str> {
        self.tags.get(PAUSED_SINCE)?;
        Some(self.tags.get(PAUSED_FOR).map_or("outage", String::as_str))
    }

    /// Begins to enable or to disable the mapping. Returns whether it could: not while another change is under way.
    pub(crate) fn set(&mut self, enabled: bool, by: Caller, now: Ms) -> bool {
        match (self.state, enabled) {
            (State::Enabled, true) | (State::Disabled, false) => return true,
            (State::Enabling | State::Disabling, _) => return false,
            (State::Enabled, false) => self.state = State::Disabling,
            (State::Disabled, true) => self.state = State::Enabling,
        }
        let (least, most) = CHANGE;
        let takes = self.seeded.fork(self.changes.len() as u64).rng().random_range(least..=most);
        self.pending = Some((now + takes, by));
        self.note(now, by, if enabled { ChangeKind::Enable } else { ChangeKind::Disable });
        true
    }

    /// Completes a change that is due.
    pub(crate) fn advance(&mut self, now: Ms) {
        let Some((_, by)) = self.pending.take_if(|(at, _)| *at <= now) else { return };
        self.state = if self.state == State::Enabling { State::Enabled } else { State::Disabled };
        self.note(now, by, ChangeKind::Reached(self.state));
    }

    /// When the change that is under way will be complete.
    pub(crate) fn next_change(&self) -> Option<Ms> {
        self.pending.map(|(at, _)| at)
    }

    pub(crate) fn tag(&mut self, tags: BTreeMap<String, String>, by: Caller, now: Ms) {
        self.tags.extend(tags);
        self.note(now, by, ChangeKind::Tag);
    }

    pub(crate) fn untag(&mut self, keys: &[String], by: Caller, now: Ms) {
        self.tags.retain(|key, _| !keys.contains(key));
        self.note(now, by, ChangeKind::Untag);
    }

    /// All changes so far, in order.
    pub(crate) fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    fn note(&mut self, at: Ms, by: Caller, kind: ChangeKind) {
        let mark = self.mark().map(str::to_owned);
        self.changes.push(Change { at, by, kind, mark });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORWARDER: Caller = Caller::Forwarder(1);

    fn switch() -> Switch {
        Switch::new(SeededRng::new(7))
    }

    /// Completes the change that is under way; when.
    fn complete(switch: &mut Switch) -> Ms {
        let at = switch.next_change().expect("a change is under way");
        switch.advance(at - 1);
        assert!(matches!(switch.state(), State::Disabling | State::Enabling));
        switch.advance(at);
        at
    }

    #[test]
    fn a_change_of_state_takes_ten_to_ninety_seconds() {
        let mut switch = switch();
        assert!(switch.set(false, FORWARDER, 1_000));
        assert_eq!(switch.state(), State::Disabling);
        let disabled = complete(&mut switch);
        assert!((11_000..=91_000).contains(&disabled), "{disabled}");
        assert_eq!((switch.state(), switch.next_change()), (State::Disabled, None));
        assert!(switch.set(true, FORWARDER, disabled));
        assert_eq!(switch.state(), State::Enabling);
        complete(&mut switch);
        assert_eq!(switch.state(), State::Enabled);
    }

    #[test]
    fn pollers_receive_until_it_is_disabled_and_not_before_it_is_enabled() {
        let receives =
            [State::Enabled, State::Disabling, State::Disabled, State::Enabling].map(State::receives);
        assert_eq!(receives, [true, true, false, false]);
    }

    #[test]
    fn during_a_change_another_is_refused_and_a_change_to_what_is_so_does_nothing() {
        let mut switch = switch();
        assert!(switch.set(true, FORWARDER, 0) && switch.next_change().is_none());
        assert!(switch.set(false, FORWARDER, 0));
        assert!(!switch.set(true, FORWARDER, 1) && !switch.set(false, FORWARDER, 1));
        let now = complete(&mut switch);
        assert!(switch.set(false, FORWARDER, now) && switch.next_change().is_none());
    }

    #[test]
    fn the_mark_is_the_time_and_its_reason_is_an_outage_unless_another_is_given() {
        let mut switch = switch();
        let tags = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        switch.tag(tags(&[(PAUSED_FOR, "refusals"), ("team", "x")]), FORWARDER, 0);
        assert_eq!(switch.mark(), None);
        switch.tag(tags(&[(PAUSED_SINCE, "2026-01-01T00:00:00Z")]), FORWARDER, 0);
        assert_eq!(switch.mark(), Some("refusals"));
        switch.untag(&[PAUSED_FOR.to_owned()], FORWARDER, 0);
        assert_eq!(switch.mark(), Some("outage"));
        switch.untag(&[PAUSED_SINCE.to_owned()], FORWARDER, 0);
        assert_eq!(switch.mark(), None);
        assert_eq!(switch.tags().len(), 1);
    }
}
