//! Small types that many modules share. This folder imports no other module.

pub(crate) mod aws;
pub(crate) mod breaker;
pub(crate) mod client_certificate;
pub(crate) mod credential;
pub mod format;
pub(crate) mod host;
pub mod limits;
pub(crate) mod proxy;
pub(crate) mod text;
pub mod wall_clock;
