//! The message groups of a FIFO queue: order within a group, and no delivery of a group that has messages in flight.

use std::collections::{BTreeSet, VecDeque};

use super::Number;

/// The groups and their messages that are not in flight.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: Vec<Group>,
    /// The groups that may be received from, in turn.
    open: VecDeque<u32>,
    /// The group that is being received from.
    current: Option<u32>,
}

#[derive(Debug, Default)]
struct Group {
    /// Numbers are in the order of sending.
    waiting: BTreeSet<Number>,
    in_flight: u32,
    is_open: bool,
}

impl Groups {
    pub(super) fn put(&mut self, message: Number, group: u32) {
        let index = group as usize;
        if self.groups.len() <= index {
            self.groups.resize_with(index + 1, Group::default);
        }
        self.groups[index].waiting.insert(message);
        self.open_if_possible(group);
    }

    /// Takes the next message. All messages of one group come before those of the next.
    pub(super) fn take(&mut self) -> Option<Number> {
        loop {
            let current = match self.current {
                Some(current) => current,
                None => *self.current.insert(self.open.pop_front()?),
            };
            let group = &mut self.groups[current as usize];
            if let Some(message) = group.waiting.pop_first() {
                group.in_flight += 1;
                return Some(message);
            }
            self.close_taken();
        }
    }

    /// Ends the turn of the current group.
    pub(super) fn close_taken(&mut self) {
        if let Some(current) = self.current.take() {
            self.groups[current as usize].is_open = false;
            self.open_if_possible(current);
        }
    }

    /// One message of the group is no longer in flight.
    pub(super) fn settle(&mut self, group: u32) {
        self.groups[group as usize].in_flight -= 1;
        self.open_if_possible(group);
    }

    pub(super) fn receivable(&self) -> usize {
        self.open.iter().map(|group| self.groups[*group as usize].waiting.len()).sum()
    }

    fn open_if_possible(&mut self, number: u32) {
        let group = &mut self.groups[number as usize];
        if group.in_flight == 0 && !group.waiting.is_empty() && !group.is_open {
            group.is_open = true;
            self.open.push_back(number);
        }
    }
}
