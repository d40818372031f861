//! Everything about Perseus: the client, what its replies mean, and the token.

pub mod auth;
pub mod client;
pub(crate) mod hint;
pub mod redact;
pub mod reply;
pub mod retry_after;
pub mod status;
pub mod token;
pub mod token_store;
