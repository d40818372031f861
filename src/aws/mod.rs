//! What all calls to AWS have in common: signatures, sending, failures.

pub(crate) mod client;
pub mod failure;
pub(crate) mod sigv4;
