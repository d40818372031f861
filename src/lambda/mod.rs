//! The side of Lambda: the runtime, and one invocation.

pub mod handler;
pub mod runtime;
