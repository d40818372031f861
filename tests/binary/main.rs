//! The built binary as its own process, invoked through an emulated Runtime API, on the wall clock.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod configuration;
mod invocations;
mod logs;
mod metrics;
mod proxy;
mod stdout;
mod support;
mod tls;
mod token;
