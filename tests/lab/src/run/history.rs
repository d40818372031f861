//! What happened in a run. The invariants are checked against it.

pub use crate::{
    clock::Ms,
    lambda::{
        fleet::End,
        mapping::{Caller, Change, ChangeKind, State, answer::UnexpectedIds},
        prober::ProbeEnd,
    },
    scenario::Rules,
    simulated_perseus::{ClientView, Committed, Exchange, Repeat, ReplyKind},
    sqs::queue::{MessageState, Number},
};

/// Everything that happened in a run, as far as an invariant needs it.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Every message, in the order of sending.
    pub messages: Vec<MessageHistory>,
    /// Every invocation, by its number.
    pub invocations: Vec<Invocation>,
    /// Every request, by its number.
    pub exchanges: Vec<Exchange>,
    /// How long each message that was returned waited for its next receive, and after which receive that was.
    pub waits: Vec<(u16, Ms)>,
    /// How long good messages that were refused together with poison waited for their commit.
    pub neighbours: Vec<Ms>,
    /// Every commit of a message that was committed before.
    pub repeats: Vec<Repeat>,
    /// What broke the contract on the wire, in words; only the first ones.
    pub violations: Vec<String>,
    /// How many breaches there were.
    pub violation_count: u32,
    /// Idempotency keys that came with two bodies or two with one body, in words. Only the first ones.
    pub key_faults: Vec<String>,
    /// How many there were.
    pub key_fault_count: u32,
    /// The times in which Perseus refused every request with 400 or 422.
    pub refusing: Vec<(Ms, Ms)>,
    /// Every change of the mapping, in order.
    pub changes: Vec<Change>,
    /// Every minute of the prober.
    pub probes: Vec<Probe>,
    /// The outages of Perseus, blips included, in order.
    pub outages: Vec<(Ms, Ms)>,
    /// When the run was over.
    pub ended: Ms,
    /// The settings of the function.
    pub rules: Rules,
}

/// What happened to a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MessageHistory {
    /// When it was sent.
    pub sent: Ms,
    /// Its group, on a FIFO queue.
    pub group: Option<u32>,
    /// Whether Perseus never accepts it.
    pub is_poison: bool,
    /// Its state at the end of the run.
    pub state: MessageState,
    /// Whether it was deleted before it was committed.
    pub deleted_too_early: bool,
    /// How often it was received, without copies.
    pub receives: u16,
    /// How many of these receives failed for a good reason: an outage, an environment that died, a message ahead of it in
    /// its group, or a Perseus that failed every attempt that the function may make.
    pub excused_receives: u16,
    /// How many of the receives were the prober's.
    pub probed: u16,
    /// Whether the function has sent it to the dead-letter queue.
    pub dead_lettered: bool,
    /// The first invocation that did so.
    pub dead_lettered_in: Option<u32>,
    /// Whether the queue delivered it although it was deleted or in flight.
    pub redelivered: bool,
    /// When and by which request it was committed.
    pub committed: Option<Committed>,
}

/// One invocation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Invocation {
    /// In which environment.
    pub environment: u32,
    /// When it began.
    pub started: Ms,
    /// How long it took.
    pub took: Ms,
    /// How many messages it was given.
    pub messages: u32,
    /// How many of them it left in the queue.
    pub kept: u32,
    /// How many of these were returned although there was time and attempts were left.
    pub given_up: u32,
    /// How it ended.
    pub end: End,
    /// The time left before the deadline.
    pub headroom: Ms,
    /// Ids that the answer must not name.
    pub unexpected_ids: UnexpectedIds,
}

/// A minute of the prober.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// The number of its run: that of its requests' invocation.
    pub number: u32,
    /// When it began.
    pub started: Ms,
    /// How long it took.
    pub took: Ms,
    /// How it ended.
    pub end: ProbeEnd,
    /// The messages that it received, and when.
    pub messages: Vec<(Number, Ms)>,
    /// The messages that it deleted.
    pub deleted: Vec<Number>,
    /// Whether it was told that there was nothing to receive.
    pub found_none: bool,
    /// The mark of the pause at its first receive.
    pub mark: Option<String>,
    /// The state of the mapping at a receive that was not its turn: not disabled, or without a mark.
    pub out_of_turn: Option<State>,
    /// Whether a call of it to AWS met an injected fault.
    pub hindered: bool,
}

impl MessageHistory {
    /// Whether it is in the dead-letter queue: moved there by SQS, or sent there and deleted.
    pub fn is_dead(&self) -> bool {
        self.state == MessageState::Dead || (self.state == MessageState::Deleted && self.dead_lettered)
    }

    /// Whether it was deleted and is nowhere else.
    pub fn is_lost(&self) -> bool {
        self.state == MessageState::Deleted && self.committed.is_none() && !self.dead_lettered
    }
}

impl History {
    /// The messages with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (Number, &MessageHistory)> {
        (0..).zip(&self.messages)
    }
}
