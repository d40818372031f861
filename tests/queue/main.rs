//! The built binary on a real queue: an SQS server behind the real SQS API, and in the place of Lambda's event source
//! mapping one that reads the answer as strictly.
//!
//! The tests that need the server are ignored, so that `cargo test` neither needs it nor pretends to have used it.
//! There are two servers, which share no code. The first is moto (PyPI: `moto[server]`), the second MiniStack (PyPI:
//! `ministack`). Only moto checks signatures, and only it is asked for event source mappings. With their programs on the PATH:
//!
//! ```sh
//! cargo test --test queue -- --ignored
//! SQS_SERVER=ministack cargo test --test queue -- --ignored --skip signature --skip breaker
//! ```

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod breaker;
mod crash;
mod dead_letter;
mod event;
mod event_source_mapping;
mod fifo;
mod flaky;
mod function;
mod mapping;
mod messages;
mod queue;
mod server;
mod signature;
mod standard;
mod verdict;
mod visibility;
