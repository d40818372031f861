//! The calls that the function itself makes to SQS: change visibility timeouts, send dead letters.

pub mod action;
pub mod client;
pub mod dead_letter;
pub mod queue;
pub mod reply;
pub mod sigv4;
pub mod visibility;
