//! A Lambda and a Perseus on one machine.
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

pub mod environment;
pub mod events;
pub mod function;
pub mod perseus;
mod server;
