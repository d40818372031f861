//! Small types that many modules share. This folder imports no other module.

pub(crate) mod aws;
pub(crate) mod breaker;
pub mod format;
pub(crate) mod host;
pub mod limits;
pub(crate) mod proxy;
pub(crate) mod text;
pub(crate) mod token;
