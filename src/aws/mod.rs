//! What all calls to AWS have in common: signatures, sending, failures.

pub(crate) mod client;
pub(crate) mod date;
pub mod failure;
pub(crate) mod sigv4;
