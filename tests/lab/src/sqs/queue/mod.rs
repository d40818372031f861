//! A model of an SQS queue: visibility timeout, receive count, redrive to a dead-letter queue, duplicates, FIFO groups.
//!
//! It has no clock of its own: every call says what time it is.

mod fifo;
mod visibility;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, VecDeque},
};

use rand::RngExt;

use self::fifo::Groups;
pub(crate) use self::visibility::Refusal;
use crate::{clock::Ms, seeded_rng::SeededRng};

/// The number of a message: its position in the order of sending, from 0.
pub type Number = u32;

/// How a queue is set up.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// How long a received message stays invisible unless it is deleted.
    pub(crate) visibility: Ms,
    /// A message received this often goes to the dead-letter queue instead of being received again.
    pub(crate) max_receives: u16,
    /// Whether groups keep their order.
    pub(crate) fifo: bool,
    /// Whether a standard queue delivers the oldest message first, even if it has just come back. SQS promises no order.
    pub(crate) oldest_first: bool,
    /// The probability that a message is delivered once more although it is in flight or deleted: 'at least once' on a
    /// standard queue.
    pub(crate) duplicates: f64,
    /// The most messages in flight. At the limit nothing is received
    /// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html>).
    pub(crate) most_in_flight: u32,
}

impl Settings {
    /// How long the queue takes at most to become empty once nothing is sent to it: by then every message was received
    /// as often as it can be, and is deleted or dead.
    pub(crate) fn drain_time(&self) -> Ms {
        self.visibility.saturating_mul(u32::from(self.max_receives) + 2)
    }
}

/// SQS' quota of messages in flight, of standard queues and FIFO queues alike.
pub(crate) const MOST_IN_FLIGHT: u32 = 120_000;

/// The queue and its dead-letter queue.
#[derive(Debug)]
pub(crate) struct Queue {
    settings: Settings,
    seeded: SeededRng,
    messages: Vec<Message>,
    shelf: Shelf,
    /// What becomes visible, and when. The earliest is first.
    hidden: BinaryHeap<Reverse<(Ms, Entry, u16)>>,
    counts: Counts,
}

/// How many messages are where.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) visible: u32,
    pub(crate) in_flight: u32,
    pub(crate) deleted: u32,
    pub(crate) dead: u32,
    /// Changes of visibility, not messages.
    pub(crate) changes: u32,
}

/// Where a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    /// In the queue, to be received.
    Visible,
    /// In the queue, received and not yet deleted.
    InFlight,
    /// Deleted by the consumer.
    Deleted,
    /// In the dead-letter queue.
    Dead,
}

/// A receipt: what a consumer deletes a message with. It expires once the message is received again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) message: Number,
    /// The number of the receive, from 1.
    pub(crate) receive: u16,
}

/// A message as a consumer receives it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    pub(crate) receipt: Receipt,
    /// How often the message has been received.
    pub(crate) receives: u16,
    pub(crate) sent: Ms,
    /// Whether it is a duplicate that the queue made.
    pub(crate) is_copy: bool,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    sent: Ms,
    group: Option<u32>,
    receives: u16,
    state: MessageState,
    /// When it was received last, and until when it is invisible.
    received: Ms,
    until: Ms,
}

/// A message to be received, or a copy of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    message: Number,
    is_copy: bool,
}

#[derive(Debug)]
enum Shelf {
    Standard(VecDeque<Entry>),
    /// Numbers are in the order of sending.
    OldestFirst(BTreeSet<Entry>),
    Fifo(Groups),
}

impl Receipt {
    /// The handle as text.
    pub(crate) fn handle(self) -> String {
        format!("AQEB{:08x}{:04x}", self.message, self.receive)
    }

    /// The receipt with this handle. None if the handle is not one of this queue.
    pub(crate) fn of_handle(handle: &str) -> Option<Self> {
        let digits = handle.strip_prefix("AQEB").filter(|digits| digits.len() == 12)?;
        let (message, receive) = digits.split_at_checked(8)?;
        Some(Self {
            message: Number::from_str_radix(message, 16).ok()?,
            receive: u16::from_str_radix(receive, 16).ok()?,
        })
    }
}

impl Queue {
    pub(crate) fn new(settings: Settings, seeded: SeededRng) -> Self {
        let shelf = match (settings.fifo, settings.oldest_first) {
            (true, _) => Shelf::Fifo(Groups::default()),
            (false, true) => Shelf::OldestFirst(BTreeSet::new()),
            (false, false) => Shelf::Standard(VecDeque::new()),
        };
        Self {
            settings,
            seeded,
            messages: Vec::new(),
            shelf,
            hidden: BinaryHeap::new(),
            counts: Counts::default(),
        }
    }

    /// Adds the next message. On a FIFO queue it belongs to a group.
    pub(crate) fn send(&mut self, group: Option<u32>, now: Ms) -> Number {
        let number = Number::try_from(self.messages.len()).unwrap_or(Number::MAX);
        self.messages.push(Message {
            sent: now,
            group,
            receives: 0,
            state: MessageState::Visible,
            received: 0,
            until: 0,
        });
        self.counts.visible += 1;
        self.shelf.put(Entry { message: number, is_copy: false }, group);
        number
    }

    /// Makes messages visible whose visibility timeout is over.
    pub(crate) fn release(&mut self, now: Ms) {
        while let Some(&Reverse((until, entry, receive))) = self.hidden.peek() {
            if until > now {
                break;
            }
            self.hidden.pop();
            let message = &mut self.messages[entry.message as usize];
            if entry.is_copy {
                self.shelf.put(entry, message.group);
            } else if message.is_in_flight(receive) && message.until == until {
                message.state = MessageState::Visible;
                self.counts.in_flight -= 1;
                self.counts.visible += 1;
                self.shelf.put_back(entry, message.group);
            }
        }
    }

