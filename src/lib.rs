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

pub mod lambda;

pub mod decode;

pub mod batch;

pub mod deliver;

pub mod perseus;

pub mod settle;

pub mod sqs;

pub mod telemetry;

pub mod config;
pub mod core_time;
pub mod deadline;
pub(crate) mod http;
pub mod value;
