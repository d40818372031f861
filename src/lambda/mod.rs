//! The function in Lambda: the runtime, one invocation, its answer.

pub mod handler;
mod response;
pub mod runtime;