    /// Receives up to `most` messages, which are then invisible for the visibility timeout. A message that was received too
    /// often goes to the dead-letter queue instead.
    pub(crate) fn receive(&mut self, most: usize, now: Ms) -> Vec<Delivery> {
        self.receive_for(most, self.settings.visibility, now)
    }

    /// Receives likewise, with another visibility timeout than the queue's.
    pub(crate) fn receive_for(&mut self, most: usize, visibility: Ms, now: Ms) -> Vec<Delivery> {
        let most = most.min(self.room());
        let mut batch = Vec::with_capacity(most.min(self.receivable()));
        while batch.len() < most {
            let Some(entry) = self.shelf.take() else { break };
            if let Some(delivery) = self.deliver(entry, visibility, now) {
                batch.push(delivery);
            }
        }
        if let Shelf::Fifo(groups) = &mut self.shelf {
            groups.close_taken();
        }
        batch
    }

    fn deliver(&mut self, entry: Entry, visibility: Ms, now: Ms) -> Option<Delivery> {
        let message = &mut self.messages[entry.message as usize];
        if entry.is_copy {
            // Nothing else changes: a consumer cannot tell a copy from the message.
            return (message.state != MessageState::Dead).then(|| message.delivery(entry));
        }
        if message.state != MessageState::Visible {
            // It was deleted with the receipt of a copy.
            return None;
        }
        self.counts.visible -= 1;
        if message.receives >= self.settings.max_receives {
            message.state = MessageState::Dead;
            self.counts.dead += 1;
            self.shelf.settle(message.group);
            return None;
        }
        message.receives += 1;
        message.state = MessageState::InFlight;
        message.received = now;
        message.until = now + visibility;
        self.counts.in_flight += 1;
        self.hidden.push(Reverse((message.until, entry, message.receives)));
        let delivery = message.delivery(entry);
        self.perhaps_copy(&delivery, now);
        Some(delivery)
    }

    fn perhaps_copy(&mut self, delivery: &Delivery, now: Ms) {
        let seeded = self.seeded.fork(delivery.receipt.message).fork(delivery.receives);
        if !self.settings.fifo && seeded.chance(self.settings.duplicates) {
            // The copy comes while the message is in flight, or long after it is deleted.
            let after = seeded.fork(1_u64).rng().random_range(0..=2 * self.settings.visibility);
            let copy = Entry { message: delivery.receipt.message, is_copy: true };
            self.hidden.push(Reverse((now + after, copy, 0)));
        }
    }

    /// Deletes a message. Returns whether the receipt was still valid.
    pub(crate) fn delete(&mut self, receipt: Receipt) -> bool {
        let message = &mut self.messages[receipt.message as usize];
        let count = match message.state {
            _ if message.receives != receipt.receive => return false,
            MessageState::InFlight => &mut self.counts.in_flight,
            // While a message is visible, only the receipt of a copy is still valid.
            MessageState::Visible if !self.settings.fifo => &mut self.counts.visible,
            _ => return false,
        };
        *count -= 1;
        message.state = MessageState::Deleted;
        self.counts.deleted += 1;
        self.shelf.settle(message.group);
        true
    }

    /// How many messages can be received now.
    pub(crate) fn receivable(&self) -> usize {
        let ready = match &self.shelf {
            Shelf::Standard(ready) => ready.len(),
            Shelf::OldestFirst(ready) => ready.len(),
            Shelf::Fifo(groups) => groups.receivable(),
        };
        ready.min(self.room())
    }

    /// How many more messages may be in flight.
    fn room(&self) -> usize {
        self.settings.most_in_flight.saturating_sub(self.counts.in_flight) as usize
    }

    /// When the next message becomes visible.
    pub(crate) fn next_visible(&self) -> Option<Ms> {
        self.hidden.peek().map(|Reverse((until, ..))| *until)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether no message is left and none will come back.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts.visible + self.counts.in_flight == 0
    }

    /// The state of every message, how often it was received, and when it was sent, in the order of sending.
    pub(crate) fn states(&self) -> impl Iterator<Item = (MessageState, u16, Ms)> {
        self.messages.iter().map(|message| (message.state, message.receives, message.sent))
    }
}

impl Message {
    /// Whether this receive, its last, still hides it.
    fn is_in_flight(&self, receive: u16) -> bool {
        self.state == MessageState::InFlight && self.receives == receive
    }

    fn delivery(&self, entry: Entry) -> Delivery {
        Delivery {
            receipt: Receipt { message: entry.message, receive: self.receives },
            receives: self.receives.max(1),
            sent: self.sent,
            is_copy: entry.is_copy,
        }
    }
}

impl Shelf {
    fn put(&mut self, entry: Entry, group: Option<u32>) {
        match self {
            Self::Standard(ready) => ready.push_back(entry),
            Self::OldestFirst(ready) => _ = ready.insert(entry),
            Self::Fifo(groups) => groups.put(entry.message, group.unwrap_or_default()),
        }
    }

    fn put_back(&mut self, entry: Entry, group: Option<u32>) {
        self.put(entry, group);
        self.settle(group);
    }

    fn take(&mut self) -> Option<Entry> {
        match self {
            Self::Standard(ready) => ready.pop_front(),
            Self::OldestFirst(ready) => ready.pop_first(),
            Self::Fifo(groups) => groups.take().map(|message| Entry { message, is_copy: false }),
        }
    }

    /// A message of this group is no longer in flight.
    fn settle(&mut self, group: Option<u32>) {
        if let (Self::Fifo(groups), Some(group)) = (self, group) {
            groups.settle(group);
        }
    }
}

#[cfg(test)]
mod tests;
