//! People who change the mapping: an operator who pauses it, and deployments that enable it.

use std::collections::VecDeque;

use crate::{
    clock::Ms,
    lambda::{
        mapping::{Caller, Switch},
        names::{PAUSED_FOR, PAUSED_SINCE},
    },
};

/// How long a person waits before the next command.
const COMMAND: Ms = 5_000;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Disable the mapping.
    Disable,
    /// Remove the mark of the breaker, so that the pause is the operator's.
    RemoveMark,
    /// Enable the mapping. A deployment does the same.
    Enable,
}

/// Steps and their times, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operator(VecDeque<(Ms, Step)>);

impl Operator {
    /// Pauses the mapping for a time.
    pub(crate) fn pause(&mut self, from: Ms, until: Ms) {
        let steps = [(from, Step::Disable), (from + COMMAND, Step::RemoveMark), (until, Step::Enable)];
        steps.into_iter().for_each(|(at, step)| self.plan(at, step));
    }

    /// Enables the mapping.
    pub(crate) fn deploy(&mut self, at: Ms) {
        self.plan(at, Step::Enable);
    }

    fn plan(&mut self, at: Ms, step: Step) {
        let place = self.0.partition_point(|(earlier, _)| *earlier <= at);
        self.0.insert(place, (at, step));
    }

    /// The steps in words, and their times.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (Ms, &'static str)> {
        self.0.iter().map(|(at, step)| match step {
            Step::Disable => (*at, "operator disables"),
            Step::RemoveMark => (*at, "operator removes the mark"),
            Step::Enable => (*at, "operator or deployment enables"),
        })
    }

    pub(crate) fn next(&self) -> Option<Ms> {
        self.0.front().map(|(at, _)| *at)
    }

    /// Does what is due. What Lambda refuses is tried again.
    pub(crate) fn act(&mut self, switch: &mut Switch, now: Ms) {
        while self.next().is_some_and(|at| at <= now)
            && let Some((_, step)) = self.0.pop_front()
        {
            let done = match step {
                Step::Disable => switch.set(false, Caller::Operator, now),
                Step::Enable => switch.set(true, Caller::Operator, now),
                Step::RemoveMark => {
                    let keys = [PAUSED_SINCE, PAUSED_FOR].map(str::to_owned);
                    switch.untag(&keys, Caller::Operator, now);
                    true
                }
            };
            if !done {
                self.delay(step, now);
                return;
            }
        }
    }

    /// Does a step later, and so all behind it.
    fn delay(&mut self, step: Step, now: Ms) {
        let at = now + COMMAND;
        self.0.iter_mut().for_each(|(later, _)| *later = (*later).max(at + COMMAND));
        self.0.push_front((at, step));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lambda::mapping::State, seeded_rng::SeededRng};

    fn finish(switch: &mut Switch) -> Ms {
        let at = switch.next_change().expect("a change is under way");
        switch.advance(at);
        at
    }

    #[test]
    fn a_pause_disables_removes_the_mark_and_enables_again() {
        let mut switch = Switch::new(SeededRng::new(7));
        let mut operator = Operator::default();
        operator.pause(1_000, 200_000);
        switch.tag([(PAUSED_SINCE.to_owned(), "x".to_owned())].into(), Caller::Forwarder(0), 0);
        operator.act(&mut switch, 1_000);
        assert_eq!((switch.state(), switch.mark()), (State::Disabling, Some("outage")));
        operator.act(&mut switch, 6_000);
        assert_eq!(switch.mark(), None);
        finish(&mut switch);
        operator.act(&mut switch, 200_000);
        assert_eq!((switch.state(), operator.next()), (State::Enabling, None));
    }

    #[test]
    fn what_lambda_refuses_is_tried_again_before_the_rest() {
        let mut switch = Switch::new(SeededRng::new(7));
        let mut operator = Operator::default();
        operator.pause(1_000, 200_000);
        assert!(switch.set(false, Caller::Forwarder(0), 900));
        operator.act(&mut switch, 1_000);
        assert_eq!(operator.next(), Some(6_000));
        let disabled = finish(&mut switch);
        operator.act(&mut switch, disabled + COMMAND);
        operator.act(&mut switch, disabled + 2 * COMMAND);
        assert_eq!(operator.next(), Some(200_000));
    }
}
