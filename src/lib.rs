//! Posts the messages of an SQS queue to Perseus, in batches, before the deadline.
//!
//! ```text
//! SQS event ──decode──▶ Record ──batch──▶ Batch ──encode──▶ Request ──deliver──▶ Outcome ──settle──▶ batch response
//!                                          ▲ size, time left            ▲ attempts, splits, limits        ▲ ledger
//!                                          └──────────────── Deadline ──┴─────────────────────────────────┘
//! ```
//!
//! The modules below are in the order of that path.
//!
//! The words: a **record** is one message of the event; a **batch** is the records of one **request**; an
//! **attempt** is one posting of a request. A record's [`Outcome`](ledger::Outcome) is acknowledged (Perseus
//! has it), rejected (Perseus will never take it), errored (it might) or unattempted (the time was up). Until
//! it is acknowledged it is **outstanding**, and what is outstanding when the function answers goes back to
//! the queue; only a rejected record may leave it otherwise, if the queue for such records has it for certain
//! (see [`dead_letter`]). The **deadline** is Lambda's; the **cutoff** is the **reserve** before it, when sending ends.

pub mod config;
pub mod logs;
mod stdout;

pub mod runtime;

pub mod handler;

pub mod deadline;
pub mod pipeline;

pub mod decode;
pub mod event;
pub mod record;

mod attributes;
mod body;
mod json;
mod mask;
mod unescape;

#[cfg(test)]
mod specimen;

pub mod batch;
pub mod lane;

pub mod request;

pub mod access;
pub mod core_time;
pub mod deliver;
pub mod governor;
pub mod halt;
pub mod outstanding;
pub mod pace;
pub mod tally;

mod hint;
pub mod perseus;
pub mod token;
pub mod trace;

pub mod excerpt;
pub mod refusal;
pub mod refusals;
pub mod reply;
pub mod retry;

pub mod ledger;

pub mod dead_letter;
pub mod visibility;

pub mod distribution;
pub mod metrics;

pub mod sigv4;
pub mod sqs;
