//! AWS Lambda: the execution environments, the event source mapping, and the function that runs in them.

pub(crate) mod cost;
pub mod environment;
pub(crate) mod fleet;
pub mod function;
pub(crate) mod mapping;
pub(crate) mod processor;
pub(crate) mod trace;
