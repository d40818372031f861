//! Lambda's event source mapping: when it receives a batch, and how many invocations run at once.

pub(crate) mod answer;
mod switch;

pub(crate) use self::switch::Switch;
pub use self::switch::{Caller, Change, ChangeKind, State};

use crate::{
    clock::Ms,
    sqs::queue::{Delivery, Queue},
};

/// How the mapping is set up.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The most messages in one event.
    pub(crate) batch_size: usize,
    /// The batching window: how long it waits to fill a batch.
    pub(crate) window: Ms,
    /// The most invocations at once.
    pub(crate) max_concurrency: usize,
}

/// Lambda starts with five pollers.
const FIRST_POLLERS: usize = 5;
/// While there is a backlog, Lambda adds 300 concurrent invocations a minute.
const GROWTH: usize = 5;
const GROWTH_INTERVAL: Ms = 1_000;
/// Without a backlog for this long, pollers are removed.
const QUIET: Ms = 60_000;

/// The mapping's pollers.
///
/// A batch is received in one call when it is full or its window is over. The visibility timeout starts then. On a FIFO
/// queue the queue itself bounds the concurrency: it delivers only one batch per active group.
#[derive(Debug)]
pub(crate) struct Mapping {
    settings: Settings,
    pollers: usize,
    /// When the current window began.
    opened: Option<Ms>,
    /// When the number of pollers last changed.
    changed: Ms,
}

impl Mapping {
    pub(crate) fn new(settings: Settings) -> Self {
        let pollers = FIRST_POLLERS.min(settings.max_concurrency);
        Self { settings, pollers, opened: None, changed: 0 }
    }

    /// The next batch, if there is one to invoke the function with now.
    pub(crate) fn next_batch(&mut self, queue: &mut Queue, running: usize, now: Ms) -> Option<Vec<Delivery>> {
        let receivable = queue.receivable();
        if receivable == 0 {
            self.opened = None;
            return None;
        }
        let opened = *self.opened.get_or_insert(now);
        let is_due = receivable >= self.settings.batch_size || now >= opened + self.settings.window;
        if !is_due || running >= self.scaled(running, now) {
            return None;
        }
        self.opened = None;
        let batch = queue.receive(self.settings.batch_size, now);
        (!batch.is_empty()).then_some(batch)
    }

    /// Begins anew, as after a pause.
    pub(crate) fn restart(&mut self, now: Ms) {
        *self = Self { changed: now, ..Self::new(self.settings.clone()) };
    }

    /// When `next_batch` may return a batch although nothing else has changed.
    pub(crate) fn next_change(&self, running: usize) -> Option<Ms> {
        let opened = self.opened?;
        match running >= self.pollers {
            true if self.pollers >= self.settings.max_concurrency => None,
            true => Some(self.changed + GROWTH_INTERVAL),
            false => Some(opened + self.settings.window),
        }
    }

    /// The number of pollers: it grows while all are busy, and shrinks after a quiet time.
    fn scaled(&mut self, running: usize, now: Ms) -> usize {
        let is_busy = running >= self.pollers;
        if is_busy && now >= self.changed + GROWTH_INTERVAL {
            self.pollers = (self.pollers + GROWTH).min(self.settings.max_concurrency);
            self.changed = now;
        } else if !is_busy && self.pollers > FIRST_POLLERS && now >= self.changed + QUIET {
            self.pollers = (self.pollers / 2).max(FIRST_POLLERS);
            self.changed = now;
        }
        self.pollers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{seeded_rng::SeededRng, sqs::queue};

    fn queue(messages: u32) -> Queue {
        let settings = queue::Settings {
            visibility: 600_000,
            max_receives: 5,
            fifo: false,
            oldest_first: false,
            duplicates: 0.0,
            most_in_flight: queue::MOST_IN_FLIGHT,
        };
        let mut queue = Queue::new(settings, SeededRng::new(1));
        (0..messages).for_each(|_| _ = queue.send(None, 0));
        queue
    }

    fn mapping(batch_size: usize, window: Ms, max_concurrency: usize) -> Mapping {
        Mapping::new(Settings { batch_size, window, max_concurrency })
    }

    #[test]
    fn a_batch_is_received_when_it_is_full_or_its_window_is_over() {
        let (mut queue, mut mapping) = (queue(15), mapping(10, 2_000, 9));
        let mut sizes = |now| mapping.next_batch(&mut queue, 0, now).map(|batch| batch.len());
        assert_eq!(
            [sizes(0), sizes(0), sizes(1_999), sizes(2_000), sizes(9_000)],
            [Some(10), None, None, Some(5), None]
        );
    }

    #[test]
    fn the_mapping_starts_with_five_and_grows_by_five_a_second_while_there_is_a_backlog() {
        let (mut queue, mut mapping) = (queue(10_000), mapping(10, 0, 12));
        let mut running = 0;
        let mut fill = |now| {
            while mapping.next_batch(&mut queue, running, now).is_some() {
                running += 1;
            }
            (running, mapping.next_change(running))
        };
        assert_eq!(fill(0), (5, Some(1_000)));
        assert_eq!(fill(999), (5, Some(1_000)));
        assert_eq!(fill(1_000), (10, Some(2_000)));
        assert_eq!(fill(5_000), (12, None));
    }

    #[test]
    fn pollers_are_removed_after_a_quiet_time() {
        let (mut queue, mut mapping) = (queue(1_000), mapping(10, 0, 40));
        (1..=7).for_each(|second| _ = mapping.next_batch(&mut queue, 40, second * 1_000));
        assert_eq!(mapping.pollers, 40);
        mapping.next_batch(&mut queue, 0, 7_000 + QUIET);
        assert_eq!(mapping.pollers, 20);
    }
}
