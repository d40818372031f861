//! Small types that many modules share. This folder imports no other module.

pub mod aws;
pub mod format;
pub(crate) mod host;
pub mod limits;
pub(crate) mod text;
pub mod token;
