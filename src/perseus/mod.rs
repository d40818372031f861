//! Everything about Perseus: the client, what its replies mean, and the token.

pub(crate) mod auth;
pub(crate) mod client;
pub(crate) mod clients;
pub(crate) mod failure;
mod hint;
pub mod redact;
pub mod reply;
pub mod retry_after;
mod signature;
pub(crate) mod status;
pub(crate) mod token;
pub(crate) mod token_store;
mod tunnel;
