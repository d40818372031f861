//! AWS Lambda: the execution environments, the event source mapping, and the function that runs in them.

pub(crate) mod api;
pub(crate) mod cost;
pub mod environment;
pub(crate) mod fleet;
pub mod function;
pub(crate) mod mapping;
pub(crate) mod names;
pub(crate) mod operator;
pub(crate) mod prober;
pub(crate) mod processor;
pub(crate) mod trace;
