//! How much of a table is done.

use std::cell::Cell;

use crate::run::Progress;

/// The runs of a table, measured by their messages.
pub struct Work<'a> {
    planned: Cell<u64>,
    done: Cell<u64>,
    tell: &'a dyn Fn(u64, u64),
}

impl<'a> Work<'a> {
    /// `tell` is called often, with the messages that are done and with those of all runs.
    pub fn new(tell: &'a dyn Fn(u64, u64)) -> Self {
        Self { planned: Cell::new(0), done: Cell::new(0), tell }
    }

    /// Nobody is told.
    pub fn untold() -> Self {
        Self::new(&|_, _| {})
    }

    /// Adds runs that are to be made, of this many messages in all.
    pub(super) fn plan(&self, messages: u64) {
        self.planned.set(self.planned.get() + messages);
    }

    /// Tells how far the current run is.
    pub(super) fn advance(&self, progress: Progress) {
        let done = self.done.get() + u64::from(progress.deleted + progress.dead);
        (self.tell)(done, self.planned.get());
    }

    /// Ends the current run. One that is ended early leaves messages behind: they are done too.
    pub(super) fn finish(&self, messages: u32) {
        self.done.set(self.done.get() + u64::from(messages));
        (self.tell)(self.done.get(), self.planned.get());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn runs_count_by_their_messages() {
        let told = RefCell::new(Vec::new());
        let tell = |done, planned| told.borrow_mut().push((done, planned));
        let work = Work::new(&tell);
        work.plan(300);
        work.advance(Progress { deleted: 40, dead: 2, ..Progress::default() });
        work.finish(100);
        work.advance(Progress { deleted: 7, ..Progress::default() });
        assert_eq!(told.into_inner(), [(42, 300), (100, 300), (107, 300)]);
    }
}
