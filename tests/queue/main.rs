//! The built binary on a real queue: moto's SQS server behind the real SQS API, and in the place of Lambda's event
//! source mapping one that reads the answer as strictly.
//!
//! The tests that need the server are ignored, so that `cargo test` neither needs it nor pretends to have used it.
//! With `moto_server` (PyPI: `moto[server]`) on the PATH, or named in `MOTO_SERVER`:
//!
//! ```sh
//! cargo test --test queue -- --ignored
//! ```

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod crash;
mod dead_letter;
mod event;
mod fifo;
mod flaky;
mod function;
mod mapping;
mod messages;
mod moto;
mod queue;
mod signature;
mod standard;
mod verdict;
mod visibility;
