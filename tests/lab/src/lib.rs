//! A Lambda, a queue and a Perseus on one machine.
//!
//! The function is a process that asks the Lambda Runtime API for work and posts what it is given to an HTTP server.
//! Both ends are here, so that the real binary runs on a desk or in a test, with nothing deployed and nothing mocked
//! inside it:
//!
//! ```text
//! events ──▶ environment (Lambda Runtime API) ──▶ the function, a process ──▶ perseus (the stand-in)
//!                        ◀── batch response ──┘                            └─ what it received, and what broke
//!                                                                              the contract
//! ```
//!
//! * [`events`] makes SQS events of any size.
//! * [`environment`] is one Lambda execution environment: it starts the binary and invokes it.
//! * [`perseus`] is the server the function posts to: it answers as told and checks every request.
//! * [`function`] finds or builds the binary.
//!
//! Everything runs as tasks on the caller's Tokio runtime, and stops when its handle is dropped.
//!
//! Around these, whole runs through a queue, drawn from a seed:
//!
//! ```text
//! traffic ──▶ queue ──▶ mapping ──▶ fleet of environments ──▶ ingest, a Perseus with a climate
//!               ▲ │        ◀── batch response ──┘                 └─ ledger
//!  redelivery ──┘ └─▶ dead-letter queue                    history ──▶ invariants ──▶ report
//! ```
//!
//! * [`scenario`] names them, and draws one from a seed.
//! * [`simulation`] runs one on paused time with the function's library, [`live`] on the wall clock with its binary;
//!   both by the one loop of [`drive`].
//! * [`history`] is what happened, [`invariants`] what must hold of it, [`report`] the figures, [`page`] the same to
//!   look at.
//! * [`soak`] adds up many.

mod clock;
mod dice;
pub mod drive;
mod endpoint;
pub mod environment;
pub mod events;
pub mod evidence;
mod fleet;
pub mod function;
pub mod history;
mod ingest;
pub mod invariants;
pub mod live;
mod mapping;
mod message;
pub mod page;
pub mod perseus;
mod queue;
pub mod report;
pub mod scenario;
mod server;
pub mod simulation;
pub mod soak;
mod trace;
mod traffic;
mod weather;
