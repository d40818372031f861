//! A Lambda, an SQS queue and a Perseus on one machine, to run the function by hand and in tests.
//!
//! # One function, by hand
//!
//! The real binary runs as a process. It asks an emulated Lambda Runtime API for work and posts to a stand-in server:
//!
//! ```text
//! events ──▶ environment (Lambda Runtime API) ──▶ the function, a process ──▶ perseus (the stand-in)
//!                        ◀── batch response ──┘                            └─ what it received, and every
//!                                                                              breach of the contract
//! ```
//!
//! * [`events`] makes SQS events of any size.
//! * [`environment`] is one Lambda execution environment: it starts the binary and invokes it.
//! * [`perseus`] is the server that the function posts to. It answers as the caller decides and checks every request.
//! * [`function`] finds or builds the binary.
//!
//! Everything runs as tasks on the caller's Tokio runtime, and stops when its handle is dropped.
//!
//! # Whole runs, drawn from a seed
//!
//! ```text
//! traffic ──▶ sqs::queue ──▶ lambda::mapping ──▶ lambda::fleet ──▶ simulated_perseus, with injected faults
//!               ▲ │             ◀── batch response ──┘                └─ ledger of commits
//!  redelivery ──┘ └─▶ dead-letter queue              run::history ──▶ run::invariants ──▶ report
//! ```
//!
//! The circuit breaker calls `lambda::api`, which changes whether the mapping is enabled; `lambda::prober` runs every minute.
//!
//! * [`scenario`] names the kinds of runs, and draws one from a seed.
//! * [`simulation`] makes a run on paused time with the function's library. [`live`] makes it on the wall clock with
//!   the binary. Both use the one loop of [`run`], which records what happened and checks the invariants.
//! * [`report`] has the figures of a run, also as a page with charts.
//! * [`soak`] adds up many runs. [`evidence`] measures what outages, poison and too little capacity cost.

mod clock;
pub mod evidence;
mod faults;
mod lambda;
pub mod live;
pub mod perseus;
pub mod report;
pub mod run;
pub mod scenario;
mod seeded_rng;
mod server;
mod simulated_perseus;
pub mod simulation;
pub mod soak;
mod sqs;
mod traffic;

pub use self::{
    lambda::{environment, function},
    traffic::events,
};
