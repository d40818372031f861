//! The calls that the function itself makes to SQS: change visibility timeouts, send dead letters.

pub mod action;
pub(crate) mod client;
pub mod dead_letter;
pub(crate) mod message;
pub(crate) mod queue;
pub mod reply;
pub mod visibility;
