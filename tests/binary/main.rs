//! The built binary as a process of its own. An emulated Runtime API invokes it, in real time.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod breaker;
mod configuration;
mod invocations;
mod logs;
mod metrics;
mod proxy;
mod stdout;
mod support;
mod tls;
mod token;
