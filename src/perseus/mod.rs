//! Everything about Perseus: the client, what its replies mean, and the credentials.

pub(crate) mod auth;
pub(crate) mod client;
pub(crate) mod clients;
mod credential;
pub(crate) mod failure;
mod hint;
pub mod redact;
pub mod reply;
pub mod retry_after;
mod signature;
pub(crate) mod status;
mod store;
mod tunnel;
